// SPDX-License-Identifier: GPL-3.0-or-later

package bare

import (
	"context"
	"database/sql"

	"flamenco.farm/internal/farm"
)

const (
	insertWorker = `INSERT INTO workers (uuid, secret, name, address, platform, software, status, status_requested, lazy_request,
    can_restart, session, last_seen_at, created_at, updated_at, deleted_at, revision)
VALUES ($1, $2, $3, '', 'linux', '', 'awake', '', FALSE, FALSE, '', 0, 0, 0, 0, 1) RETURNING id`
	insertTaskType = `INSERT INTO worker_task_types (worker_id, task_type, position) VALUES ($1, $2, $3)`
)

// statements are those of a task cycle on SQLite, parsed once, on the one connection that writes.
type statements struct {
	begin, commit           *sql.Stmt
	ready, give, commands   *sql.Stmt
	given, takeReady        *sql.Stmt
	attempt, history        *sql.Stmt
	started, steps, done    *sql.Stmt
	stepped, finished, over *sql.Stmt
	event1, event2, event3  *sql.Stmt
}

const jobColumns = ` RETURNING uuid, name, type, status, priority, n_queued, n_active, n_completed, steps_completed, steps_total`

func (s *statements) prepare(ctx context.Context, conn *sql.Conn) (err error) {
	mine := `WHERE uuid = $1 AND worker_id = $2 AND assignment = $3 AND status = 'active'
    RETURNING id, job_id, name, type, steps_completed, steps_total, generation`
	for at, text := range map[**sql.Stmt]string{
		&s.begin: `BEGIN IMMEDIATE`, &s.commit: `COMMIT`,
		&s.ready: `SELECT r.job_id, r.task_type FROM job_ready r
    JOIN worker_task_types tt ON tt.worker_id = $1 AND tt.task_type = r.task_type
    WHERE r.runnable AND r.ready_count > 0 ORDER BY r.priority DESC, r.job_id LIMIT 1`,
		&s.give: `UPDATE tasks SET status = 'active', ready = FALSE, worker_id = $3, assignment = $4, generation = generation + 1,
        last_sequence = 0, updated_at = $5, touched_at = $5, revision = revision + 1
    WHERE id = (SELECT t.id FROM tasks t WHERE t.job_id = $1 AND t.type = $2 AND t.ready ORDER BY t.priority DESC, t.index_in_job LIMIT 1)
    RETURNING id, uuid, name, priority, steps_completed, steps_total, generation`,
		&s.commands: `SELECT commands FROM task_specs WHERE task_id = $1`,
		&s.given: `UPDATE jobs SET status = 'active', n_queued = n_queued - 1, n_active = n_active + 1, updated_at = $2,
        revision = revision + 1 WHERE id = $1` + jobColumns,
		&s.takeReady: `UPDATE job_ready SET ready_count = ready_count - 1 WHERE job_id = $1 AND task_type = $2`,
		&s.attempt: `INSERT INTO attempts (task_id, generation, assignment, worker_id, session, slot, started_at, ended_at, outcome, reason)
    VALUES ($1, $2, $3, $4, '', 0, $5, 0, '', '')`,
		&s.history: `INSERT INTO status_changes (what, object_id, job_id, from_status, to_status, changed_at, who, reason)
    VALUES ('task', $1, $2, $3, $4, $5, $6, $7)`,
		&s.started: `UPDATE tasks SET activity = $4, updated_at = $5, touched_at = $5, revision = revision + 1 ` + mine,
		&s.steps: `UPDATE tasks SET activity = $4, updated_at = $5, touched_at = $5, steps_completed = $6, log_size = log_size + $7,
        revision = revision + 1 ` + mine,
		&s.done: `UPDATE tasks SET activity = $4, updated_at = $5, touched_at = $5, status = 'completed', steps_completed = steps_total,
        revision = revision + 1 ` + mine,
		&s.stepped: `UPDATE jobs SET steps_completed = steps_completed + $3, updated_at = $2, revision = revision + 1 WHERE id = $1` + jobColumns,
		&s.finished: `UPDATE jobs SET n_active = n_active - 1, n_completed = n_completed + 1, steps_completed = steps_completed + $3,
        updated_at = $2, revision = revision + 1 WHERE id = $1` + jobColumns,
		&s.over:   `UPDATE attempts SET ended_at = $3, outcome = 'completed' WHERE task_id = $1 AND generation = $2`,
		&s.event1: `INSERT INTO bare_events (created_at, topic, payload) VALUES ($1, $2, $3)`,
		&s.event2: `INSERT INTO bare_events (created_at, topic, payload) VALUES ($1, $2, $3), ($1, $4, $5)`,
		&s.event3: `INSERT INTO bare_events (created_at, topic, payload) VALUES ($1, $2, $3), ($1, $4, $5), ($1, $6, $7)`,
	} {
		if *at, err = conn.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // closed with its connection
			return err
		}
	}
	return nil
}

