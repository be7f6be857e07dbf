-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: LockTask :one
SELECT sqlc.embed(t), j.uuid AS job_uuid, COALESCE(w.uuid, '') AS worker_uuid, COALESCE(w.name, '') AS worker_name
FROM tasks t JOIN jobs j ON j.id = t.job_id
LEFT JOIN workers w ON w.id = t.worker_id
WHERE t.uuid = @uuid;

-- name: LockTaskByID :one
SELECT sqlc.embed(t), j.uuid AS job_uuid, COALESCE(w.uuid, '') AS worker_uuid, COALESCE(w.name, '') AS worker_name
FROM tasks t JOIN jobs j ON j.id = t.job_id
LEFT JOIN workers w ON w.id = t.worker_id
WHERE t.id = @id;

-- name: TaskByUUID :one
SELECT sqlc.embed(t), j.uuid AS job_uuid, COALESCE(w.uuid, '') AS worker_uuid, COALESCE(w.name, '') AS worker_name,
    COALESCE(w.address, '') AS worker_address
FROM tasks t JOIN jobs j ON j.id = t.job_id LEFT JOIN workers w ON w.id = t.worker_id
WHERE t.uuid = @uuid;

-- name: GlanceAtTask :one
SELECT w.session, w.status_requested, w.lazy_request, w.last_seen_at, COALESCE(j.uuid, '') AS job_uuid,
    CAST(COALESCE(t.worker_id = w.id, FALSE) AS BOOLEAN) AS held, COALESCE(t.status, '') AS status,
    COALESCE(t.assignment, '') AS assignment, COALESCE(t.generation, 0) AS generation,
    COALESCE(t.last_sequence, 0) AS last_sequence, COALESCE(t.log_size, 0) AS log_size,
    COALESCE(t.touched_at, 0) AS touched_at
FROM workers w LEFT JOIN tasks t ON t.uuid = @task_uuid LEFT JOIN jobs j ON j.id = t.job_id
WHERE w.uuid = @uuid AND w.deleted_at = 0;

-- name: TaskCommands :one
SELECT s.commands FROM task_specs s JOIN tasks t ON t.id = s.task_id WHERE t.uuid = @uuid;

-- name: TaskCommandsByID :one
SELECT commands FROM task_specs WHERE task_id = @task_id;

-- name: WorkerTask :one
-- The active task of a worker, else the one it was given last, found without sorting all that it ever did.
SELECT CAST(COALESCE(
    (SELECT t.uuid FROM tasks t WHERE t.worker_id = w.id AND t.status = 'active' ORDER BY t.slot LIMIT 1),
    (SELECT t.uuid FROM attempts a JOIN tasks t ON t.id = a.task_id WHERE a.worker_id = w.id ORDER BY a.id DESC LIMIT 1),
    '') AS TEXT) AS task_uuid
FROM workers w WHERE w.uuid = @uuid;

-- name: ActiveTasksOfWorker :many
SELECT id FROM tasks WHERE worker_id = @worker_id AND status = 'active' ORDER BY slot;

-- name: ActiveTaskInSlot :one
SELECT id FROM tasks WHERE worker_id = @worker_id AND slot = @slot AND status = 'active';

-- name: UpdateTask :exec
UPDATE tasks SET status = @status, activity = @activity, ready = @ready, worker_id = @worker_id, slot = @slot,
    assignment = @assignment, generation = @generation, last_sequence = @last_sequence, log_size = @log_size,
    steps_completed = @steps_completed, lost = @lost, updated_at = @updated_at, touched_at = @touched_at,
    revision = revision + 1
WHERE id = @id;

-- name: UpdateTaskProgress :exec
-- What changes while a worker runs the task. The columns of the indexes by which tasks are claimed are left alone: SQLite
-- writes every index of which a column is set, changed or not.
UPDATE tasks SET activity = @activity, last_sequence = @last_sequence, log_size = @log_size,
    steps_completed = @steps_completed, updated_at = @updated_at, touched_at = @touched_at, revision = revision + 1
WHERE id = @id;

-- name: TouchTask :exec
UPDATE tasks SET touched_at = @touched_at WHERE id = @id;

-- name: CloseDependency :many
UPDATE tasks SET open_deps = open_deps - 1, ready = (open_deps = 1 AND status IN ('queued', 'soft-failed'))
WHERE id IN (SELECT task_id FROM task_dependencies WHERE dependency_id = @dependency_id)
RETURNING type, ready;

-- name: OpenDependency :many
-- Told before the change: ready is what the dependants were.
SELECT t.id, t.type, t.ready FROM tasks t JOIN task_dependencies d ON d.task_id = t.id
WHERE d.dependency_id = @dependency_id;

-- name: ReopenDependants :exec
UPDATE tasks SET open_deps = open_deps + 1, ready = FALSE
WHERE id IN (SELECT task_id FROM task_dependencies WHERE dependency_id = @dependency_id);

-- name: InsertFailure :exec
INSERT INTO task_failures (task_id, worker_id, job_id, created_at) VALUES (@task_id, @worker_id, @job_id, @created_at)
ON CONFLICT (task_id, worker_id) DO NOTHING;

-- name: ClearFailures :exec
DELETE FROM task_failures WHERE task_id = @task_id;

-- name: CountFailures :one
SELECT count(*) AS n FROM task_failures WHERE task_id = @task_id;

-- name: CountWorkerFailures :one
SELECT count(*) AS n FROM task_failures f JOIN tasks t ON t.id = f.task_id
WHERE f.worker_id = @worker_id AND t.job_id = @job_id AND t.type = @type;

