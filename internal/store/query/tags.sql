-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: InsertTag :execrows
INSERT INTO tags (uuid, name, description, created_at) VALUES (@uuid, @name, @description, @created_at);

-- name: Tags :many
SELECT * FROM tags ORDER BY name;

-- name: TagByUUID :one
SELECT * FROM tags WHERE uuid = @uuid;

-- name: TagByName :one
SELECT * FROM tags WHERE name = @name;

-- name: UpdateTag :execrows
UPDATE tags SET name = @name, description = @description WHERE uuid = @uuid;

-- name: DeleteTag :execrows
DELETE FROM tags WHERE uuid = @uuid;

-- name: LiveJobsWithTag :many
SELECT uuid FROM jobs WHERE tag_id = @tag_id ORDER BY id;
