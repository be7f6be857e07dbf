// SPDX-License-Identifier: GPL-3.0-or-later

package bare

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"flamenco.farm/internal/farm"
)

// postgres does each transaction with one statement, so that the database is asked once and a lock is held no longer than
// it takes to commit.
type postgres struct{ db *sql.DB }

// connections is how many transactions run at once.
const connections = 16

const (
	claimPostgres = `
WITH r AS MATERIALIZED (
    SELECT r.job_id, r.task_type FROM job_ready r
    JOIN worker_task_types tt ON tt.task_type = r.task_type
    JOIN workers w ON w.id = tt.worker_id AND w.uuid = $1
    WHERE r.runnable AND r.ready_count > 0 ORDER BY r.priority DESC, r.job_id LIMIT 1),
pick AS MATERIALIZED (
    SELECT t.id FROM tasks t WHERE t.job_id = (SELECT job_id FROM r) AND t.type = (SELECT task_type FROM r) AND t.ready
    ORDER BY t.priority DESC, t.index_in_job LIMIT 1 FOR UPDATE OF t SKIP LOCKED),
given AS (
    UPDATE tasks SET status = 'active', ready = FALSE, worker_id = (SELECT id FROM workers WHERE uuid = $1), assignment = $2,
        generation = generation + 1, last_sequence = 0, updated_at = $3, touched_at = $3, revision = revision + 1
    WHERE id = (SELECT id FROM pick) RETURNING *),
a AS (
    INSERT INTO attempts (task_id, generation, assignment, worker_id, session, slot, started_at, ended_at, outcome, reason)
    SELECT id, generation, $2, worker_id, '', 0, $3, 0, '', '' FROM given),
h AS (
    INSERT INTO status_changes (what, object_id, job_id, from_status, to_status, changed_at, who, reason)
    SELECT 'task', id, job_id, 'queued', 'active', $3, 'worker:' || $1, '' FROM given),
rd AS (
    UPDATE job_ready SET ready_count = ready_count - 1 FROM given WHERE job_ready.job_id = given.job_id AND job_ready.task_type = given.type),
j AS (
    UPDATE jobs SET status = 'active', n_queued = n_queued - 1, n_active = n_active + 1, updated_at = $3, revision = revision + 1
    WHERE id = (SELECT job_id FROM given) RETURNING *),
e AS (
    INSERT INTO bare_events (created_at, topic, payload)
    SELECT $3, 'task', ` + taskPayload + ` FROM given t, j
    UNION ALL SELECT $3, 'job', ` + jobPayload + ` FROM j
    UNION ALL SELECT $3, 'worker', json_build_object('id', $1, 'updated', $3, 'task', uuid)::text FROM given)
SELECT given.uuid, j.uuid, given.name, given.type, j.type, given.priority, j.priority, given.steps_completed, given.steps_total,
    s.commands
FROM given JOIN j ON TRUE JOIN task_specs s ON s.task_id = given.id`

	taskPayload = `json_build_object('id', t.uuid, 'job_id', j.uuid, 'name', t.name, 'updated', t.updated_at, 'status', t.status,
        'previous_status', '', 'activity', t.activity, 'steps_completed', t.steps_completed, 'steps_total', t.steps_total,
        'worker', $1)::text`
	jobPayload = `json_build_object('id', uuid, 'name', name, 'type', type, 'status', status, 'priority', priority,
        'updated', updated_at, 'queued', n_queued, 'active', n_active, 'completed', n_completed,
        'steps_completed', steps_completed, 'steps_total', steps_total)::text`

	// The Worker $1, the time $3, the task $4, the assignment $2, the activity $5.
	mine = ` WHERE uuid = $4 AND assignment = $2 AND status = 'active'
        AND worker_id = (SELECT id FROM workers WHERE uuid = $1) RETURNING *)`
	progress = `
WITH given AS (UPDATE tasks SET activity = $5, updated_at = $3, touched_at = $3, revision = revision + 1`

	activePostgres = progress + mine + `,
e AS (
    INSERT INTO bare_events (created_at, topic, payload)
    SELECT $3, 'task', ` + taskPayload + ` FROM given t JOIN jobs j ON j.id = t.job_id)
SELECT id FROM given`

	stepsPostgres = progress + `, steps_completed = $6, log_size = log_size + $7` + mine + `,
j AS (
    UPDATE jobs SET steps_completed = steps_completed + 1, updated_at = $3, revision = revision + 1
    WHERE id = (SELECT job_id FROM given) RETURNING *),
e AS (
    INSERT INTO bare_events (created_at, topic, payload)
    SELECT $3, 'task', ` + taskPayload + ` FROM given t, j UNION ALL SELECT $3, 'job', ` + jobPayload + ` FROM j)
SELECT id FROM given`

	donePostgres = progress + `, status = 'completed', steps_completed = steps_total` + mine + `,
a AS (
    UPDATE attempts SET ended_at = $3, outcome = 'completed' FROM given
    WHERE attempts.task_id = given.id AND attempts.generation = given.generation),
h AS (
    INSERT INTO status_changes (what, object_id, job_id, from_status, to_status, changed_at, who, reason)
    SELECT 'task', id, job_id, 'active', 'completed', $3, 'worker:' || $1, '' FROM given),
j AS (
    UPDATE jobs SET n_active = n_active - 1, n_completed = n_completed + 1, steps_completed = steps_completed + 1,
        updated_at = $3, revision = revision + 1
    WHERE id = (SELECT job_id FROM given) RETURNING *),
e AS (
    INSERT INTO bare_events (created_at, topic, payload)
    SELECT $3, 'task', ` + taskPayload + ` FROM given t, j UNION ALL SELECT $3, 'job', ` + jobPayload + ` FROM j)
SELECT id FROM given`
)

