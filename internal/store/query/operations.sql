-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: InsertOperation :exec
INSERT INTO operations (uuid, kind, params, status, activity, done, total, who, manager, runs, crashes, created_at, started_at,
    ended_at, cancel_requested_at, revision)
VALUES (@uuid, @kind, @params, 'queued', '', 0, 0, @who, @manager, 0, 0, @created_at, 0, 0, 0, 1);

-- name: OperationByUUID :one
SELECT * FROM operations WHERE uuid = @uuid;

-- name: LockOperation :one
SELECT * FROM operations WHERE uuid = @uuid;

-- name: WaitingOperation :one
-- One that is queued and will do the same.
SELECT * FROM operations WHERE status = 'queued' AND kind = @kind AND params = @params AND manager = @manager LIMIT 1;

-- name: QueuedOperations :many
-- Those that are for any Manager or for this one.
SELECT * FROM operations WHERE status = 'queued' AND manager IN ('', @manager) AND id > @after ORDER BY id LIMIT CAST(@n AS BIGINT);

-- name: RunningOperations :many
SELECT * FROM operations WHERE status = 'running' ORDER BY id;

-- name: LostOperations :many
-- Those that run under a Manager that has not been seen since a moment, or wait for such a one alone.
SELECT * FROM operations o WHERE (o.status = 'running' OR o.status = 'queued' AND o.manager <> '') AND NOT EXISTS (SELECT 1 FROM managers m
    WHERE m.uuid = o.manager AND m.state <> 'gone' AND m.seen_at >= CAST(@seen_at AS BIGINT))
ORDER BY o.id;

-- name: UpdateOperation :exec
UPDATE operations SET status = @status, activity = @activity, done = @done, total = @total, manager = @manager, runs = @runs,
    crashes = @crashes, started_at = @started_at, ended_at = @ended_at, cancel_requested_at = @cancel_requested_at,
    revision = revision + 1
WHERE uuid = @uuid;

-- name: ForgetOperations :many
-- Of those that have ended: all from before a moment, and all but the newest.
DELETE FROM operations WHERE operations.id IN (SELECT o.id FROM operations o WHERE o.ended_at > 0
    AND (o.ended_at < CAST(@before AS BIGINT) OR o.id NOT IN (SELECT n.id FROM operations n WHERE n.ended_at > 0
        ORDER BY n.id DESC LIMIT CAST(@keep AS BIGINT)))
    ORDER BY o.id LIMIT CAST(@n AS BIGINT))
RETURNING uuid;

-- name: CancelQueuedOperations :many
UPDATE operations SET status = 'canceled', activity = @activity, ended_at = @ended_at, revision = revision + 1
WHERE status = 'queued'
RETURNING uuid;

-- name: LockByName :one
SELECT * FROM locks WHERE name = @name;

-- name: LocksOf :many
SELECT * FROM locks WHERE owner = @owner ORDER BY name;

-- name: CountLocks :one
SELECT count(*) AS n FROM locks;

-- name: InsertLock :execrows
INSERT INTO locks (name, owner, epoch, version) VALUES (@name, @owner, @epoch, 1) ON CONFLICT (name) DO NOTHING;

-- name: UpdateLock :execrows
UPDATE locks SET owner = @owner, epoch = @epoch, version = version + 1 WHERE name = @name AND version = @version;

-- name: DeleteLock :execrows
DELETE FROM locks WHERE name = @name AND version = @version;
