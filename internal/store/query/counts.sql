-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: CountTasksToDo :one
-- The tasks of jobs that have not ended; there are few of those, however many jobs there were.
SELECT CAST(COALESCE(sum(n_queued), 0) AS BIGINT) AS queued, CAST(COALESCE(sum(n_active), 0) AS BIGINT) AS active,
    CAST(COALESCE(sum(n_completed), 0) AS BIGINT) AS completed, CAST(COALESCE(sum(n_soft_failed), 0) AS BIGINT) AS soft_failed,
    CAST(COALESCE(sum(n_failed), 0) AS BIGINT) AS failed, CAST(COALESCE(sum(n_canceled), 0) AS BIGINT) AS canceled,
    CAST(COALESCE(sum(n_paused), 0) AS BIGINT) AS paused
FROM jobs
WHERE status IN ('under-construction', 'queued', 'active', 'cancel-requested', 'pause-requested', 'paused', 'requeueing');

-- name: CountReady :one
-- Tasks that a worker could get now.
SELECT CAST(COALESCE(sum(ready_count), 0) AS BIGINT) AS n FROM job_ready WHERE runnable AND ready_count > 0;

-- name: LongestReady :one
-- When the one of the tasks next in line that waits for longest last changed, 0 = none waits. Next in line are the best
-- ready tasks of each job and type, of the oldest jobs. The + 0 keeps SQLite from reading the rows of jobs that have ended.
SELECT CAST(COALESCE(min(since), 0) AS BIGINT) AS since FROM (
    SELECT (SELECT t.updated_at FROM tasks t WHERE t.job_id = r.job_id AND t.type = r.task_type AND t.ready
        ORDER BY t.priority DESC, t.index_in_job LIMIT 1) AS since
    FROM (SELECT job_id, task_type FROM job_ready WHERE runnable AND ready_count > 0
        ORDER BY job_id + 0 LIMIT CAST(@n AS BIGINT)) r) w;

-- name: CountOpenOperations :many
SELECT status, count(*) AS n FROM operations WHERE status IN ('queued', 'running') GROUP BY status;
