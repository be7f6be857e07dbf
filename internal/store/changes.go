// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"time"

	"flamenco.farm/internal/farm"
)

// Changed notes a change for those who wait for it.
func (tx *Tx) Changed(c farm.Change) { tx.changes = append(tx.changes, c) }

// noted is the change of an object that was noted in this transaction: a second one replaces what the first one told.
type noted int // 0 = none yet

func (tx *Tx) note(n *noted, c farm.Change) *farm.Change {
	if *n == 0 {
		tx.Changed(c)
		*n = noted(len(tx.changes))
	}
	return &tx.changes[*n-1]
}

// wants reports whether anybody listens to changes of a kind, so that it is worth while to say what they are.
func (tx *Tx) wants(kind farm.ChangeKind) bool { return tx.wanted != nil && tx.wanted(kind) }

// jobChanged notes what the job is now.
func (tx *Tx) jobChanged(j *Job) *farm.Change {
	c := tx.note(&j.noted, farm.Change{Kind: farm.ChangeJob, JobID: j.ID})
	c.Moved, c.Was = j.first != j.Status, string(j.first)
	if !tx.wants(farm.ChangeJob) {
		return c
	}
	c.Now = &farm.JobChange{
		ID: j.ID, Name: j.Name, Type: j.Type, Status: j.Status, Previous: j.first, Priority: j.Priority, Updated: j.updated,
		StepsCompleted: j.StepsCompleted, StepsTotal: j.StepsTotal, DeleteRequestedAt: j.deleteRequestedAt,
		Tasks: j.Counts,
	}
	return c
}

// manyTasksChanged says of the noted change of a job that its tasks have to be read again.
func (tx *Tx) manyTasksChanged(j *Job) {
	tx.jobChanged(j).Mass = true
}

func (tx *Tx) taskChanged(t *Task, before storedTask) {
	c := tx.note(&t.noted, farm.Change{Kind: farm.ChangeTask, JobID: t.JobID, TaskID: t.ID})
	if before.generation == t.Generation && before.log < t.LogSize {
		c.Log = &farm.LogPart{Generation: t.Generation, From: before.log, To: t.LogSize}
	}
	c.WorkerID, c.Was = t.WorkerID, string(t.first)
	if !tx.wants(farm.ChangeTask) {
		return
	}
	c.Now = &farm.TaskChange{
		ID: t.ID, JobID: t.JobID, Name: t.Name, Type: t.Type, IndexInJob: t.IndexInJob, Status: t.Status,
		Previous: t.first, Activity: t.Activity, StepsCompleted: t.StepsCompleted, StepsTotal: t.StepsTotal,
		Updated: tx.now, WorkerID: t.WorkerID, WorkerName: t.WorkerName,
	}
}

// WorkerChanged notes what the worker is now; for changes around it, such as a task that it got.
func (tx *Tx) WorkerChanged(w *Worker) {
	c := tx.note(&w.noted, farm.Change{Kind: farm.ChangeWorker, WorkerID: w.ID})
	c.Moved, c.Was = w.first != w.Status || w.Deleted, string(w.first)
	if !tx.wants(farm.ChangeWorker) {
		return
	}
	deleted := time.Time{}
	if w.Deleted {
		deleted = tx.now
	}
	c.Now = &farm.WorkerChange{
		ID: w.ID, Name: w.Name, Status: w.Status, Previous: w.first, Requested: w.Requested, Software: w.Software,
		Updated: w.Updated, LastSeen: w.LastSeen, DeletedAt: deleted, CanRestart: w.CanRestart,
	}
}

func (tx *Tx) tagChanged(t farm.Tag, deleted bool) {
	c := farm.Change{Kind: farm.ChangeTag, TagID: t.ID}
	if tx.wants(farm.ChangeTag) {
		c.Now = &farm.TagChange{Tag: t, Deleted: deleted}
	}
	tx.Changed(c)
}

// jobSubmitted notes a new job.
func (tx *Tx) jobSubmitted(n farm.NewJob, steps int) {
	c := farm.Change{Kind: farm.ChangeJob, JobID: n.ID, Moved: true}
	if tx.wants(farm.ChangeJob) {
		c.Now = &farm.JobChange{
			ID: n.ID, Name: n.Name, Type: n.Type, Status: n.InitialStatus, Priority: n.Priority, Updated: tx.now,
			StepsTotal: steps, Tasks: farm.TaskCounts{Queued: len(n.Tasks)},
		}
	}
	tx.Changed(c)
}
