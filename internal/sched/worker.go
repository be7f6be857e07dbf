// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
	"flamenco.farm/internal/store"
)

// Register makes a new worker known. It is offline until it signs on.
func (s *Service) Register(ctx context.Context, r Registration) (farm.Worker, error) {
	var id string
	err := s.store.Do(ctx, func(tx *store.Tx) error {
		w, err := tx.InsertWorker(farm.Worker{
			Name: r.Name, Address: r.Address, Platform: r.Platform, Status: farm.WorkerOffline, TaskTypes: r.TaskTypes,
		}, r.SecretHash)
		if err == nil {
			id = w.ID
		}
		return err
	})
	if err != nil {
		return farm.Worker{}, err
	}
	return s.store.Worker(ctx, id)
}

// WorkerSecret is what the secret of a worker is checked against; farm.ErrNotExist for an unknown or deleted worker.
func (s *Service) WorkerSecret(ctx context.Context, workerID string) (string, error) {
	return s.store.WorkerSecret(ctx, workerID)
}

// SignOn starts a new session of a worker. What the session before still had is returned to the queue. A worker that joins a
// session is refused if that is over: on its way it may have been overtaken by the worker's next one.
func (s *Service) SignOn(ctx context.Context, workerID string, r SignOn) (SignedOn, error) {
	if r.Session == "" {
		r.Session = uuid.NewString()
	}
	var answer SignedOn
	err := s.changeWorker(ctx, Caller{WorkerID: workerID, Session: r.Joined}, "signed on", func(tx *store.Tx, w *store.Worker) error {
		if r.Session == w.Session { // its answer was lost, or it was late on its way: the session goes on
			return s.signedOnAgain(tx, w, &answer)
		}
		w.Name, w.Address, w.Software, w.CanRestart = r.Name, r.Address, r.Software, r.CanRestart
		w.Status = farm.WorkerStarting
		w.Session = r.Session
		scheduled, err := s.scheduledStatus(tx, w, farm.WorkerAwake)
		if err != nil {
			return err
		}
		status := flow.SignOnStatus(w.Requested, scheduled)
		if w.Requested != nil && w.Requested.Status != status {
			w.Requested = nil
		}
		answer = SignedOn{Status: status, Session: w.Session, Lease: s.WorkerTimeout}
		return tx.SetTaskTypes(w, r.TaskTypes)
	})
	if err != nil {
		return SignedOn{}, err
	}
	return answer, s.failHopelessTasks(ctx) // it may run fewer types than before
}

// signedOnAgain answers a sign-on whose session has begun already.
func (s *Service) signedOnAgain(tx *store.Tx, w *store.Worker, answer *SignedOn) error {
	scheduled, err := s.scheduledStatus(tx, w, farm.WorkerAwake)
	*answer = SignedOn{Status: flow.SignOnStatus(w.Requested, scheduled), Session: w.Session, Lease: s.WorkerTimeout}
	return err
}

// SignOff ends the session of a worker. One that was awake or asleep resumes that status when it signs on again.
func (s *Service) SignOff(ctx context.Context, c Caller) error {
	return s.changeWorker(ctx, c, "signed off", func(_ *store.Tx, w *store.Worker) error {
		if r := w.Requested; r != nil && (r.Status == farm.WorkerOffline || r.Status == farm.WorkerRestart) {
			w.Requested = nil
		} else if r == nil && (w.Status == farm.WorkerAwake || w.Status == farm.WorkerAsleep) {
			w.Requested = &farm.StatusRequest{Status: w.Status}
		}
		w.Status = farm.WorkerOffline
		return nil
	})
}

// RequestedStatus is the status that the worker should take, nil if it may stay as it is.
func (s *Service) RequestedStatus(ctx context.Context, c Caller) (*farm.StatusRequest, error) {
	w, err := s.store.PeekWorker(ctx, c.WorkerID)
	if err != nil {
		return nil, err
	}
	if c.Session != "" && c.Session != w.Session {
		return nil, errSessionOver
	}
	if s.fresh(w.LastSeen) && w.Status != farm.WorkerError {
		return w.Requested, nil
	}
	var requested *farm.StatusRequest
	err = s.store.Do(ctx, func(tx *store.Tx) error {
		w, err := s.worker(tx, c)
		if err != nil {
			return err
		}
		requested, err = s.backFromSilence(tx, w)
		return err
	})
	return requested, err
}

// backFromSilence is what is asked of a worker that calls without asking for a task. One that rests does not know that it
// was silent and got status error for that: it is asked for the status it should have, and says then that it has it.
func (s *Service) backFromSilence(tx *store.Tx, w *store.Worker) (*farm.StatusRequest, error) {
	if w.Requested != nil || w.Status != farm.WorkerError {
		return w.Requested, nil
	}
	before, who, err := tx.StatusBefore(w)
	if err != nil || who != store.ByManager("").Who {
		return nil, err // it said itself that something is wrong
	}
	if before != farm.WorkerAsleep {
		before = farm.WorkerAwake
	}
	scheduled, err := s.scheduledStatus(tx, w, before)
	return &farm.StatusRequest{Status: scheduled}, err
}

// reasonLimit is how much of a worker's reason is kept, in bytes.
const reasonLimit = 1000