// typed gives parameters their types, which the server cannot guess in every place.
var typed = strings.NewReplacer("$1", "$1::text", "$2", "$2::text", "$3", "$3::bigint", "$4", "$4::text", "$5", "$5::text", "$6", "$6::bigint", "$7", "$7::bigint").Replace

var (
	typedClaim  = typed(claimPostgres)
	typedActive = typed(activePostgres)
	typedSteps  = typed(stepsPostgres)
	typedDone   = typed(donePostgres)
)

func openPostgres(ctx context.Context, address string, full bool) (engine, error) {
	if !full {
		separator := "?"
		if strings.Contains(address, "?") {
			separator = "&"
		}
		address += separator + "synchronous_commit=off"
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if _, err := db.ExecContext(ctx, fmt.Sprintf(eventTable, "BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY")); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &postgres{db}, nil
}

// Close closes the database.
func (p *postgres) Close() error { return p.db.Close() }

// WorkerSecret is the hash of a Worker's secret.
func (p *postgres) WorkerSecret(ctx context.Context, id string) (hash string, err error) {
	err = p.db.QueryRowContext(ctx, `SELECT secret FROM workers WHERE uuid = $1`, id).Scan(&hash)
	return hash, orNotExist(err)
}

func orNotExist(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return farm.ErrNotExist
	}
	return err
}

func (p *postgres) register(ctx context.Context, w newWorker) error {
	var row int64
	if err := p.db.QueryRowContext(ctx, insertWorker, w.id, w.secretHash, w.name).Scan(&row); err != nil {
		return err
	}
	for i, t := range w.taskTypes {
		if _, err := p.db.ExecContext(ctx, insertTaskType, row, t, i); err != nil {
			return err
		}
	}
	return nil
}

func (p *postgres) claim(ctx context.Context, worker, assignment string) (*task, error) {
	t := &task{}
	err := p.db.QueryRowContext(ctx, typedClaim, worker, assignment, now()).
		Scan(&t.id, &t.job, &t.name, &t.taskType, &t.jobType, &t.priority, &t.jobPriority, &t.done, &t.steps, &t.commands)
	return t, orNotExist(err)
}

func (p *postgres) update(ctx context.Context, u update) error {
	activity := ""
	if u.body.Activity != nil {
		activity = *u.body.Activity
	}
	statement := typedActive
	args := []any{u.workerID, u.assignment, now(), u.taskID, activity}
	switch {
	case u.body.TaskStatus != nil && farm.TaskStatus(*u.body.TaskStatus) == farm.TaskCompleted:
		statement = typedDone
	case u.body.StepsCompleted != nil && u.body.Log != nil:
		statement = typedSteps
		args = append(args, *u.body.StepsCompleted, len(*u.body.Log))
	}
	var row int64
	return orNotExist(p.db.QueryRowContext(ctx, statement, args...).Scan(&row))
}

func (p *postgres) mayRun(ctx context.Context, worker, task string) (may bool, err error) {
	err = p.db.QueryRowContext(ctx, `SELECT t.status = 'active' AND w.uuid = $2 FROM tasks t JOIN workers w ON w.id = t.worker_id WHERE t.uuid = $1`,
		task, worker).Scan(&may)
	return may, orNotExist(err)
}