-- name: FailedBy :many
SELECT w.uuid, w.name, w.address FROM task_failures f JOIN workers w ON w.id = f.worker_id
JOIN tasks t ON t.id = f.task_id WHERE t.uuid = @uuid ORDER BY f.created_at, w.id;

-- name: TasksFailedByWorker :many
-- Tasks of a type that failed for good and that this worker had a part in.
SELECT t.id FROM tasks t JOIN task_failures f ON f.task_id = t.id
WHERE f.worker_id = @worker_id AND t.job_id = @job_id AND t.type = @type AND t.status = 'failed'
ORDER BY t.index_in_job;

-- name: HopelessTasks :many
-- Waiting tasks that failed before and that no existing worker may try any more.
SELECT t.id FROM tasks t
WHERE t.id IN (SELECT f.task_id FROM task_failures f WHERE f.job_id = @job_id) AND t.status IN ('queued', 'soft-failed')
    AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.deleted_at = 0
        AND EXISTS (SELECT 1 FROM worker_task_types tt WHERE tt.worker_id = w.id AND tt.task_type = t.type)
        AND (CAST(@tag_id AS BIGINT) = 0
            OR EXISTS (SELECT 1 FROM worker_tags wt WHERE wt.worker_id = w.id AND wt.tag_id = CAST(@tag_id AS BIGINT)))
        AND NOT EXISTS (SELECT 1 FROM job_blocks b
            WHERE b.job_id = t.job_id AND b.worker_id = w.id AND b.task_type = t.type)
        AND NOT EXISTS (SELECT 1 FROM task_failures f WHERE f.task_id = t.id AND f.worker_id = w.id))
ORDER BY t.index_in_job LIMIT CAST(@n AS BIGINT);

-- name: DependantsToRequeue :many
-- What depends on a task, directly or not, and is not queued.
WITH RECURSIVE above (id) AS (
    SELECT d.task_id FROM task_dependencies d WHERE d.dependency_id = @task_id
    UNION
    SELECT d.task_id FROM task_dependencies d JOIN above a ON d.dependency_id = a.id
)
SELECT t.id FROM tasks t JOIN above a ON a.id = t.id WHERE t.status <> 'queued' ORDER BY t.index_in_job;

-- name: UntouchedTasks :many
-- Ordered as the index of active tasks is: by id, every task of the farm would be looked at.
SELECT uuid FROM tasks WHERE status = 'active' AND touched_at < @touched_at
ORDER BY worker_id, slot LIMIT CAST(@n AS BIGINT);

-- name: InsertAttempt :exec
INSERT INTO attempts (task_id, generation, assignment, worker_id, session, slot, started_at, ended_at, outcome, reason)
VALUES (@task_id, @generation, @assignment, @worker_id, @session, @slot, @started_at, 0, '', '');

-- name: CloseAttempt :exec
UPDATE attempts SET ended_at = @ended_at, outcome = @outcome, reason = @reason, exit_code = @exit_code
WHERE task_id = @task_id AND generation = @generation AND ended_at = 0;

-- name: ReopenedAttempt :exec
-- A result that was accepted after its lease ran out replaces the outcome lost.
UPDATE attempts SET ended_at = @ended_at, outcome = @outcome, reason = @reason, exit_code = @exit_code
WHERE task_id = @task_id AND generation = @generation AND outcome = 'lost';

-- name: CloseAttemptSteps :exec
UPDATE attempt_steps SET ended_at = @ended_at
WHERE ended_at = 0 AND attempt_id = (SELECT a.id FROM attempts a WHERE a.task_id = @task_id AND a.generation = @generation);

-- name: StartAttemptStep :exec
INSERT INTO attempt_steps (attempt_id, command_index, command, started_at, ended_at)
SELECT a.id, @command_index, @command, @started_at, 0 FROM attempts a WHERE a.assignment = @assignment
ON CONFLICT (attempt_id, command_index) DO NOTHING;

-- name: EndAttemptStep :exec
UPDATE attempt_steps SET ended_at = @ended_at, exit_code = @exit_code
WHERE command_index = @command_index AND ended_at = 0
    AND attempt_id = (SELECT a.id FROM attempts a WHERE a.assignment = @assignment);

-- name: Attempts :many
SELECT sqlc.embed(a), t.uuid AS task_uuid, w.uuid AS worker_uuid, w.name AS worker_name FROM attempts a
JOIN tasks t ON t.id = a.task_id JOIN workers w ON w.id = a.worker_id
WHERE t.uuid = @uuid ORDER BY a.generation;

-- name: AttemptSteps :many
SELECT s.* FROM attempt_steps s JOIN attempts a ON a.id = s.attempt_id JOIN tasks t ON t.id = a.task_id
WHERE t.uuid = @uuid ORDER BY s.attempt_id, s.command_index;

-- name: TaskIDs :many
SELECT id FROM tasks WHERE job_id = @job_id ORDER BY index_in_job;

-- name: AttemptOutcome :one
SELECT outcome FROM attempts WHERE task_id = @task_id AND generation = @generation;

-- name: ReopenAttempt :exec
UPDATE attempts SET ended_at = 0, outcome = '', reason = '' WHERE task_id = @task_id AND generation = @generation;

-- name: StaleTasks :many
-- Active tasks of workers not heard of since one moment, or since an earlier one for tasks that stop by themselves.
SELECT t.uuid FROM tasks t JOIN workers w ON w.id = t.worker_id
WHERE t.status = 'active' AND w.last_seen_at < CAST(@keep_before AS BIGINT)
    AND (t.on_disconnect = 'keep' OR w.last_seen_at < CAST(@stop_before AS BIGINT))
ORDER BY t.worker_id, t.slot LIMIT CAST(@n AS BIGINT);
