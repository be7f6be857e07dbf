-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: InsertFarm :exec
-- The first Manager that opens a database names the farm.
INSERT INTO farm_state (id, uuid, maintenance, epoch, reason, who, since_at) VALUES (1, @uuid, FALSE, 0, '', '', 0)
ON CONFLICT (id) DO NOTHING;

-- name: FarmState :one
SELECT * FROM farm_state WHERE id = 1;

-- name: UpdateMaintenance :one
UPDATE farm_state SET maintenance = @maintenance, reason = @reason, who = @who, since_at = @since_at, epoch = epoch + 1
WHERE id = 1
RETURNING *;

-- name: SaveManager :exec
INSERT INTO managers (uuid, name, urls, version, pid, state, epoch, started_at, seen_at)
VALUES (@uuid, @name, @urls, @version, @pid, @state, @epoch, @started_at, @seen_at)
ON CONFLICT (uuid) DO UPDATE SET urls = excluded.urls, state = excluded.state, epoch = excluded.epoch,
    seen_at = excluded.seen_at;

-- name: Managers :many
SELECT * FROM managers ORDER BY name, started_at, uuid;

-- name: ManagersAreGone :exec
UPDATE managers SET state = 'gone' WHERE state <> 'gone';

-- name: ForgetManagers :exec
DELETE FROM managers WHERE seen_at < @seen_at;
