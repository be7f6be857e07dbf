// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"context"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// atOnce is how many tasks one look at the clocks takes back; the next look goes on.
const atOnce = 500

// Margin is how long after the end of a lease a task that stops by itself is handed out again, and how long before it
// the worker stops it: the smaller of 10 s and a quarter of the lease.
func Margin(lease time.Duration) time.Duration { return min(10*time.Second, lease/4) }

// watchClocks takes tasks from workers that are silent. After a start it waits, so that everybody can call again.
func (s *Service) watchClocks(ctx context.Context) error {
	grace := time.NewTimer(s.TimeoutGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	tick := time.NewTicker(min(max(s.WorkerTimeout/6, 10*time.Millisecond), 10*time.Second))
	defer tick.Stop()
	for {
		if err := s.Expire(ctx); err != nil && !canceled(err) {
			s.Log.Error("cannot look for silent workers", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Expire does one look at the clocks: tasks of silent workers and tasks not heard of go back to the queue, and silent
// workers get status error. In a maintenance, and for a while after it, it does nothing.
func (s *Service) Expire(ctx context.Context) error {
	leave, refused := s.Enter()
	if refused != nil {
		return nil
	}
	defer leave()
	now := s.store.Earliest()
	if rest, err := s.atRest(ctx, now); rest || err != nil {
		return err
	}
	keep, stop := now.Add(-s.WorkerTimeout), now.Add(-s.WorkerTimeout-Margin(s.WorkerTimeout))
	stale, err := s.store.StaleTasks(ctx, keep, stop, atOnce)
	if err != nil {
		return err
	}
	for _, id := range stale {
		if err := s.expireTask(ctx, id, func(t *store.Task, w *store.Worker) (string, bool) {
			before := keep
			if t.OnDisconnect == farm.StopOnDisconnect {
				before = stop
			}
			return fmt.Sprintf("worker %s was not heard of since %s", w.Name, stampOf(w.LastSeen)), w.LastSeen.Before(before)
		}); err != nil {
			return err
		}
	}
	if err := s.expireUntouched(ctx, now); err != nil {
		return err
	}
	return s.markSilent(ctx, keep)
}

func (s *Service) expireUntouched(ctx context.Context, now time.Time) error {
	timeout := s.limits.Load().TaskTimeout
	if timeout == 0 {
		return nil
	}
	before := now.Add(-timeout)
	untouched, err := s.store.UntouchedTasks(ctx, before, atOnce)
	if err != nil {
		return err
	}
	for _, id := range untouched {
		if err := s.expireTask(ctx, id, func(t *store.Task, w *store.Worker) (string, bool) {
			return fmt.Sprintf("worker %s said nothing about it since %s", w.Name, stampOf(t.Touched)), t.Touched.Before(before)
		}); err != nil {
			return err
		}
	}
	return nil
}

// expireTask takes a task from its worker if, looked at again in the transaction, it is still over time.
func (s *Service) expireTask(ctx context.Context, id string, over func(*store.Task, *store.Worker) (string, bool)) error {
	seen, err := s.store.PeekTask(ctx, id)
	if err != nil {
		return err
	}
	var after aftermath
	err = s.store.Do(ctx, func(tx *store.Tx) error {
		after = aftermath{}
		w, err := tx.AnyWorker(seen.WorkerID) // before its task, as everywhere
		if err != nil {
			return err
		}
		t, err := tx.Task(id)
		if err != nil || t.Status != farm.TaskActive || t.WorkerID != w.ID {
			return err
		}
		reason, expired := over(t, w)
		if !expired {
			return nil
		}
		j, err := tx.Job(t.JobID)
		if err != nil {
			return err
		}
		if err := s.lose(tx, j, t, w, reason); err != nil {
			return err
		}
		line := fmt.Sprintf("Task taken from the worker, its status is now %s: %s", t.Status, reason)
		after = aftermath{jobID: t.JobID, log: logOf(t), line: line}
		after.settle, err = rest(tx, j, store.ByManager(""))
		return err
	})
	if err != nil || after.line == "" {
		return err
	}
	s.Log.Warn("task lost", "task", id, "reason", after.line)
	s.finishLater([]aftermath{after})
	return nil
}

func (s *Service) markSilent(ctx context.Context, before time.Time) error {
	silent, err := s.store.SilentWorkers(ctx, before)
	if err != nil {
		return err
	}
	for _, id := range silent {
		err := s.store.Do(ctx, func(tx *store.Tx) error {
			w, err := tx.Worker(id)
			if err != nil || !w.LastSeen.Before(before) {
				return err
			}
			w.Status = farm.WorkerError
			w.Requested = nil
			s.Log.Warn("worker is silent", "worker", w.Name, "last_seen", w.LastSeen)
			return tx.SaveWorker(w, store.ByManager("not heard of since "+stampOf(w.LastSeen)))
		})
		if err != nil && !farm.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func stampOf(t time.Time) string { return t.Format(time.RFC3339) }
