// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"context"
	"fmt"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
	"flamenco.farm/internal/store"
)

// Submit stores a compiled job with all its tasks, or nothing.
func (s *Service) Submit(ctx context.Context, n farm.NewJob) (farm.Job, error) {
	switch n.InitialStatus {
	case "", farm.JobQueued, farm.JobPaused:
	default:
		return farm.Job{}, farm.Errorf(farm.CodeInvalid, "initial_status: a job starts queued or paused, not %q", n.InitialStatus)
	}
	if reason := s.Suspended(); reason != "" {
		return farm.Job{}, farm.Errorf(farm.CodeUnavailable, "no jobs are taken: %s", reason)
	}
	var id string
	err := s.store.DoAlone(ctx, func(tx *store.Tx) (err error) {
		if err := tx.OutsideMaintenance(); err != nil {
			return err
		}
		if id, err = tx.InsertJob(n); err != nil {
			return err
		}
		j, err := tx.Job(id)
		if err != nil {
			return err
		}
		_, err = rest(tx, j, store.ByManager("")) // a job without tasks is completed at once
		return err
	})
	if err != nil {
		return farm.Job{}, err
	}
	return s.store.Job(ctx, id)
}

// SetJobStatus does what a person asks of a job.
func (s *Service) SetJobStatus(ctx context.Context, jobID string, asked farm.JobStatus, reason, who string, at ...AtRevision) error {
	more := false
	err := s.store.Do(ctx, func(tx *store.Tx) error {
		j, err := lockJob(tx, jobID, at...)
		if err == nil && j.DeleteRequested {
			err = errDeleting
		}
		if err != nil {
			return err
		}
		to, change, err := flow.JobRequest(j.Status, asked)
		if err != nil || !change {
			return err
		}
		if to == farm.JobRequeueing {
			j.RequeueCompleted = j.Status == farm.JobCompleted
			if err := tx.ForgetFailures(j); err != nil {
				return err
			}
		}
		j.Status = to
		j.Activity = changedTo(string(to), reason)
		why := store.Why{Who: who, Reason: reason}
		if err := tx.SaveJob(j, why); err != nil {
			return err
		}
		more, err = rest(tx, j, why)
		return err
	})
	if err != nil || !more {
		return err
	}
	return s.settle(ctx, jobID)
}

// SetJobPriority changes which job goes first; running tasks go on.
func (s *Service) SetJobPriority(ctx context.Context, jobID string, priority int, at ...AtRevision) error {
	if priority < 0 || priority > 100 {
		return farm.Errorf(farm.CodeInvalid, "priority: %d is not between 0 and 100", priority)
	}
	return s.store.Do(ctx, func(tx *store.Tx) error {
		j, err := lockJob(tx, jobID, at...)
		if err != nil {
			return err
		}
		j.Priority = priority
		return tx.SaveJob(j, store.Why{})
	})
}

// SetJobTag changes which workers may run the job: those with the tag, or any for "". Running tasks go on.
func (s *Service) SetJobTag(ctx context.Context, jobID, tagID string, at ...AtRevision) error {
	var after aftermath
	err := s.store.Do(ctx, func(tx *store.Tx) error {
		after = aftermath{jobID: jobID}
		j, err := lockJob(tx, jobID, at...)
		if err != nil {
			return err
		}
		if err := tx.SetTag(j, tagID); err != nil {
			if farm.IsNotExist(err) {
				return farm.Errorf(farm.CodeNoSuchTag, "there is no worker tag %s", tagID)
			}
			return err
		}
		if err := tx.SaveJob(j, store.Why{}); err != nil {
			return err
		}
		if err := failHopeless(tx, j); err != nil {
			return err
		}
		after.settle, err = rest(tx, j, store.ByManager(""))
		return err
	})
	if err != nil {
		return err
	}
	return s.finish(ctx, after)
}

// Unblock takes workers off the blocklist of a job.
func (s *Service) Unblock(ctx context.Context, jobID string, entries []farm.BlocklistEntry) error {
	return s.store.Do(ctx, func(tx *store.Tx) error {
		j, err := lockJob(tx, jobID)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := tx.Unblock(j, e.WorkerID, e.TaskType); err != nil && !farm.IsNotExist(err) {
				return err
			}
		}
		return nil
	})
}

