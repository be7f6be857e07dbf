// SPDX-License-Identifier: GPL-3.0-or-later

package store

import "database/sql"

// The two levels of a claim on PostgreSQL; their parameters are those of the SQLite statements. The walk reads without a lock,
// so the second statement, which runs when the job is locked, looks again whether the job still may run.
const (
	jobsToClaimPostgres = jobsToClaimSQLite

	taskToClaimPostgres = `
SELECT t.id, t.priority, t.index_in_job FROM tasks t
WHERE t.job_id = $1 AND t.type = $2 AND t.ready
    AND EXISTS (SELECT 1 FROM job_ready r WHERE r.job_id = $1 AND r.task_type = $2 AND r.runnable)
    AND NOT EXISTS (SELECT 1 FROM task_failures f WHERE f.task_id = t.id AND f.worker_id = $3)
ORDER BY t.priority DESC, t.index_in_job LIMIT 1`
)

// postgresClaims leaves it to each connection to parse a statement once.
type postgresClaims struct{}

func (postgresClaims) jobsToClaim(tx *Tx, args ...any) (*sql.Rows, error) {
	return tx.db.QueryContext(tx.ctx, jobsToClaimPostgres, args...)
}

func (postgresClaims) bestTask(tx *Tx, args ...any) *sql.Row {
	return tx.db.QueryRowContext(tx.ctx, taskToClaimPostgres, args...)
}
