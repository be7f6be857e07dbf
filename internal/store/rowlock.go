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

// rowLocks is what a transaction on PostgreSQL has locked; nil on SQLite.
type rowLocks struct {
	id   int64 // the last job, 0 = none yet
	uuid string
}

// lock runs one of the statements above. It reports whether there was anything to lock.
func (tx *Tx) lock(statement string, args ...any) (found bool, err error) {
	if tx.locks == nil {
		return true, nil
	}
	rows, err := tx.db.QueryContext(tx.ctx, statement, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&tx.locks.id, &tx.locks.uuid); err != nil {
			return false, err
		}
		found = true
	}
	return found, rows.Err()
}

// lockJob locks a job, unless it is the one that was locked last.
func (tx *Tx) lockJob(uuid string) error {
	if tx.locks == nil || tx.locks.uuid == uuid {
		return nil
	}
	_, err := tx.lock(lockJob, uuid)
	return err
}

// locking is a transaction on PostgreSQL that locks the rows which statements of these names read.
type locking struct{ *sql.Tx }

// lockingStatements read one row of one table, which makes it safe to lock it as it is read.
var lockingStatements = map[string]bool{"LockWorker": true, "LockAnyWorker": true, "LockOperation": true, "LockByName": true}

func (l locking) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	if name, ok := strings.CutPrefix(statement, "-- name: "); ok {
		if name, _, _ = strings.Cut(name, " "); lockingStatements[name] {
			statement += " FOR NO KEY UPDATE"
		}
	}
	return l.Tx.QueryRowContext(ctx, statement, args...)
}
