-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: InsertWorker :one
INSERT INTO workers (uuid, secret, name, address, platform, software, status, status_requested, lazy_request,
    can_restart, session, last_seen_at, created_at, updated_at, deleted_at, revision)
VALUES (@uuid, @secret, @name, @address, @platform, @software, @status, '', FALSE, FALSE, '', @last_seen_at,
    @created_at, @updated_at, 0, 1)
RETURNING *;

-- name: WorkerByUUID :one
SELECT * FROM workers WHERE uuid = @uuid AND deleted_at = 0;

-- name: LockWorker :one
SELECT * FROM workers WHERE uuid = @uuid AND deleted_at = 0;

-- name: LockAnyWorker :one
SELECT * FROM workers WHERE uuid = @uuid;

-- name: WorkerSecret :one
SELECT secret FROM workers WHERE uuid = @uuid AND deleted_at = 0;

-- name: UpdateWorker :exec
UPDATE workers SET name = @name, address = @address, software = @software, status = @status,
    status_requested = @status_requested, lazy_request = @lazy_request, can_restart = @can_restart,
    session = @session, last_seen_at = @last_seen_at, updated_at = @updated_at, deleted_at = @deleted_at,
    revision = revision + 1
WHERE id = @id;

-- name: TouchWorker :exec
UPDATE workers SET last_seen_at = @last_seen_at WHERE id = @id;

-- name: DeleteWorkerTaskTypes :exec
DELETE FROM worker_task_types WHERE worker_id = @worker_id;

-- name: InsertWorkerTaskType :exec
INSERT INTO worker_task_types (worker_id, task_type, position) VALUES (@worker_id, @task_type, @position)
ON CONFLICT (worker_id, task_type) DO NOTHING;

-- name: WorkerTaskTypes :many
SELECT task_type FROM worker_task_types WHERE worker_id = @worker_id ORDER BY position;

-- name: DeleteWorkerTags :exec
DELETE FROM worker_tags WHERE worker_id = @worker_id;

-- name: InsertWorkerTag :exec
INSERT INTO worker_tags (worker_id, tag_id)
SELECT @worker_id, t.id FROM tags t WHERE t.uuid = @uuid
ON CONFLICT (worker_id, tag_id) DO NOTHING;

-- name: WorkerTags :many
SELECT t.* FROM tags t JOIN worker_tags wt ON wt.tag_id = t.id WHERE wt.worker_id = @worker_id ORDER BY t.name;

-- name: SilentWorkers :many
SELECT uuid FROM workers
WHERE deleted_at = 0 AND last_seen_at < @last_seen_at AND status NOT IN ('error', 'offline')
ORDER BY id;

-- name: CountWorkersByStatus :many
SELECT status, count(*) AS n FROM workers WHERE deleted_at = 0 GROUP BY status;

-- name: CountEligible :one
-- Workers that exist, support the type, carry the tag (if any) and are not blocked; the first number leaves out one worker.
SELECT count(*) AS n FROM workers w
WHERE w.deleted_at = 0 AND w.id <> @worker_id
    AND EXISTS (SELECT 1 FROM worker_task_types tt WHERE tt.worker_id = w.id AND tt.task_type = @task_type)
    AND (CAST(@tag_id AS BIGINT) = 0
        OR EXISTS (SELECT 1 FROM worker_tags wt WHERE wt.worker_id = w.id AND wt.tag_id = CAST(@tag_id AS BIGINT)))
    AND NOT EXISTS (SELECT 1 FROM job_blocks b
        WHERE b.job_id = @job_id AND b.worker_id = w.id AND b.task_type = @task_type);

-- name: CountEligibleForTask :one
SELECT count(*) AS n FROM workers w
WHERE w.deleted_at = 0 AND w.id <> @worker_id
    AND EXISTS (SELECT 1 FROM worker_task_types tt WHERE tt.worker_id = w.id AND tt.task_type = @task_type)
    AND (CAST(@tag_id AS BIGINT) = 0
        OR EXISTS (SELECT 1 FROM worker_tags wt WHERE wt.worker_id = w.id AND wt.tag_id = CAST(@tag_id AS BIGINT)))
    AND NOT EXISTS (SELECT 1 FROM job_blocks b
        WHERE b.job_id = @job_id AND b.worker_id = w.id AND b.task_type = @task_type)
    AND NOT EXISTS (SELECT 1 FROM task_failures f WHERE f.task_id = @task_id AND f.worker_id = w.id);

-- name: AnyWorkerByUUID :one
SELECT * FROM workers WHERE uuid = @uuid;

-- name: InsertImportedWorker :one
INSERT INTO workers (uuid, secret, name, address, platform, software, status, status_requested, lazy_request,
    can_restart, session, last_seen_at, created_at, updated_at, deleted_at, revision)
VALUES (@uuid, @secret, @name, @address, @platform, @software, @status, @status_requested, @lazy_request,
    @can_restart, '', @last_seen_at, @created_at, @updated_at, @deleted_at, 1)
RETURNING id;