// changeJob runs one of the statements that change the counters of a job.
func changeJob(ctx context.Context, s *sql.Stmt, e *jobEvent, args ...any) error {
	return s.QueryRowContext(ctx, args...).Scan(&e.ID, &e.Name, &e.Type, &e.Status, &e.Priority, &e.Queued, &e.Active, &e.Completed, &e.Done, &e.Total)
}

func (s *statements) claim(ctx context.Context, worker int64, workerID, assignment string) (*task, error) {
	at := now()
	t := &task{}
	if err := s.ready.QueryRowContext(ctx, worker).Scan(&t.jobRow, &t.taskType); err != nil {
		return nil, err
	}
	err := s.give.QueryRowContext(ctx, t.jobRow, t.taskType, worker, assignment, at).
		Scan(&t.row, &t.id, &t.name, &t.priority, &t.done, &t.steps, &t.generation)
	if err != nil {
		return nil, err
	}
	if err := s.commands.QueryRowContext(ctx, t.row).Scan(&t.commands); err != nil {
		return nil, err
	}
	job := jobEvent{Updated: at}
	if err := changeJob(ctx, s.given, &job, t.jobRow, at); err != nil {
		return nil, err
	}
	t.job, t.jobType, t.jobPriority = job.ID, job.Type, job.Priority
	if _, err := s.takeReady.ExecContext(ctx, t.jobRow, t.taskType); err != nil {
		return nil, err
	}
	if _, err := s.attempt.ExecContext(ctx, t.row, t.generation, assignment, worker, at); err != nil {
		return nil, err
	}
	if _, err := s.history.ExecContext(ctx, t.row, t.jobRow, "queued", "active", at, "worker:"+workerID, ""); err != nil {
		return nil, err
	}
	_, err = s.event3.ExecContext(ctx, at,
		"task", payload(taskEvent{ID: t.id, JobID: t.job, Name: t.name, Updated: at, Status: "active", Previous: "queued", StepsCompleted: t.done, StepsTotal: t.steps, WorkerID: workerID}),
		"job", payload(job), "worker", payload(workerEvent{ID: workerID, Updated: at, Task: t.id}))
	return t, err
}

// update is one of the three updates of a cycle: active, steps and log, completed.
func (s *statements) update(ctx context.Context, worker int64, u update) error {
	at := now()
	e := taskEvent{ID: u.taskID, Updated: at, Status: "active", Previous: "active", WorkerID: u.workerID}
	if u.body.Activity != nil {
		e.Activity = *u.body.Activity
	}
	args := []any{u.taskID, worker, u.assignment, e.Activity, at}
	statement, change := s.started, (*sql.Stmt)(nil)
	switch {
	case u.body.TaskStatus != nil && farm.TaskStatus(*u.body.TaskStatus) == farm.TaskCompleted:
		statement, change, e.Status = s.done, s.finished, "completed"
	case u.body.StepsCompleted != nil && u.body.Log != nil:
		statement, change = s.steps, s.stepped
		args = append(args, *u.body.StepsCompleted, len(*u.body.Log))
	}
	var row, jobRow, generation int64
	var taskType string
	err := statement.QueryRowContext(ctx, args...).Scan(&row, &jobRow, &e.Name, &taskType, &e.StepsCompleted, &e.StepsTotal, &generation)
	if err != nil {
		return err
	}
	if change == nil {
		_, err = s.event1.ExecContext(ctx, at, "task", payload(e))
		return err
	}
	job := jobEvent{Updated: at}
	if err := changeJob(ctx, change, &job, jobRow, at, 1); err != nil { // each of the two updates is one of the two steps
		return err
	}
	if e.JobID = job.ID; e.Status == "completed" {
		if _, err := s.over.ExecContext(ctx, row, generation, at); err != nil {
			return err
		}
		if _, err := s.history.ExecContext(ctx, row, jobRow, "active", "completed", at, "worker:"+u.workerID, ""); err != nil {
			return err
		}
	}
	_, err = s.event2.ExecContext(ctx, at, "task", payload(e), "job", payload(job))
	return err
}
