-- SPDX-License-Identifier: GPL-3.0-or-later

-- The files of a job that is to be deleted may be gone already.

-- name: SetLastRendered :execrows
INSERT INTO last_rendered (job_id, rendered_at) SELECT j.id, CAST(@rendered_at AS BIGINT) FROM jobs j
WHERE j.uuid = @uuid AND j.delete_requested_at = 0
ON CONFLICT (job_id) DO UPDATE SET rendered_at = excluded.rendered_at;

-- name: JobRenderedAt :one
SELECT r.rendered_at FROM last_rendered r JOIN jobs j ON j.id = r.job_id
WHERE j.uuid = @uuid AND j.delete_requested_at = 0;

-- name: LastRenderedJob :one
SELECT j.uuid, r.rendered_at FROM last_rendered r JOIN jobs j ON j.id = r.job_id
WHERE r.job_id NOT IN (SELECT d.id FROM jobs d WHERE d.delete_requested_at > 0) ORDER BY r.rendered_at DESC LIMIT 1;
