// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
	"flamenco.farm/internal/store"
)

// A mass change goes on in slices, so that no other writer waits long. A caller waits for the first few, which is all
// there is for most jobs; the background does the rest.
const (
	sliceTasks   = 1000
	callerSlices = 5
	callerTime   = 100 * time.Millisecond // after which no further one is begun for a caller
)

// rest lets a job take the statuses that follow from its tasks. more means that a mass change is due, which has to be
// done outside this transaction, by settle.
func rest(tx *store.Tx, j *store.Job, why store.Why) (more bool, err error) {
	for {
		step := nextStep(j)
		switch {
		case step.None():
			return false, nil
		case len(step.Tasks) > 0:
			return true, nil
		}
		if err := take(tx, j, step, why); err != nil {
			return false, err
		}
	}
}

// nextStep is what has to happen next so that a job comes to rest.
func nextStep(j *store.Job) flow.Step {
	if j.DeleteRequested {
		return flow.DeletionStep(flowJob(j))
	}
	return flow.NextStep(flowJob(j))
}

// take gives the job the status of a step.
func take(tx *store.Tx, j *store.Job, step flow.Step, why store.Why) error {
	if step.Reason != "" {
		why.Reason = step.Reason
	}
	j.Status = step.Status
	if j.Status != farm.JobRequeueing {
		j.RequeueCompleted = false
	}
	j.Activity = changedTo(string(step.Status), why.Reason)
	return tx.SaveJob(j, why)
}

// changedTo is the activity of a job or task after a change of its status.
func changedTo(status, reason string) string {
	if reason == "" {
		return "Changed to status " + status
	}
	return fmt.Sprintf("Changed to status %s: %s", status, reason)
}

// settle does the first slices of what is due for a job and leaves the rest to the background, also when it fails.
func (s *Service) settle(ctx context.Context, jobID string) error {
	after, begin := 0, time.Now()
	for n := 0; n < callerSlices && time.Since(begin) < callerTime; n++ {
		done, err := s.settleSlice(ctx, jobID, &after)
		if err != nil {
			s.settleLater()
			return err
		}
		if done {
			return nil
		}
	}
	s.settleLater()
	return nil
}

// settleWhole does everything that is due for a job.
func (s *Service) settleWhole(ctx context.Context, jobID string) error {
	for after := 0; ; {
		if done, err := s.settleSlice(ctx, jobID, &after); err != nil || done {
			return err
		}
	}
}

// settleLater wakes the background, which looks for the jobs itself.
func (s *Service) settleLater() {
	select {
	case s.todo <- struct{}{}:
	default: // it has not begun to look yet
	}
}

// settleSlice does one slice or one change of status. after is where the slices of the present mass change go on.
func (s *Service) settleSlice(ctx context.Context, jobID string, after *int) (done bool, err error) {
	err = s.store.DoAlone(ctx, func(tx *store.Tx) error {
		j, err := tx.Job(jobID)
		if farm.IsNotExist(err) {
			done = true
			return nil
		}
		if err != nil {
			return err
		}
		step := nextStep(j)
		switch {
		case step.None():
			done = true
			return nil
		case len(step.Tasks) == 0:
			return take(tx, j, step, store.ByManager(""))
		}
		mass := store.Mass{From: step.Tasks, To: step.TasksTo, Activity: changedTo(string(step.TasksTo), step.Reason)}
		next, end, err := tx.ChangeSlice(j, mass, *after, sliceTasks, store.ByManager(step.Reason))
		if end {
			next = 0
		}
		*after = next
		return err
	})
	return done, err
}

const (
	// retryAfter is the pause before changes are tried again that could not be made.
	retryAfter = time.Second
	// othersEvery is how often it is looked for changes that another Manager left half done when it ended.
	othersEvery = 15 * time.Second
)

// settleInBackground finishes mass changes, beginning with those that an earlier run of the Manager left half done.
func (s *Service) settleInBackground(ctx context.Context) error {
	others := time.NewTicker(othersEvery)
	defer others.Stop()
	for {
		var again <-chan time.Time // never, unless something failed
		if err := s.settleUnsettled(ctx); err != nil && !canceled(err) {
			s.Log.Error("cannot finish the changes of jobs, will try again", "error", err)
			again = time.After(retryAfter)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.todo:
		case <-again:
		case <-others.C:
		}
	}
}

func (s *Service) settleUnsettled(ctx context.Context) error {
	jobs, err := s.store.UnsettledJobs(ctx)
	errs := []error{err}
	for _, id := range jobs {
		if err := s.settleWhole(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("job %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}
