-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: JobsByLogsState :many
SELECT uuid, revision FROM jobs
WHERE logs_state = @logs_state AND ended_at <= @ended_at AND status IN ('completed', 'failed', 'canceled')
ORDER BY ended_at, id LIMIT CAST(@n AS BIGINT);

-- name: FirstByLogsState :one
SELECT ended_at FROM jobs
WHERE logs_state = @logs_state AND status IN ('completed', 'failed', 'canceled') ORDER BY ended_at LIMIT 1;

-- name: SetLogsState :exec
-- A job that has changed since it was seen is looked at again. Nobody is told: this is no change of the job.
UPDATE jobs SET logs_state = @logs_state
WHERE uuid = @uuid AND revision = @revision AND status IN ('completed', 'failed', 'canceled');
