-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: ProjectByUUID :one
SELECT * FROM projects WHERE uuid = @uuid;

-- name: InsertJob :one
INSERT INTO jobs (uuid, project_id, name, type, priority, status, activity, tag_id, requeue_completed, n_queued, n_active,
    n_completed, n_soft_failed, n_failed, n_canceled, n_paused, steps_completed, steps_total, created_at, updated_at,
    delete_requested_at, revision)
VALUES (@uuid, @project_id, @name, @type, @priority, @status, '', @tag_id, FALSE, @n_queued, 0, 0, 0, 0, 0, 0, 0,
    @steps_total, @created_at, @updated_at, 0, 1)
RETURNING id;

-- name: InsertJobSpec :exec
INSERT INTO job_specs (job_id, settings, metadata, shaman_checkout_id, submitter_platform)
VALUES (@job_id, @settings, @metadata, @shaman_checkout_id, @submitter_platform);

-- name: JobByUUID :one
SELECT sqlc.embed(jobs), p.uuid AS project_uuid, COALESCE(t.uuid, '') AS tag_uuid FROM jobs
JOIN projects p ON p.id = jobs.project_id LEFT JOIN tags t ON t.id = jobs.tag_id
WHERE jobs.uuid = @uuid;

-- name: LockJob :one
SELECT sqlc.embed(jobs), COALESCE(t.uuid, '') AS tag_uuid,
    CAST((SELECT COALESCE(sum(r.ready_count), 0) FROM job_ready r WHERE r.job_id = jobs.id) AS BIGINT) AS ready
FROM jobs LEFT JOIN tags t ON t.id = jobs.tag_id WHERE jobs.uuid = @uuid;

-- name: JobSpec :one
SELECT s.* FROM job_specs s JOIN jobs j ON j.id = s.job_id WHERE j.uuid = @uuid;

-- name: UpdateJob :exec
UPDATE jobs SET status = @status, activity = @activity, requeue_completed = @requeue_completed, priority = @priority,
    tag_id = @tag_id, updated_at = @updated_at, revision = revision + 1,
    logs_state = CASE WHEN @status IN ('completed', 'failed', 'canceled') THEN logs_state ELSE 0 END,
    ended_at = CASE WHEN @status IN ('completed', 'failed', 'canceled') THEN @updated_at ELSE CAST(0 AS BIGINT) END
WHERE id = @id;

-- name: SetJobReadyFromJob :exec
UPDATE job_ready SET runnable = @runnable, priority = @priority, tag_id = @tag_id WHERE job_id = @job_id;

-- name: AddJobCounts :exec
UPDATE jobs SET n_queued = n_queued + @queued, n_active = n_active + @active, n_completed = n_completed + @completed,
    n_soft_failed = n_soft_failed + @soft_failed, n_failed = n_failed + @failed, n_canceled = n_canceled + @canceled,
    n_paused = n_paused + @paused, steps_completed = steps_completed + @steps, updated_at = @updated_at,
    revision = revision + 1
WHERE id = @id;

-- name: AddReady :exec
UPDATE job_ready SET ready_count = ready_count + @n WHERE job_id = @job_id AND task_type = @task_type;

-- name: InsertJobReady :exec
INSERT INTO job_ready (job_id, task_type, tag_id, priority, runnable, ready_count)
VALUES (@job_id, @task_type, @tag_id, @priority, @runnable, @ready_count);

-- name: UnsettledJobs :many
-- Jobs that are on their way to a status, or that still have tasks their status or their deletion does not allow.
SELECT j.uuid FROM jobs j WHERE j.id IN (
    SELECT s.id FROM jobs s WHERE s.status IN ('cancel-requested', 'pause-requested', 'requeueing')
        OR (s.status IN ('failed', 'canceled') AND s.n_queued + s.n_active + s.n_soft_failed > 0)
    UNION SELECT d.id FROM jobs d WHERE d.delete_requested_at > 0 AND d.n_queued + d.n_active + d.n_soft_failed > 0)
