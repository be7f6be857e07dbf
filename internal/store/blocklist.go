// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// Block keeps a worker from a task type of a job.
func (tx *Tx) Block(j *Job, w *Worker, taskType string) error {
	return tx.q.InsertBlock(tx.ctx, query.InsertBlockParams{
		JobID: j.id, WorkerID: w.id, TaskType: taskType, CreatedAt: tx.stamp(),
	})
}

// Unblock removes an entry from the blocklist of a job; farm.ErrNotExist if there is none.
func (tx *Tx) Unblock(j *Job, workerID, taskType string) error {
	err := existing(tx.q.DeleteBlock(tx.ctx, query.DeleteBlockParams{JobID: j.id, TaskType: taskType, WorkerUuid: workerID}))
	if err == nil {
		tx.workAdded(j, taskType)
	}
	return err
}

// ForgetFailures clears the blocklist of a job and the failure lists of its tasks.
func (tx *Tx) ForgetFailures(j *Job) error {
	if err := tx.q.ClearBlocks(tx.ctx, j.id); err != nil {
		return err
	}
	return tx.q.ClearJobFailures(tx.ctx, j.id)
}

// ForgetTaskFailures clears the failure list of a task.
func (tx *Tx) ForgetTaskFailures(t *Task) error { return tx.q.ClearFailures(tx.ctx, t.id) }

// Failures is what is known about the failures of a task after one more.
type Failures struct {
	OfTask          int // distinct workers that failed the task
	OfWorker        int // tasks of this type and job that the worker failed
	WorkersLeft     int // other workers that may still run the task
	TypeWorkersLeft int // other workers that may still run tasks of this type of the job
}

// AddFailure notes that a worker failed a task, and counts.
func (tx *Tx) AddFailure(j *Job, t *Task, w *Worker) (f Failures, err error) {
	p := query.InsertFailureParams{TaskID: t.id, WorkerID: w.id, JobID: j.id, CreatedAt: tx.stamp()}
	if err := tx.q.InsertFailure(tx.ctx, p); err != nil {
		return f, err
	}
	ofTask, err := tx.q.CountFailures(tx.ctx, t.id)
	if err != nil {
		return f, err
	}
	ofWorker, err := tx.q.CountWorkerFailures(tx.ctx, query.CountWorkerFailuresParams{WorkerID: w.id, JobID: j.id, Type: t.Type})
	if err != nil {
		return f, err
	}
	left, err := tx.q.CountEligibleForTask(tx.ctx, query.CountEligibleForTaskParams{
		WorkerID: w.id, TaskType: t.Type, TagID: j.tag, JobID: j.id, TaskID: t.id,
	})
	if err != nil {
		return f, err
	}
	typeLeft, err := tx.q.CountEligible(tx.ctx, query.CountEligibleParams{
		WorkerID: w.id, TaskType: t.Type, TagID: j.tag, JobID: j.id,
	})
	return Failures{OfTask: int(ofTask), OfWorker: int(ofWorker), WorkersLeft: int(left), TypeWorkersLeft: int(typeLeft)}, err
}

// CanRun counts the workers that may run a task now: existing, of the right type and tag, not blocked, not failed at it.
func (tx *Tx) CanRun(j *Job, t *Task) (int, error) {
	n, err := tx.q.CountEligibleForTask(tx.ctx, query.CountEligibleForTaskParams{
		TaskType: t.Type, TagID: j.tag, JobID: j.id, TaskID: t.id,
	})
	return int(n), err
}

// FailedWithHelpOf lists tasks of a type that failed for good and that the worker had a part in.
func (tx *Tx) FailedWithHelpOf(j *Job, w *Worker, taskType string) ([]*Task, error) {
	ids, err := tx.q.TasksFailedByWorker(tx.ctx, query.TasksFailedByWorkerParams{WorkerID: w.id, JobID: j.id, Type: taskType})
	if err != nil {
		return nil, err
	}
	return tx.tasksByID(ids)
}

// Hopeless lists up to n waiting tasks that failed before and that no existing worker may try any more.
func (tx *Tx) Hopeless(j *Job, n int) ([]*Task, error) {
	ids, err := tx.q.HopelessTasks(tx.ctx, query.HopelessTasksParams{JobID: j.id, TagID: j.tag, N: int64(n)})
	if err != nil {
		return nil, err
	}
	return tx.tasksByID(ids)
}

// Blocklist lists which workers are kept from which task types of a job.
func (s *Store) Blocklist(ctx context.Context, jobID string) ([]farm.BlocklistEntry, error) {
	rows, err := s.reads.Blocklist(ctx, jobID)
	entries := make([]farm.BlocklistEntry, len(rows))
	for i, r := range rows {
		entries[i] = farm.BlocklistEntry{WorkerID: r.Uuid, WorkerName: r.Name, TaskType: r.TaskType}
	}
	return entries, wrap(err)
}

// FailedBy lists the workers that failed a task, in the order in which they did.
func (s *Store) FailedBy(ctx context.Context, taskID string) ([]farm.TaskWorker, error) {
	rows, err := s.reads.FailedBy(ctx, taskID)
	workers := make([]farm.TaskWorker, len(rows))
	for i, r := range rows {
		workers[i] = farm.TaskWorker{ID: r.Uuid, Name: r.Name, Address: r.Address}
	}
	return workers, wrap(err)
}

// UnblockType lets every worker run a task type of a job again.
func (tx *Tx) UnblockType(j *Job, taskType string) error {
	tx.workAdded(j, taskType)
	return tx.q.DeleteBlocksOfType(tx.ctx, query.DeleteBlocksOfTypeParams{JobID: j.id, TaskType: taskType})
}