// StateChanged takes the word of a worker for the status it is in now, and for why, which may be "".
func (s *Service) StateChanged(ctx context.Context, c Caller, status farm.WorkerStatus, why string) error {
	reason := "worker went to status " + string(status)
	if why != "" {
		reason += ": " + strings.ToValidUTF8(why[:min(len(why), reasonLimit)], "")
	}
	return s.changeWorker(ctx, c, reason, func(_ *store.Tx, w *store.Worker) error {
		if w.Requested != nil && w.Requested.Status == status {
			w.Requested = nil
		}
		w.Status = status
		return nil
	})
}

// changeWorker changes a worker and takes its tasks from it if its new status says so.
func (s *Service) changeWorker(ctx context.Context, c Caller, reason string, change func(*store.Tx, *store.Worker) error) error {
	var after []aftermath
	err := s.store.Do(ctx, func(tx *store.Tx) error {
		after = nil
		w, err := s.worker(tx, c)
		if err != nil {
			return err
		}
		was := w.Status
		if err := change(tx, w); err != nil {
			return err
		}
		tx.Seen(w)
		if err := tx.SaveWorker(w, store.ByWorker(w.ID, reason)); err != nil {
			return err
		}
		if flow.ReturnsTasks(was, w.Status) {
			after, err = s.returnTasks(tx, w, "worker "+w.Name+" "+strings.TrimPrefix(reason, "worker "))
		}
		return err
	})
	if err == nil {
		s.finishLater(after)
	}
	return err
}

// returnTasks gives back all tasks that a worker has in hand.
func (s *Service) returnTasks(tx *store.Tx, w *store.Worker, reason string) (after []aftermath, err error) {
	tasks, err := tx.ActiveTasks(w)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		j, err := tx.Job(t.JobID)
		if err != nil {
			return nil, err
		}
		if err := s.lose(tx, j, t, w, reason); err != nil {
			return nil, err
		}
		more, err := rest(tx, j, store.ByManager(""))
		if err != nil {
			return nil, err
		}
		line := fmt.Sprintf("Task taken from the worker, its status is now %s: %s", t.Status, reason)
		after = append(after, aftermath{jobID: t.JobID, log: logOf(t), settle: more, line: line})
	}
	return after, nil
}

// RequestWorkerStatus asks a worker to take a status, at once or after its present task.
func (s *Service) RequestWorkerStatus(ctx context.Context, workerID string, r farm.StatusRequest, at ...AtRevision) error {
	return s.store.Do(ctx, func(tx *store.Tx) error {
		w, err := lockWorker(tx, workerID)
		if err == nil {
			err = unchanged(w.Revision, at)
		}
		if err != nil {
			return err
		}
		withdraw, err := flow.WorkerRequest(w.Status, r.Status, w.CanRestart)
		if err != nil {
			return err
		}
		w.Requested = &r
		if withdraw {
			w.Requested = nil
		}
		if err := tx.HoldSleepSchedule(w, r.Status); err != nil {
			return err
		}
		return tx.SaveWorker(w, store.Why{})
	})
}

// SetWorkerTags replaces the tags of a worker.
func (s *Service) SetWorkerTags(ctx context.Context, workerID string, tagIDs []string) error {
	err := s.store.Do(ctx, func(tx *store.Tx) error {
		w, err := lockWorker(tx, workerID)
		if err != nil {
			return err
		}
		if err := tx.SetTags(w, tagIDs); err != nil {
			return err
		}
		return tx.SaveWorker(w, store.Why{})
	})
	if err != nil {
		return err
	}
	return s.failHopelessTasks(ctx)
}

// DeleteWorker removes a worker from the farm; its history stays. What it was running goes back to the queue.
func (s *Service) DeleteWorker(ctx context.Context, workerID string) error {
	var after []aftermath
	err := s.store.Do(ctx, func(tx *store.Tx) error {
		w, err := lockWorker(tx, workerID)
		if err != nil {
			return err
		}
		w.Deleted = true
		w.Status = farm.WorkerOffline
		if err := tx.DeleteSleepSchedule(w); err != nil {
			return err
		}
		if err := tx.SaveWorker(w, store.Why{Who: "user", Reason: "deleted"}); err != nil {
			return err
		}
		after, err = s.returnTasks(tx, w, "worker "+w.Name+" was deleted")
		return err
	})
	if err != nil {
		return err
	}
	s.finishLater(after)
	return s.failHopelessTasks(ctx)
}

// DeleteTag removes a tag from the farm, its workers and its jobs.
func (s *Service) DeleteTag(ctx context.Context, tagID string) error {
	err := s.store.Do(ctx, func(tx *store.Tx) error { return tx.DeleteTag(tagID) })
	if err != nil {
		return err
	}
	return s.failHopelessTasks(ctx)
}

// failHopelessTasks looks through the running jobs for tasks that nobody is left to try, after a worker went or changed.
func (s *Service) failHopelessTasks(ctx context.Context) error {
	jobs, err := s.store.JobsWithFailures(ctx)
	if err != nil {
		return err
	}
	for _, id := range jobs {
		after := aftermath{jobID: id}
		err := s.store.Do(ctx, func(tx *store.Tx) error {
			j, err := tx.Job(id)
			if err != nil {
				return err
			}
			if err := failHopeless(tx, j); err != nil {
				return err
			}
			after.settle, err = rest(tx, j, store.ByManager(""))
			return err
		})
		if err != nil && !farm.IsNotExist(err) {
			return err
		}
		s.finishLater([]aftermath{after})
	}
	return nil
}

func lockWorker(tx *store.Tx, id string) (*store.Worker, error) {
	w, err := tx.Worker(id)
	if farm.IsNotExist(err) {
		return nil, farm.Errorf(farm.CodeNotFound, "there is no worker %s", id)
	}
	return w, err
}
