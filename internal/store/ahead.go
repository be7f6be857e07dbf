// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"strings"

	"flamenco.farm/internal/store/query"
)

// Ahead names what a transaction will begin with, so that a database at the end of a line is asked for all of it at once.
// It changes nothing of what the transaction may do.
type Ahead struct {
	WorkerID string
	TaskID   string // with its job
	Claim    bool   // a task for the worker, in Slot
	Slot     int
}

// DoAhead is Do for a transaction that says what it will begin with.
func (s *Store) DoAhead(ctx context.Context, a Ahead, fn func(*Tx) error) error {
	if l, ok := s.writer.(*lanes); ok {
		return l.doAhead(ctx, a, fn, shared)
	}
	return s.do(ctx, fn, shared)
}

// known is what was asked ahead. Each part is used once, by whoever asks first: a second look has to see what changed.
type known struct {
	worker  *query.Worker
	task    *query.LockTaskRow
	job     *query.LockJobRow
	slot    *int64 // the task in the slot, 0 = none
	walk    []readyRow
	walked  bool
	command *string // of the task
}

// The rows that sqlc's code reads for LockTask and LockJob, asked for by other keys. The order of columns in a table is
// that of the fields of its struct.
const (
	lockWorkerRow = `SELECT * FROM workers WHERE uuid = $1 AND deleted_at = 0` + forUpdate

	taskColumns   = `SELECT t.*, j.uuid, COALESCE(w.uuid, ''), COALESCE(w.name, '')`
	taskTables    = ` FROM tasks t JOIN jobs j ON j.id = t.job_id LEFT JOIN workers w ON w.id = t.worker_id`
	taskRowWhere  = taskColumns + taskTables + ` WHERE `
	taskRowOfUUID = taskRowWhere + `t.uuid = $1`

	jobRowWhere = `SELECT jobs.*, COALESCE(t.uuid, ''),
    CAST((SELECT COALESCE(sum(r.ready_count), 0) FROM job_ready r WHERE r.job_id = jobs.id) AS BIGINT)
FROM jobs LEFT JOIN tags t ON t.id = jobs.tag_id WHERE `
	jobRowOfTask = jobRowWhere + `jobs.id = (SELECT job_id FROM tasks WHERE uuid = $1)`
	jobRowByID   = jobRowWhere + `jobs.id = $1`

	slotOfWorker = `SELECT t.id FROM tasks t JOIN workers w ON w.id = t.worker_id
WHERE w.uuid = $1 AND t.slot = $2 AND t.status = 'active'`
)

var walkOfWorker = strings.ReplaceAll(jobsToClaimSQLite, "$1", "(SELECT id FROM workers WHERE uuid = $1)")

// lookAhead asks for all that a transaction will begin with.
func (tx *Tx) lookAhead(a Ahead) error {
	if a == (Ahead{}) {
		return nil
	}
	k := &known{}
	var questions []question
	ask := func(statement string, row func(scan func(...any) error) error, args ...any) {
		questions = append(questions, question{statement, args, row})
	}
	if a.WorkerID != "" {
		ask(lockWorkerRow, one(&k.worker), a.WorkerID)
	}
	if a.TaskID != "" {
		var found bool
		questions = append(questions, tx.pg.locking(lockJobOfTask, &found, a.TaskID))
		ask(taskRowOfUUID, one(&k.task), a.TaskID)
		ask(jobRowOfTask, one(&k.job), a.TaskID)
	}
	if a.Claim {
		k.slot, k.walked = new(int64), true
		ask(slotOfWorker, func(scan func(...any) error) error { return scan(k.slot) }, a.WorkerID, a.Slot)
		ask(walkOfWorker, func(scan func(...any) error) error {
			var r readyRow
			err := scan(&r.job, &r.taskType, &r.priority)
			k.walk = append(k.walk, r)
			return err
		}, a.WorkerID, firstRow.priority, firstRow.job, firstRow.taskType, walkRows)
	}
	tx.pg.ahead = k
	return tx.pg.pipe.ask(tx.ctx, questions)
}

// one is what to do with the one row of a question: it goes into a struct of its own.
func one[T any](row **T) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		*row = new(T)
		return scan(fields(*row)...)
	}
}

// use takes what was asked ahead, if it is there and what is meant.
func use[T any](from **T, meant func(*T) bool) (T, bool) {
	row := *from
	if row == nil || !meant(row) {
		var none T
		return none, false
	}
	*from = nil
	return *row, true
}

// seen is what was asked ahead, empty on SQLite.
func (tx *Tx) seen() *known {
	if tx.pg == nil || tx.pg.ahead == nil {
		return &known{}
	}
	return tx.pg.ahead
}

// bestOfJob is the task that a worker should get of a job that may run, nil if none: on PostgreSQL the job is locked
// first, and looked at again then, the maintenance mode too, together with all that is needed to hand the task out.
func (postgresClaims) bestOfJob(tx *Tx, w *Worker, rows []readyRow) (*Task, error) {
	k := &known{}
	job := rows[0].job
	var questions []question
	if b := tx.pg.batch; b != nil {
		if _, err := b.enter(tx.pg, job); err != nil {
			return nil, err
		}
	} else {
		var found bool
		questions = append(questions, tx.pg.locking(lockJobByID, &found, job), question{jobRowByID, []any{job}, one(&k.job)})
	}
	err := tx.pg.pipe.ask(tx.ctx, append(questions, []question{
		{bestTaskRow, []any{job, w.id}, func(scan func(...any) error) error {
			k.task, k.command = &query.LockTaskRow{}, new(string)
			return scan(append(fields(k.task), k.command)...)
		}},
	}...))
	if err != nil || k.task == nil {
		return nil, err
	}
	task := txTask(*k.task)
	k.task = nil
	tx.pg.ahead = k
	return task, nil
}

// bestTaskRow is the row of that task, with its commands.
const bestTaskRow = taskColumns + `, s.commands` + taskTables + ` JOIN task_specs s ON s.task_id = t.id WHERE t.id = ` + bestTaskPostgres

// bestTaskPostgres is the best ready task of a job $1 for the worker $2, of all types that it may still run there.
const bestTaskPostgres = `(SELECT b.id FROM worker_task_types tt
    JOIN job_ready r ON r.job_id = $1 AND r.task_type = tt.task_type AND r.runnable
        AND (r.tag_id IS NULL OR EXISTS (SELECT 1 FROM worker_tags wt WHERE wt.worker_id = $2 AND wt.tag_id = r.tag_id))
    CROSS JOIN LATERAL (SELECT t.id, t.priority, t.index_in_job FROM tasks t
        WHERE t.job_id = $1 AND t.type = tt.task_type AND t.ready
            AND NOT EXISTS (SELECT 1 FROM task_failures f WHERE f.task_id = t.id AND f.worker_id = $2)
        ORDER BY t.priority DESC, t.index_in_job LIMIT 1) b
    WHERE tt.worker_id = $2 AND NOT EXISTS (SELECT 1 FROM farm_state WHERE maintenance)
        AND NOT EXISTS (SELECT 1 FROM job_blocks x WHERE x.job_id = $1 AND x.worker_id = $2 AND x.task_type = tt.task_type)
    ORDER BY b.priority DESC, b.index_in_job LIMIT 1)`
