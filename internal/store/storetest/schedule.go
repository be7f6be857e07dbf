// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"slices"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func scheduleTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"a worker keeps its sleep schedule":               keepsSchedules,
		"one of several moves a schedule on from an edge": movesSchedules,
		"the schedules that are due are found in order":   findsDueSchedules,
		"the status before the present one is remembered": remembersStatusBefore,
	}
}

// edge is a moment that a test of schedules counts from.
var edge = time.Date(2026, 3, 1, 18, 0, 0, 0, time.UTC)

func (f *Farm) schedule(workerID string, next time.Time, active bool, windows ...farm.SleepWindow) {
	f.t.Helper()
	f.change(workerID, func(tx *store.Tx, w *store.Worker) error {
		return tx.SaveSleepSchedule(w, store.SleepSchedule{
			SleepSchedule: farm.SleepSchedule{Active: active, Windows: windows}, NextCheck: next,
		})
	})
}

func keepsSchedules(f *Farm) {
	id := f.Worker("w")
	_, err := f.Store.SleepSchedule(f.ctx, id)
	f.wantCode(err, farm.CodeNotFound)
	night := farm.SleepWindow{Days: "mo tu", Start: "18:00", End: "08:00"}
	f.schedule(id, edge, true, night, farm.SleepWindow{})
	f.schedule(id, edge, true, night, farm.SleepWindow{Days: "sa"})
	got, err := f.Store.SleepSchedule(f.ctx, id)
	f.must(err)
	if !got.Active || !slices.Equal(got.Windows, []farm.SleepWindow{night, {Days: "sa"}}) {
		f.t.Errorf("the schedule is %+v", got)
	}
	f.change(id, func(tx *store.Tx, w *store.Worker) error { return tx.DeleteSleepSchedule(w) })
	_, err = f.Store.SleepSchedule(f.ctx, id)
	f.wantCode(err, farm.CodeNotFound)
}

func movesSchedules(f *Farm) {
	id, later := f.Worker("w"), edge.Add(time.Hour)
	f.schedule(id, edge, true)
	f.change(id, func(tx *store.Tx, w *store.Worker) error { return tx.HoldSleepSchedule(w, farm.WorkerAwake) })
	move := func(was, next time.Time, want bool) {
		f.t.Helper()
		f.change(id, func(tx *store.Tx, w *store.Worker) error {
			plan, err := tx.SleepSchedule(w)
			if err != nil {
				return err
			}
			moved, err := tx.MoveSleepSchedule(w, was, next, plan.Held)
			if moved != want {
				f.t.Errorf("moved from %s: %v, want %v", was, moved, want)
			}
			return err
		})
	}
	move(later, edge, false)
	move(time.Time{}, edge, false)
	move(edge, later, true)
	move(edge, later, false)
	move(later, time.Time{}, true)
	move(time.Time{}, edge, true)
	f.change(id, func(tx *store.Tx, w *store.Worker) error {
		plan, err := tx.SleepSchedule(w)
		if err == nil && (plan.Held != farm.WorkerAwake || !plan.NextCheck.Equal(edge)) {
			f.t.Errorf("the schedule is %+v", plan)
		}
		return err
	})
	f.schedule(id, edge, false) // a new one, which is not followed
	move(edge, later, false)
	f.change(id, func(tx *store.Tx, w *store.Worker) error {
		if err := tx.HoldSleepSchedule(w, farm.WorkerAwake); err != nil {
			return err
		}
		if plan, err := tx.SleepSchedule(w); err != nil || plan.Held != "" {
			f.t.Errorf("the schedule is %+v, %v", plan, err)
		}
		return nil
	})
}

func findsDueSchedules(f *Farm) {
	if next, err := f.Store.NextSleepCheck(f.ctx); err != nil || !next.IsZero() {
		f.t.Errorf("without schedules something is due at %s, %v", next, err)
	}
	a, b, c, never, off := f.Worker("a"), f.Worker("b"), f.Worker("c"), f.Worker("never"), f.Worker("off")
	f.schedule(a, edge.Add(time.Hour), true)
	f.schedule(b, edge, true)
	f.schedule(c, edge.Add(2*time.Hour), true)
	f.schedule(never, time.Time{}, true)
	f.schedule(off, edge, false)
	for _, want := range []struct {
		now   time.Time
		limit int
		ids   []string
	}{
		{edge.Add(-time.Microsecond), 9, nil},
		{edge, 9, []string{b}},
		{edge.Add(2 * time.Hour), 9, []string{b, a, c}},
		{edge.Add(2 * time.Hour), 2, []string{b, a}},
	} {
		if got, err := f.Store.DueSleepSchedules(f.ctx, want.now, want.limit); err != nil || !slices.Equal(got, want.ids) {
			f.t.Errorf("at %s %v are due, want %v (%v)", want.now, got, want.ids, err)
		}
	}
	if next, err := f.Store.NextSleepCheck(f.ctx); err != nil || !next.Equal(edge) {
		f.t.Errorf("the next is due at %s, %v", next, err)
	}
	if got, err := f.Store.ActiveSleepSchedules(f.ctx); err != nil || !slices.Equal(got, []string{a, b, c, never}) {
		f.t.Errorf("%v follow a schedule (%v)", got, err)
	}
}

func remembersStatusBefore(f *Farm) {
	id := f.Worker("w")
	want := func(before farm.WorkerStatus, who string) {
		f.t.Helper()
		f.change(id, func(tx *store.Tx, w *store.Worker) error {
			gotBefore, gotWho, err := tx.StatusBefore(w)
			if gotBefore != before || gotWho != who {
				f.t.Errorf("before it was %q, changed by %q; want %q, %q", gotBefore, gotWho, before, who)
			}
			return err
		})
	}
	turn := func(to farm.WorkerStatus, why store.Why) {
		f.t.Helper()
		f.change(id, func(tx *store.Tx, w *store.Worker) error {
			w.Status = to
			return tx.SaveWorker(w, why)
		})
	}
	turn(farm.WorkerAsleep, store.ByWorker(id, ""))
	want(farm.WorkerAwake, "worker:"+id)
	turn(farm.WorkerError, store.ByManager("silent"))
	want(farm.WorkerAsleep, "manager")
}
