// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
	"flamenco.farm/internal/flow/schedule"
	"flamenco.farm/internal/store"
)

// SetSleepSchedule gives a worker a schedule, which it follows at once. A window that cannot be read is CodeInvalid.
func (s *Service) SetSleepSchedule(ctx context.Context, workerID string, plan farm.SleepSchedule) error {
	clean := farm.SleepSchedule{Active: plan.Active, Windows: make([]farm.SleepWindow, len(plan.Windows))}
	for i, w := range plan.Windows {
		var err error
		if clean.Windows[i], err = schedule.Clean(w); err != nil {
			return err
		}
	}
	times, err := schedule.New(clean.Windows, s.TimeZone)
	if err != nil {
		return err
	}
	return s.store.Do(ctx, func(tx *store.Tx) error {
		w, err := lockWorker(tx, workerID)
		if err != nil {
			return err
		}
		stored := store.SleepSchedule{SleepSchedule: clean}
		if !clean.Active {
			return tx.SaveSleepSchedule(w, stored)
		}
		stored.NextCheck, _ = times.NextEdge(tx.Now())
		if err := tx.SaveSleepSchedule(w, stored); err != nil {
			return err
		}
		return askScheduled(tx, w, times)
	})
}

// askScheduled asks a worker for the status that its schedule says now.
func askScheduled(tx *store.Tx, w *store.Worker, times *schedule.Schedule) error {
	request := flow.ScheduledRequest(w.Status, w.Requested, flow.ScheduledStatus("", times.Asleep(tx.Now())))
	if request == w.Requested || (request != nil && w.Requested != nil && *request == *w.Requested) {
		return nil
	}
	w.Requested = request
	return tx.SaveWorker(w, store.ByManager("sleep schedule"))
}

// scheduledStatus is the status that a worker should be in when nothing is asked of it: what its schedule says, or
// without one another status.
func (s *Service) scheduledStatus(tx *store.Tx, w *store.Worker, without farm.WorkerStatus) (farm.WorkerStatus, error) {
	plan, err := tx.SleepSchedule(w)
	if farm.IsNotExist(err) || (err == nil && !plan.Active) {
		return without, nil
	}
	if err != nil {
		return "", err
	}
	times, err := schedule.New(plan.Windows, s.TimeZone)
	if err != nil {
		return "", err
	}
	if passed(plan, tx.Now()) {
		plan.Held = ""
	}
	return flow.ScheduledStatus(plan.Held, times.Asleep(tx.Now())), nil
}

// atAnEdge is how many schedules are moved on before it is looked again which are due.
const atAnEdge = 500

// maxNap is how long the watch over the schedules sleeps at most: timers do not notice that the machine was suspended or
// that its clock was set.
const maxNap = 5 * time.Minute

// lookAtSchedules wakes the watch over the schedules.
func (s *Service) lookAtSchedules() {
	select {
	case s.planned <- struct{}{}:
	default: // it has not begun to look yet
	}
}

// watchSchedules follows the schedules: all of them at the start, because the zone may be another one than before, then
// each at its edges.
func (s *Service) watchSchedules(ctx context.Context) error {
	changed := s.Bus.Subscribe(concernsSchedules)
	defer changed.Close()
	look := s.store.ActiveSleepSchedules
	for {
		nap := maxNap
		next, err := s.followSchedules(ctx, look)
		switch {
		case farm.CodeOf(err) == farm.CodeMaintenance: // its end is told
		case err == nil:
			look = s.dueSchedules
			if !next.IsZero() {
				nap = min(max(time.Until(next), 0), maxNap)
			}
		case !canceled(err):
			s.Log.Error("cannot follow the sleep schedules, will try again", "error", err)
			nap = retryAfter
		}
		timer := time.NewTimer(nap)
		select {
		case <-timer.C:
		case <-s.planned:
			timer.Stop()
		case <-changed.C:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// concernsSchedules reports whether a schedule may be due earlier than was known, also one that was set through another Manager.
func concernsSchedules(c farm.Change) bool {
	return isMaintenance(c) || c.Kind == farm.ChangeSchedule || (c.Kind == farm.ChangeRefresh && c.JobID == "")
}

func (s *Service) dueSchedules(ctx context.Context) ([]string, error) {
	return s.store.DueSleepSchedules(ctx, s.store.Now(), atAnEdge)
}

// followSchedules moves on the schedules of the workers that look names, and returns when the next one is due.
func (s *Service) followSchedules(ctx context.Context, look func(context.Context) ([]string, error)) (time.Time, error) {
	leave, err := s.Enter()
	if err != nil {
		return time.Time{}, err
	}
	defer leave()
	ids, err := look(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var problems []error
	for _, id := range ids {
		if err := s.followSchedule(ctx, id); err != nil && !farm.IsNotExist(err) {
			problems = append(problems, fmt.Errorf("worker %s: %w", id, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return time.Time{}, err
	}
	return s.store.NextSleepCheck(ctx)
}

// followSchedule moves the schedule of a worker on to its next edge and asks the worker for the status of now, unless a
// person asked for another one since the last edge. Of several Managers the first does it.
func (s *Service) followSchedule(ctx context.Context, workerID string) error {
	return s.store.Do(ctx, func(tx *store.Tx) error {
		w, err := tx.Worker(workerID)
		if err != nil {
			return err
		}
		plan, err := tx.SleepSchedule(w)
		if err != nil || !plan.Active {
			return err
		}
		times, err := schedule.New(plan.Windows, s.TimeZone)
		if err != nil {
			return err
		}
		held := plan.Held
		if passed(plan, tx.Now()) {
			held = ""
		}
		next, _ := times.NextEdge(tx.Now())
		moved, err := tx.MoveSleepSchedule(w, plan.NextCheck, next, held)
		if err != nil || !moved || held != "" {
			return err
		}
		return askScheduled(tx, w, times)
	})
}

// passed tells whether the edge that a schedule waits for is over.
func passed(plan *store.SleepSchedule, now time.Time) bool {
	return !plan.NextCheck.IsZero() && !plan.NextCheck.After(now)
}
