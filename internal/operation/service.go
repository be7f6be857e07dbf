// SPDX-License-Identifier: GPL-3.0-or-later

package operation

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/lock"
	"flamenco.farm/internal/store"
)

const (
	queuePage  = 100         // operations that one query of the queue returns
	retryAfter = time.Second // after the database did not answer
	oldLog     = keepFor + 24*time.Hour

	// lostAfter is how long a Manager is not seen until others repeat what it ran, and lostEvery how often they look.
	lostAfter, lostEvery = 20 * time.Second, 10 * time.Second
)

// errNotQueued says that an operation was started or canceled meanwhile.
var errNotQueued = errors.New("the operation does not wait any more")

// Run runs what is queued until ctx ends; what runs then is queued again. It begins with what an earlier run left.
func (s *Service) Run(ctx context.Context) error {
	var runs sync.WaitGroup
	defer runs.Wait()
	maintenance := s.Bus.Subscribe(func(c farm.Change) bool { return c.Kind == farm.ChangeMaintenance })
	defer maintenance.Close()
	others := s.Bus.Subscribe(func(c farm.Change) bool {
		return c.Kind == farm.ChangeOperation && c.Remote || c.Kind == farm.ChangeRefresh && c.JobID == "" && c.OperationID == ""
	})
	defer others.Close()
	lost := time.NewTicker(lostEvery)
	defer lost.Stop()
	recovered := false
	for {
		err := error(nil)
		if !recovered {
			err = s.recover(ctx)
			recovered = err == nil
		}
		if err == nil {
			err = s.startDue(ctx, &runs)
		}
		var again <-chan time.Time // never, unless something failed
		if err != nil && ctx.Err() == nil {
			s.Log.Error("cannot start operations, will try again", "error", err)
			again = time.After(retryAfter)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		case <-maintenance.C:
		case <-again:
		case <-lost.C:
			recovered = false
		case <-others.C:
			s.stopCanceled(ctx)
		}
	}
}

// stopCanceled ends what was canceled by way of another Manager.
func (s *Service) stopCanceled(ctx context.Context) {
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(s.running))
	s.mu.Unlock()
	for _, id := range ids { // a handful
		if o, err := s.Get(ctx, id); err == nil && !o.CancelRequested.IsZero() {
			s.stop(id)
		}
	}
}

// RunOne runs one operation to its end, for a program that does nothing else and has the database for itself.
func (s *Service) RunOne(ctx context.Context, id string) (farm.Operation, error) {
	if err := s.recover(ctx); err != nil {
		return farm.Operation{}, err
	}
	o, err := s.Get(ctx, id)
	if err != nil {
		return o, err
	}
	for o.Status == farm.OperationQueued {
		var runs sync.WaitGroup
		if err := s.start(ctx, &runs, o); err != nil {
			return o, err
		}
		runs.Wait()
		if o, err = s.Get(context.WithoutCancel(ctx), id); err != nil || ctx.Err() != nil {
			return o, errors.Join(err, ctx.Err())
		}
	}
	return o, nil
}

// recover queues again what ran when its Manager ended, and frees its locks; what only that one could do fails. What this one runs is not lost, however long the
// database did not hear of it.
func (s *Service) recover(ctx context.Context) error {
	err := s.Store.Do(ctx, func(tx *store.Tx) error {
		left, err := tx.LostOperations(lostAfter)
		if err != nil || len(left) == 0 {
			return err
		}
		managers, err := tx.Managers()
		if err != nil {
			return err
		}
		for _, o := range left {
			if s.isRunning(o.ID) {
				continue
			}
			if err := lock.Free(tx, o.ID); err != nil {
				return err
			}
			if o.Status == farm.OperationRunning {
				s.interrupted(&o, tx.Now(), "the Manager ended while it ran")
			}
			if o.Status == farm.OperationQueued && o.Manager != "" {
				o.Status, o.Ended = farm.OperationFailed, tx.Now()
				o.Activity = "only " + nameOf(managers, o.Manager) + " could do it, which is gone: start it again"
			}
			if err := tx.SaveOperation(o); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.forgetOldLogs()
	}
	return err
}

// nameOf is what people are told of a Manager.
func nameOf(managers []farm.ManagerState, id string) string {
	for _, m := range managers {
		if m.ID == id {
			return strings.TrimSpace("the Manager on " + m.Name + " " + strings.Join(m.URLs, " "))
		}
	}
	return "another Manager"
}

func (s *Service) isRunning(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[id] != nil
}

// interrupted is what becomes of an operation whose run ended without a result.
func (s *Service) interrupted(o *farm.Operation, now time.Time, why string) {
	switch {
	case !o.CancelRequested.IsZero():
		o.Status, o.Ended, o.Activity = farm.OperationCanceled, now, "canceled"
	case s.kinds[o.Kind].Once:
		o.Status, o.Ended, o.Activity = farm.OperationFailed, now, why
	default:
		o.Status, o.Activity = farm.OperationQueued, why+"; it will be repeated"
		if s.only(s.kinds[o.Kind]) == "" {
			o.Manager = ""
		}
	}
}

// startDue starts what is queued and finds its locks free, the oldest first. What waits for locks keeps them from younger
// ones, so that nothing waits for ever.
func (s *Service) startDue(ctx context.Context, runs *sync.WaitGroup) error {
	wanted := map[string]bool{}
	for after, last := int64(0), false; !last && s.hasRoom(); {
		queued, err := s.Store.QueuedOperations(ctx, s.Manager, after, queuePage)
		if err != nil {
			return err
		}
		for _, q := range queued {
			if err := s.tryStart(ctx, runs, q.Operation, wanted); err != nil {
				return err
			}
			after = q.Row
			if !s.hasRoom() {
				return nil // the end of a run makes Run look again
			}
		}
		last = len(queued) < queuePage
	}
	return nil
}

func (s *Service) hasRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running) < s.Parallel
}

