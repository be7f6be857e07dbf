-- SPDX-License-Identifier: GPL-3.0-or-later

-- name: SleepSchedule :one
SELECT * FROM sleep_schedules WHERE worker_id = @worker_id;

-- name: SleepScheduleByUUID :one
SELECT s.is_active, s.windows FROM sleep_schedules s JOIN workers w ON w.id = s.worker_id WHERE w.uuid = @uuid;

-- name: SaveSleepSchedule :exec
INSERT INTO sleep_schedules (worker_id, is_active, windows, held_status, next_check_at)
VALUES (@worker_id, @is_active, @windows, @held_status, @next_check_at)
ON CONFLICT (worker_id) DO UPDATE SET is_active = excluded.is_active, windows = excluded.windows,
    held_status = excluded.held_status, next_check_at = excluded.next_check_at;

-- name: MoveSleepSchedule :execrows
-- One of several Managers gets to move a schedule on from an edge.
UPDATE sleep_schedules SET held_status = @held_status, next_check_at = @next_check_at
WHERE worker_id = @worker_id AND is_active AND next_check_at = CAST(@was AS BIGINT);

-- name: HoldSleepSchedule :exec
UPDATE sleep_schedules SET held_status = @held_status WHERE worker_id = @worker_id AND is_active;

-- name: DeleteSleepSchedule :exec
DELETE FROM sleep_schedules WHERE worker_id = @worker_id;

-- name: DueSleepSchedules :many
SELECT w.uuid FROM sleep_schedules s JOIN workers w ON w.id = s.worker_id
WHERE s.is_active AND s.next_check_at > 0 AND s.next_check_at <= @next_check_at
ORDER BY s.next_check_at, s.worker_id LIMIT CAST(@n AS BIGINT);

-- name: ActiveSleepSchedules :many
SELECT w.uuid FROM sleep_schedules s JOIN workers w ON w.id = s.worker_id WHERE s.is_active ORDER BY s.worker_id;

-- name: NextSleepCheck :one
SELECT next_check_at FROM sleep_schedules WHERE is_active AND next_check_at > 0 ORDER BY next_check_at LIMIT 1;

-- name: WorkerStatusBefore :one
-- The last change of the status of a worker: from what, and by whom.
SELECT from_status, who FROM status_changes WHERE what = 'worker' AND object_id = @object_id ORDER BY id DESC LIMIT 1;