ORDER BY j.id;

-- name: JobsWithFailures :many
-- Running jobs with waiting tasks that failed before.
SELECT j.uuid FROM jobs j WHERE j.status IN ('queued', 'active') AND EXISTS (SELECT 1 FROM task_failures f
    JOIN tasks t ON t.id = f.task_id WHERE f.job_id = j.id AND t.status IN ('queued', 'soft-failed'))
ORDER BY j.id;

-- name: CountJobsByStatus :many
SELECT status, count(*) AS n FROM jobs GROUP BY status;

-- name: Blocklist :many
SELECT w.uuid, w.name, b.task_type FROM job_blocks b
JOIN workers w ON w.id = b.worker_id JOIN jobs j ON j.id = b.job_id
WHERE j.uuid = @uuid ORDER BY w.name, w.id, b.task_type;

-- name: InsertBlock :exec
INSERT INTO job_blocks (job_id, worker_id, task_type, created_at) VALUES (@job_id, @worker_id, @task_type, @created_at)
ON CONFLICT (job_id, worker_id, task_type) DO NOTHING;

-- name: DeleteBlock :execrows
DELETE FROM job_blocks WHERE job_id = @job_id AND task_type = @task_type
    AND worker_id = (SELECT id FROM workers WHERE uuid = @worker_uuid);

-- name: ClearBlocks :exec
DELETE FROM job_blocks WHERE job_id = @job_id;

-- name: ClearJobFailures :exec
DELETE FROM task_failures WHERE job_id = @job_id;

-- name: InsertStatusChange :exec
INSERT INTO status_changes (what, object_id, job_id, from_status, to_status, changed_at, who, reason)
VALUES (@what, @object_id, @job_id, @from_status, @to_status, @changed_at, @who, @reason);

-- name: JobStatusChanges :many
SELECT c.from_status, c.to_status, c.changed_at, c.who, c.reason FROM status_changes c
JOIN jobs j ON j.id = c.object_id WHERE c.what = 'job' AND j.uuid = @uuid ORDER BY c.id;

-- name: TaskStatusChanges :many
SELECT c.from_status, c.to_status, c.changed_at, c.who, c.reason FROM status_changes c
JOIN tasks t ON t.id = c.object_id WHERE c.what = 'task' AND t.uuid = @uuid ORDER BY c.id;

-- name: WorkerStatusChanges :many
SELECT c.from_status, c.to_status, c.changed_at, c.who, c.reason FROM status_changes c
JOIN workers w ON w.id = c.object_id WHERE c.what = 'worker' AND w.uuid = @uuid ORDER BY c.id;

-- name: WorkerStatusReason :one
SELECT c.reason FROM status_changes c
JOIN workers w ON w.id = c.object_id WHERE c.what = 'worker' AND w.uuid = @uuid ORDER BY c.id DESC LIMIT 1;

-- name: DeleteBlocksOfType :exec
DELETE FROM job_blocks WHERE job_id = @job_id AND task_type = @task_type;

-- name: InsertImportedJob :one
INSERT INTO jobs (uuid, project_id, name, type, priority, status, activity, tag_id, requeue_completed, n_queued, n_active,
    n_completed, n_soft_failed, n_failed, n_canceled, n_paused, steps_completed, steps_total, created_at, updated_at,
    delete_requested_at, ended_at, revision)
VALUES (@uuid, @project_id, @name, @type, @priority, @status, @activity, @tag_id, FALSE, @n_queued, 0, @n_completed,
    @n_soft_failed, @n_failed, @n_canceled, @n_paused, @steps_completed, @steps_total, @created_at, @updated_at,
    @delete_requested_at, CASE WHEN @status IN ('completed', 'failed', 'canceled') THEN @updated_at ELSE CAST(0 AS BIGINT) END, 1)
RETURNING id;