func (s *Service) tryStart(ctx context.Context, runs *sync.WaitGroup, o farm.Operation, wanted map[string]bool) error {
	names, err := s.locksOf(o)
	if err == nil {
		if slices.ContainsFunc(names, func(name string) bool { return wanted[name] }) {
			return nil
		}
		err = s.start(ctx, runs, o)
	}
	var held *lock.HeldError
	var shown *farm.Error
	switch {
	case errors.As(err, &held):
		for _, name := range names {
			wanted[name] = true
		}
		return nil
	case errors.As(err, &shown) && shown.Code == farm.CodeInvalid:
		return s.refuse(ctx, o.ID, shown.Message)
	case farm.CodeOf(err) == farm.CodeMaintenance:
		return nil // until it is over; what may be done meanwhile need not wait for it
	}
	return err
}

// locksOf is what an operation needs; an error of farm.CodeInvalid if this Manager cannot do it.
func (s *Service) locksOf(o farm.Operation) ([]string, error) {
	kind, known := s.kinds[o.Kind]
	if !known {
		return nil, farm.Errorf(farm.CodeInvalid, "this Manager has no operation %q", o.Kind)
	}
	return kind.Locks(o.Params)
}

// refuse ends an operation that cannot be started, such as one of a newer Manager.
func (s *Service) refuse(ctx context.Context, id, why string) error {
	return s.Store.Do(ctx, func(tx *store.Tx) error {
		o, err := tx.Operation(id)
		if err != nil || o.Status != farm.OperationQueued {
			return err
		}
		o.Status, o.Ended, o.Activity = farm.OperationFailed, tx.Now(), why
		return tx.SaveOperation(o)
	})
}

// start takes the locks of an operation and runs it; a lock.HeldError says that it has to wait, an error of
// farm.CodeMaintenance that it has to wait for the end of the maintenance.
func (s *Service) start(ctx context.Context, runs *sync.WaitGroup, o farm.Operation) error {
	names, err := s.locksOf(o)
	if err != nil {
		return err
	}
	leave, err := s.enter(s.kinds[o.Kind])
	if err != nil {
		return err
	}
	runCtx, stop := context.WithCancelCause(ctx)
	r := &run{service: s, kind: s.kinds[o.Kind], locks: names, stop: stop}
	// Known before it has begun, so that a request to cancel it in between is not missed.
	s.mu.Lock()
	s.running[o.ID] = r
	s.mu.Unlock()
	if r.operation, err = s.take(ctx, o.ID, names); err != nil {
		s.ended(o.ID, stop)
		leave()
		if errors.Is(err, errNotQueued) {
			return nil
		}
		return err
	}
	runs.Go(func() {
		defer leave()
		defer s.look()
		defer s.ended(o.ID, stop)
		r.run(runCtx)
	})
	return nil
}

// enter is Enter for a kind of operation.
func (s *Service) enter(k Kind) (leave func(), err error) {
	if k.InMaintenance {
		return func() {}, nil
	}
	return s.Enter()
}

func (s *Service) ended(id string, stop context.CancelCauseFunc) {
	stop(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, id)
}

// take makes a queued operation a running one that has its locks, in one transaction.
func (s *Service) take(ctx context.Context, id string, names []string) (o farm.Operation, err error) {
	err = s.Store.Do(ctx, func(tx *store.Tx) error {
		if o, err = tx.Operation(id); err != nil {
			return err
		}
		if o.Status != farm.OperationQueued {
			return errNotQueued
		}
		if err := s.kinds[o.Kind].admit(tx); err != nil {
			return err
		}
		o.Runs++
		o.Manager = s.Manager
		o.Status, o.Started, o.Activity, o.Done, o.Total = farm.OperationRunning, tx.Now(), "", 0, 0
		if err := lock.Acquire(tx, holder(o), names...); err != nil {
			return err
		}
		return tx.SaveOperation(o)
	})
	return o, err
}

// holder is the present run of an operation.
func holder(o farm.Operation) lock.Holder { return lock.Holder{Owner: o.ID, Epoch: o.Runs} }
