// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"context"
	"fmt"
	"slices"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// Claim gives the worker a task, waiting for one until the request hold is over, something is asked of the worker, or
// ctx ends. A worker that has a task it does not say it is running gets that one again: a lost answer costs nothing.
func (s *Service) Claim(ctx context.Context, r ClaimRequest) (Claim, error) {
	c, err := s.claim(ctx, r)
	s.counts.claims[claimAnswer(c, err)].Add(1)
	return c, err
}

func (s *Service) claim(ctx context.Context, r ClaimRequest) (Claim, error) {
	// Subscribed first, so that work that comes between the try and the wait is not missed.
	sub := s.Bus.Subscribe(func(c farm.Change) bool { return c.Kind == farm.ChangeWork || isWorker(c, r.WorkerID) })
	defer sub.Close()
	hold := time.NewTimer(s.limits.Load().RequestHold)
	defer hold.Stop()
	renew := time.NewTicker(max(s.WorkerTimeout/3, time.Millisecond))
	defer renew.Stop()
	for first := true; ; first = false {
		try, err := s.tryClaim(ctx, r)
		if err != nil || try.Assignment != nil || try.Requested != nil {
			return try.Claim, err
		}
		if first {
			s.counts.held.Add(1)
			defer s.counts.held.Add(-1)
		}
		sub.Narrow(func(c farm.Change) bool { return try.couldTake(c) || isWorker(c, r.WorkerID) })
		select {
		case <-sub.C:
		case <-renew.C:
		case <-hold.C:
			return Claim{}, nil
		case <-ctx.Done():
			return Claim{}, ctx.Err()
		}
	}
}

func isWorker(c farm.Change, id string) bool { return c.Kind == farm.ChangeWorker && c.WorkerID == id }

// try is one look for a task; types and tags say what to wait for when there was none.
type try struct {
	Claim
	types, tags []string
}

// couldTake reports whether new work is for this worker.
func (t try) couldTake(c farm.Change) bool {
	if c.Kind != farm.ChangeWork {
		return false
	}
	if c.TagID != "" && !slices.Contains(t.tags, c.TagID) {
		return false
	}
	return len(c.TaskTypes) == 0 || slices.ContainsFunc(c.TaskTypes, func(typ string) bool { return slices.Contains(t.types, typ) })
}

func (s *Service) tryClaim(ctx context.Context, r ClaimRequest) (try, error) {
	var t try
	var line string
	// That nothing is handed out in a maintenance of which this Manager has not heard is NextTask's.
	leave, refused := s.Enter()
	if refused == nil {
		defer leave()
	}
	err := s.store.DoAhead(ctx, store.Ahead{WorkerID: r.WorkerID, Claim: true, Slot: r.Slot}, func(tx *store.Tx) (err error) {
		t, line = try{}, ""
		w, err := s.worker(tx, r.Caller)
		if err != nil {
			return err
		}
		if t.Requested, err = s.mustChangeFirst(tx, w); t.Requested != nil || err != nil {
			return err
		}
		t.Platform = w.Platform
		held, err := tx.TaskInSlot(w, r.Slot)
		switch {
		case err == nil && slices.Contains(r.Running, held.Assignment):
			return farm.Errorf(farm.CodeConflict, "slot %d runs task %q already", r.Slot, held.Name)
		case err == nil:
			t.Assignment, err = s.handOutAgain(tx, held)
			return err
		case !farm.IsNotExist(err):
			return err
		}
		if refused != nil || s.Suspended() != "" {
			return t.waitsFor(tx, w)
		}
		next, err := tx.NextTask(w)
		if farm.IsNotExist(err) {
			return t.waitsFor(tx, w)
		}
		if err != nil {
			return err
		}
		t.Assignment, err = s.handOut(tx, w, next, r.Slot)
		line = fmt.Sprintf("Task assigned to worker %s (%s)", w.Name, w.ID)
		return err
	})
	if err == nil && line != "" {
		a := t.Assignment
		s.logLine(farm.LogID{JobID: a.Task.JobID, TaskID: a.Task.ID, Generation: a.Generation}, line)
	}
	return t, err
}

// mustChangeFirst is the status that a worker has to take before it gets a task. One that the Manager believes gone
// is told to wake up, or to sleep if its schedule says so: it will say that it is awake and ask again.
func (s *Service) mustChangeFirst(tx *store.Tx, w *store.Worker) (*farm.StatusRequest, error) {
	switch {
	case w.Requested != nil:
		return w.Requested, nil
	case w.Status == farm.WorkerAwake:
		return nil, nil
	case w.Status == farm.WorkerError, w.Status == farm.WorkerOffline:
		scheduled, err := s.scheduledStatus(tx, w, farm.WorkerAwake)
		return &farm.StatusRequest{Status: scheduled}, err
	}
	return nil, farm.Errorf(farm.CodeConflict, "worker is in status %s, only an awake worker gets tasks", w.Status)
}

// waitsFor notes what the worker could do, so that only such work wakes it.
func (t *try) waitsFor(tx *store.Tx, w *store.Worker) (err error) {
	if t.types, err = tx.TaskTypes(w); err != nil {
		return err
	}
	t.tags, err = tx.TagIDs(w)
	return err
}

func (s *Service) handOut(tx *store.Tx, w *store.Worker, t *store.Task, slot int) (*farm.Assignment, error) {
	j, err := tx.Job(t.JobID)
	if err != nil {
		return nil, err
	}
	if err := tx.Assign(t, w, slot); err != nil {
		return nil, err
	}
	t.Status = farm.TaskActive
	why := store.ByWorker(w.ID, "assigned to "+w.Name)
	if err := tx.SaveTask(j, t, why); err != nil {
		return nil, err
	}
	if _, err := rest(tx, j, store.ByManager("")); err != nil {
		return nil, err
	}
	tx.WorkerChanged(w)
	return assignment(tx, j, t)
}

// handOutAgain repeats an answer that the worker did not get, or lost in a crash that its sign-on did not tell.
func (s *Service) handOutAgain(tx *store.Tx, t *store.Task) (*farm.Assignment, error) {
	j, err := tx.Job(t.JobID)
	if err != nil {
		return nil, err
	}
	t.Touched = tx.Now()
	if err := tx.SaveTask(j, t, store.ByManager("")); err != nil {
		return nil, err
	}
	return assignment(tx, j, t)
}

func assignment(tx *store.Tx, j *store.Job, t *store.Task) (*farm.Assignment, error) {
	commands, err := tx.Commands(t)
	return &farm.Assignment{
		ID: t.Assignment, Generation: t.Generation, OnDisconnect: t.OnDisconnect,
		Task: farm.Task{
			ID: t.ID, JobID: t.JobID, IndexInJob: t.IndexInJob, Name: t.Name, Type: t.Type, Status: t.Status,
			Priority: t.Priority, StepsCompleted: t.StepsCompleted, StepsTotal: t.StepsTotal, Generation: t.Generation,
		},
		JobPriority: j.Priority, JobType: j.Type, Commands: commands,
	}, err
}
