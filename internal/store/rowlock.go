// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"strings"
)

// What PostgreSQL needs where SQLite has but one writer: rows are locked in the order worker, job. The lock of a job is that
// of all its tasks. A row is read by a statement of its own after it was locked, because a statement that waited for a
// lock sees what was before in every other table.
const (
	lockJob         = `SELECT id, uuid FROM jobs WHERE uuid = $1 FOR NO KEY UPDATE`
	lockJobByID     = `SELECT id, uuid FROM jobs WHERE id = $1 FOR NO KEY UPDATE`
	lockJobOfTask   = `SELECT id, uuid FROM jobs WHERE id = (SELECT job_id FROM tasks WHERE uuid = $1) FOR NO KEY UPDATE`
	lockJobOfTaskID = `SELECT id, uuid FROM jobs WHERE id = (SELECT job_id FROM tasks WHERE id = $1) FOR NO KEY UPDATE`
	lockJobsInHand  = `SELECT id, uuid FROM jobs WHERE id IN (SELECT job_id FROM tasks WHERE worker_id = $1 AND status = 'active')
ORDER BY id FOR NO KEY UPDATE`
)

// pgTx is what a transaction on PostgreSQL knows beyond others.
type pgTx struct {
	pipe  *pipe
	job   lockedJob
	ahead *known
	batch *batch          // nil = the transaction is its caller's alone
	jobs  map[string]*Job // that were read in a batch, as they are now
	later later
}

// batch is what the transaction is a part of, nil if it is its caller's alone.
func (tx *Tx) batch() *batch {
	if tx.pg == nil {
		return nil
	}
	return tx.pg.batch
}

// lockedJob is the job that was locked last; id 0 = none yet.
type lockedJob struct {
	id   int64
	uuid string
}

// lock runs one of the statements above. It reports whether there was anything to lock.
func (tx *Tx) lock(statement string, args ...any) (found bool, err error) {
	if tx.pg == nil {
		return true, nil
	}
	if b := tx.batch(); b != nil {
		return b.lock(tx.pg, statement, args)
	}
	err = tx.pg.pipe.ask(tx.ctx, []question{tx.pg.locking(statement, &found, args...)})
	return found, err
}

// locking is the question that one of the statements above is.
func (p *pgTx) locking(statement string, found *bool, args ...any) question {
	return question{statement, args, func(scan func(...any) error) error {
		*found = true
		return scan(&p.job.id, &p.job.uuid)
	}}
}

// lockJob locks a job, unless it is the one that was locked last.
func (tx *Tx) lockJob(uuid string) error {
	if tx.pg == nil || tx.pg.job.uuid == uuid {
		return nil
	}
	_, err := tx.lock(lockJob, uuid)
	return err
}

// rowLocking is a pipe that locks the rows which statements of these names read.
type rowLocking struct{ *pipe }

// lockingStatements read one row of one table, which makes it safe to lock it as it is read.
var lockingStatements = map[string]bool{"LockWorker": true, "LockAnyWorker": true, "LockOperation": true, "LockByName": true}

func (l rowLocking) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	if name, ok := strings.CutPrefix(statement, "-- name: "); ok {
		if name, _, _ = strings.Cut(name, " "); lockingStatements[name] {
			statement += forUpdate
		}
	}
	return l.pipe.QueryRowContext(ctx, statement, args...)
}

const forUpdate = " FOR NO KEY UPDATE"
