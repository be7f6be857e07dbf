// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"database/sql"
	"errors"
)

// The two levels of a claim on SQLite, where one writer at a time makes locks unnecessary.
//
// jobsToClaimSQLite walks the task types with ready tasks of the jobs that may run, best first, for the worker $1, from
// behind the cursor ($2 priority, $3 job, $4 task type) on, at most $5 rows. In a maintenance there is none: asked here, it
// costs nothing that one could measure.
//
// taskToClaimSQLite is the best ready task of a job $1 and type $2 that the worker $3 has not failed at.
const (
	jobsToClaimSQLite = `
SELECT r.job_id, r.task_type, r.priority FROM job_ready r
JOIN worker_task_types tt ON tt.worker_id = $1 AND tt.task_type = r.task_type
WHERE r.runnable AND r.ready_count > 0 AND NOT EXISTS (SELECT 1 FROM farm_state WHERE maintenance)
    AND (r.priority < $2 OR (r.priority = $2 AND (r.job_id > $3 OR (r.job_id = $3 AND r.task_type > $4))))
    AND (r.tag_id IS NULL OR EXISTS (SELECT 1 FROM worker_tags wt WHERE wt.worker_id = $1 AND wt.tag_id = r.tag_id))
    AND NOT EXISTS (SELECT 1 FROM job_blocks b
        WHERE b.job_id = r.job_id AND b.worker_id = $1 AND b.task_type = r.task_type)
ORDER BY r.priority DESC, r.job_id, r.task_type LIMIT $5`

	taskToClaimSQLite = `
SELECT t.id, t.priority, t.index_in_job FROM tasks t
WHERE t.job_id = $1 AND t.type = $2 AND t.ready
    AND NOT EXISTS (SELECT 1 FROM task_failures f WHERE f.task_id = t.id AND f.worker_id = $3)
ORDER BY t.priority DESC, t.index_in_job LIMIT 1`
)

// sqliteClaims are the two, parsed once: a claim runs them in every transaction.
type sqliteClaims struct{ jobs, task *sql.Stmt }

func (c sqliteClaims) jobsToClaim(tx *Tx, args ...any) (*sql.Rows, error) {
	return c.jobs.QueryContext(tx.ctx, args...)
}

func (c sqliteClaims) bestOfJob(tx *Tx, w *Worker, types []readyRow) (*Task, error) {
	var best candidate
	for _, row := range types {
		found, err := c.bestTask(tx, w, row)
		if err != nil {
			return nil, err
		}
		if found.task != 0 && found.better(best) {
			best = found
		}
	}
	if best.task == 0 {
		return nil, nil //nolint:nilnil // as its interface says
	}
	return tx.taskByID(best.task)
}

func (c sqliteClaims) bestTask(tx *Tx, w *Worker, r readyRow) (found candidate, err error) {
	err = c.task.QueryRowContext(tx.ctx, r.job, r.taskType, w.id).Scan(&found.task, &found.priority, &found.index)
	if errors.Is(err, sql.ErrNoRows) {
		return candidate{}, nil
	}
	return found, err
}
