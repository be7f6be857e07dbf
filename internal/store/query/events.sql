-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: InsertEvent :exec
INSERT INTO events (xid, created_at, origin, number, changes)
VALUES (@xid, @created_at, @origin, @number, @changes);

-- name: OldestEvents :many
SELECT id, created_at FROM events ORDER BY id LIMIT CAST(@n AS BIGINT);

-- name: DeleteEvents :execrows
DELETE FROM events WHERE id <= @id;