// WaitJob returns when the job is at another revision than the one named, is gone, or ctx ends.
func (s *Service) WaitJob(ctx context.Context, jobID string, revision int64) error {
	sub := s.Bus.Subscribe(func(c farm.Change) bool {
		return c.JobID == jobID || (c.Kind == farm.ChangeRefresh && c.JobID == "")
	})
	defer sub.Close()
	for {
		j, err := s.store.Job(ctx, jobID)
		if err != nil || j.Revision != revision {
			return err
		}
		select {
		case <-sub.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// SetTaskStatus does what a person asks of a task: cancel it, requeue it with all that depends on it, or fail it.
func (s *Service) SetTaskStatus(ctx context.Context, taskID string, to farm.TaskStatus, reason, who string, at ...AtRevision) error {
	t, err := s.store.PeekTask(ctx, taskID)
	if farm.IsNotExist(err) {
		return farm.Errorf(farm.CodeNotFound, "there is no task %s", taskID)
	}
	if err != nil {
		return err
	}
	// A job that just ended takes its tasks along first.
	if err := s.settleWhole(ctx, t.JobID); err != nil {
		return err
	}
	after := aftermath{jobID: t.JobID}
	err = s.store.DoAlone(ctx, func(tx *store.Tx) error {
		j, err := lockJob(tx, t.JobID)
		if err == nil && j.DeleteRequested {
			err = errDeleting
		}
		if err != nil {
			return err
		}
		t, err := tx.Task(taskID)
		if err == nil {
			err = unchanged(t.Revision, at)
		}
		if err != nil {
			return err
		}
		if err := flow.TaskTransition(flow.ByPerson, t.Status, to); err != nil || t.Status == to {
			return err
		}
		after.log = logOf(t)
		after.line = fmt.Sprintf("Status changed from %s to %s: %s", t.Status, to, reason)
		why := store.Why{Who: who, Reason: reason}
		if to == farm.TaskQueued {
			err = requeueWithDependants(tx, j, t, why)
		} else {
			err = end(tx, j, t, to, why)
		}
		if err != nil {
			return err
		}
		after.settle, err = rest(tx, j, why)
		return err
	})
	if err != nil {
		return err
	}
	return s.finish(ctx, after)
}

// end cancels or fails a task because a person says so.
func end(tx *store.Tx, j *store.Job, t *store.Task, to farm.TaskStatus, why store.Why) error {
	outcome := farm.OutcomeCanceled
	if to == farm.TaskFailed {
		outcome = farm.OutcomeFailed
	}
	if err := tx.EndAttempt(t, outcome, why.Reason, nil); err != nil {
		return err
	}
	t.Status = to
	t.Activity = changedTo(string(to), why.Reason)
	if err := tx.SaveTask(j, t, why); err != nil {
		return err
	}
	if to == farm.TaskFailed {
		return failedForGood(tx, j, false, why)
	}
	return nil
}

// requeueWithDependants puts a task and all that was made from its result back to the start, and wakes a job that had
// ended. Whoever failed them before may try again.
func requeueWithDependants(tx *store.Tx, j *store.Job, t *store.Task, why store.Why) error {
	status, err := flow.RequeueTask(j.Status)
	if err != nil {
		return err
	}
	dependants, err := tx.Dependants(t)
	if err != nil {
		return err
	}
	for _, t := range append([]*store.Task{t}, dependants...) {
		if err := requeueAfresh(tx, j, t, why); err != nil {
			return err
		}
	}
	if status == j.Status {
		return nil
	}
	return take(tx, j, flow.Step{Status: status}, why)
}

func requeueAfresh(tx *store.Tx, j *store.Job, t *store.Task, why store.Why) error {
	if err := tx.ForgetTaskFailures(t); err != nil {
		return err
	}
	t, err := tx.Task(t.ID) // what was requeued before may have opened a dependency of it
	if err != nil {
		return err
	}
	t.Lost = 0
	if err := requeue(tx, j, t, why); err != nil {
		return err
	}
	if j.Status.Runnable() { // also for those who wait because they failed at it before
		tx.Changed(farm.Change{Kind: farm.ChangeWork, JobID: j.ID, TagID: j.TagID, TaskTypes: []string{t.Type}})
	}
	left, err := tx.CanRun(j, t)
	if err != nil || left > 0 {
		return err
	}
	return tx.UnblockType(j, t.Type)
}

func lockJob(tx *store.Tx, id string, at ...AtRevision) (*store.Job, error) {
	j, err := tx.Job(id)
	switch {
	case farm.IsNotExist(err):
		return nil, farm.Errorf(farm.CodeNotFound, "there is no job %s", id)
	case err != nil:
		return nil, err
	}
	return j, unchanged(j.Revision, at)
}
