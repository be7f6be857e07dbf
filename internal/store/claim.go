// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"database/sql"
	"math"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// walkRows is how many task types of jobs one query of the walk returns.
const walkRows = 16

type readyRow struct {
	job      int64
	taskType string
	priority int64
}

type candidate struct{ task, priority, index int64 }

// better orders candidates of one job: higher priority first, then the order of submission.
func (c candidate) better(than candidate) bool {
	return than.task == 0 || c.priority > than.priority || (c.priority == than.priority && c.index < than.index)
}

// NextTask is the task that the worker should get: of the jobs that may run, the one with the highest priority, then
// the oldest; in it the task with the highest priority, then the lowest index. farm.ErrNotExist if there is none, as
// always while the farm is in maintenance.
// Its cost depends on how many jobs stand in front that have nothing for this worker, not on how many tasks there are.
func (tx *Tx) NextTask(w *Worker) (*Task, error) {
	var job []readyRow // the types of the job that is looked at
	look := func() (*Task, error) {
		if len(job) == 0 {
			return nil, nil //nolint:nilnil // there is nothing to look at
		}
		return tx.claims.bestOfJob(tx, w, job)
	}
	for at := firstRow; ; {
		rows, err := tx.jobsToClaim(w, at)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if len(job) > 0 && row.job != job[0].job {
				if t, err := look(); t != nil || err != nil {
					return t, err
				}
				job = job[:0]
			}
			job, at = append(job, row), row
		}
		if len(rows) == walkRows {
			continue
		}
		t, err := look()
		if t == nil && err == nil {
			err = farm.ErrNotExist
		}
		return t, err
	}
}

// firstRow is before every row of the walk.
var firstRow = readyRow{priority: math.MaxInt64}

// claims is what engines do differently for the two levels of a claim.
type claims interface {
	jobsToClaim(tx *Tx, args ...any) (*sql.Rows, error)
	// bestOfJob is the best task of a job, given the types it has for the worker; nil if there is none after all.
	bestOfJob(tx *Tx, w *Worker, types []readyRow) (*Task, error)
}

func (tx *Tx) jobsToClaim(w *Worker, after readyRow) (found []readyRow, err error) {
	if known := tx.seen(); known.walked && after == firstRow {
		known.walked = false
		return known.walk, nil
	}
	rows, err := tx.claims.jobsToClaim(tx, w.id, after.priority, after.job, after.taskType, walkRows)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r readyRow
		if err := rows.Scan(&r.job, &r.taskType, &r.priority); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// Slot is the slot of the worker that has the task or had it last.
func (t *Task) Slot() int { return int(t.slot) }

// TaskInSlot is the task that a worker has in a slot, or farm.ErrNotExist.
func (tx *Tx) TaskInSlot(w *Worker, slot int) (*Task, error) {
	if id, ok := use(&tx.seen().slot, func(*int64) bool { return true }); ok && id == 0 {
		return nil, farm.ErrNotExist
	}
	which := query.ActiveTaskInSlotParams{WorkerID: nullID(w.id), Slot: int64(slot)}
	id, err := tx.q.ActiveTaskInSlot(tx.ctx, which)
	if err == nil && tx.pg != nil { // it may be taken from the worker until its job is locked
		if _, err = tx.lock(lockJobOfTaskID, id); err == nil {
			id, err = tx.q.ActiveTaskInSlot(tx.ctx, which)
		}
	}
	if err != nil {
		return nil, wrap(err)
	}
	return tx.taskByID(id)
}

// Assign gives a task to a worker: a new assignment id, the next generation, an open attempt. The caller sets the
// status and saves the task.
func (tx *Tx) Assign(t *Task, w *Worker, slot int) error {
	t.WorkerID, t.WorkerName, t.worker, t.slot = w.ID, w.Name, w.id, int64(slot)
	t.Assignment = uuid.NewString()
	t.Generation++
	t.LastSequence = 0
	t.LogSize = 0 // each attempt has a log of its own
	t.Touched = tx.now
	return tx.q.InsertAttempt(tx.ctx, query.InsertAttemptParams{
		TaskID: t.id, Generation: t.Generation, Assignment: t.Assignment, WorkerID: w.id, Session: w.Session,
		Slot: int64(slot), StartedAt: tx.stamp(),
	})
}

// Commands are the commands of a task as they were compiled, variables not expanded.
func (tx *Tx) Commands(t *Task) ([]farm.Command, error) {
	if text, ok := use(&tx.seen().command, func(*string) bool { return true }); ok {
		return decodeCommands(text)
	}
	text, err := tx.q.TaskCommandsByID(tx.ctx, t.id)
	if err != nil {
		return nil, wrap(err)
	}
	return decodeCommands(text)
}
