-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: JobsToMark :many
-- The next jobs of a selection, those marked already included. 0 means: whatever was updated when.
SELECT id, uuid, delete_requested_at FROM jobs
WHERE id > CAST(@after AS BIGINT) AND (CAST(@updated_max AS BIGINT) = 0 OR updated_at <= CAST(@updated_max AS BIGINT))
    AND (NOT CAST(@ended AS BOOLEAN) OR status IN ('completed', 'failed', 'canceled'))
ORDER BY id LIMIT CAST(@n AS BIGINT);

-- name: MarkJobs :exec
UPDATE jobs SET delete_requested_at = @delete_requested_at, revision = revision + 1
WHERE id > CAST(@after AS BIGINT) AND id <= CAST(@upto AS BIGINT) AND delete_requested_at = 0
    AND (CAST(@updated_max AS BIGINT) = 0 OR updated_at <= CAST(@updated_max AS BIGINT))
    AND (NOT CAST(@ended AS BOOLEAN) OR status IN ('completed', 'failed', 'canceled'));

-- name: MarkReady :exec
UPDATE job_ready SET runnable = FALSE WHERE runnable AND job_id > CAST(@after AS BIGINT) AND job_id <= CAST(@upto AS BIGINT)
    AND job_id IN (SELECT j.id FROM jobs j WHERE j.delete_requested_at > 0);

-- name: MarkedJobs :many
SELECT j.id, j.uuid, j.name, s.shaman_checkout_id FROM jobs j JOIN job_specs s ON s.job_id = j.id
WHERE j.delete_requested_at > 0 AND j.id > CAST(@after AS BIGINT) ORDER BY j.id LIMIT CAST(@n AS BIGINT);

-- name: CheckoutUsers :one
-- The jobs that were made from a checkout and that stay.
SELECT count(*) AS n FROM job_specs s JOIN jobs j ON j.id = s.job_id
WHERE s.shaman_checkout_id = @shaman_checkout_id AND s.shaman_checkout_id <> '' AND j.delete_requested_at = 0;

-- name: CountMarkedJobs :one
SELECT count(*) AS n FROM jobs WHERE delete_requested_at > 0;

-- name: DoomedEnd :one
-- The highest index of the first n tasks, 0 when there is none.
SELECT CAST(COALESCE(max(s.index_in_job), 0) AS BIGINT) AS upto FROM (
    SELECT t.index_in_job FROM tasks t WHERE t.job_id = @job_id ORDER BY t.index_in_job LIMIT CAST(@n AS BIGINT)
) s;

-- name: DoomedCounts :many
SELECT t.status, t.ready, count(*) AS n, CAST(COALESCE(sum(t.steps_completed), 0) AS BIGINT) AS steps,
    CAST(COALESCE(sum(t.steps_total), 0) AS BIGINT) AS steps_total
FROM tasks t
WHERE t.job_id = @job_id AND t.index_in_job <= CAST(@upto AS BIGINT)
GROUP BY t.status, t.ready;

-- name: DeleteTaskHistory :exec
-- Before its tasks: the database may give their numbers to others.
DELETE FROM status_changes WHERE what = 'task' AND object_id IN (SELECT t.id FROM tasks t
    WHERE t.job_id = @job_id AND t.index_in_job <= CAST(@upto AS BIGINT));

-- name: DeleteTasks :execrows
DELETE FROM tasks WHERE job_id = @job_id AND index_in_job <= CAST(@upto AS BIGINT);

-- name: ShrinkJob :exec
UPDATE jobs SET steps_total = steps_total - @steps WHERE id = @id;

-- name: DeleteJobHistory :exec
-- Before the job; those of its tasks went with them.
DELETE FROM status_changes WHERE what = 'job' AND object_id = @object_id;

-- name: DeleteJobRow :exec
DELETE FROM jobs WHERE id = @id;
