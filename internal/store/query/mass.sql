-- SPDX-License-Identifier: GPL-3.0-or-later

-- A mass change works on a slice of a job: the tasks with an index above one bound and up to another.

-- name: SliceToChange :many
-- The next n tasks to change, counted by what the change does to them, and the highest index of each kind.
SELECT s.type, s.status, s.ready, CAST(s.open_deps = 0 AS BOOLEAN) AS free, count(*) AS n,
    CAST(COALESCE(sum(s.steps_completed), 0) AS BIGINT) AS steps, CAST(max(s.index_in_job) AS BIGINT) AS upto
FROM (
    SELECT t.type, t.status, t.ready, t.open_deps, t.steps_completed, t.index_in_job FROM tasks t
    WHERE t.job_id = @job_id AND t.index_in_job > CAST(@after AS BIGINT)
        AND t.status IN (@s1, @s2, @s3, @s4, @s5)
    ORDER BY t.index_in_job LIMIT CAST(@n AS BIGINT)
) s
GROUP BY s.type, s.status, s.ready, CAST(s.open_deps = 0 AS BOOLEAN);

-- name: SliceCloseAttempts :execrows
UPDATE attempts SET ended_at = @ended_at, outcome = @outcome, reason = @reason
WHERE ended_at = 0 AND task_id IN (SELECT t.id FROM tasks t
    WHERE t.job_id = @job_id AND t.index_in_job > CAST(@after AS BIGINT) AND t.index_in_job <= CAST(@upto AS BIGINT)
        AND t.status = 'active');

-- name: SliceCloseSteps :exec
UPDATE attempt_steps SET ended_at = @ended_at
WHERE ended_at = 0 AND attempt_id IN (SELECT a.id FROM attempts a JOIN tasks t ON t.id = a.task_id
    WHERE t.job_id = @job_id AND t.index_in_job > CAST(@after AS BIGINT) AND t.index_in_job <= CAST(@upto AS BIGINT)
        AND t.status = 'active');

-- name: SliceActive :many
-- The tasks of a slice that a worker runs right now.
SELECT t.uuid AS task_uuid, w.uuid AS worker_uuid FROM tasks t JOIN workers w ON w.id = t.worker_id
WHERE t.job_id = @job_id AND t.index_in_job > CAST(@after AS BIGINT) AND t.index_in_job <= CAST(@upto AS BIGINT)
    AND t.status = 'active';

-- name: SliceHistory :exec
INSERT INTO status_changes (what, object_id, job_id, from_status, to_status, changed_at, who, reason)
SELECT 'task', t.id, t.job_id, t.status, @to_status, @changed_at, @who, @reason FROM tasks t
WHERE t.job_id = @job_id AND t.index_in_job > CAST(@after AS BIGINT) AND t.index_in_job <= CAST(@upto AS BIGINT)
    AND t.status IN (@s1, @s2, @s3, @s4, @s5);

-- name: SliceReadyDependants :many
-- Ready tasks that wait again because a completed task of the slice is requeued.
SELECT t.type, count(*) AS n FROM tasks t
WHERE t.ready AND t.id IN (SELECT d.task_id FROM task_dependencies d JOIN tasks dep ON dep.id = d.dependency_id
    WHERE dep.job_id = @job_id AND dep.index_in_job > CAST(@after AS BIGINT)
        AND dep.index_in_job <= CAST(@upto AS BIGINT) AND dep.status = 'completed')
GROUP BY t.type;

-- name: SliceUpdate :exec
UPDATE tasks SET status = @to_status, activity = @activity, updated_at = @updated_at, revision = revision + 1,
    ready = (CAST(@to_waits AS BOOLEAN) AND open_deps = 0),
    steps_completed = CASE WHEN CAST(@reset_steps AS BOOLEAN) THEN 0 ELSE steps_completed END,
    lost = CASE WHEN CAST(@reset_steps AS BOOLEAN) THEN 0 ELSE lost END
WHERE job_id = @job_id AND index_in_job > CAST(@after AS BIGINT) AND index_in_job <= CAST(@upto AS BIGINT)
    AND status IN (@s1, @s2, @s3, @s4, @s5);
