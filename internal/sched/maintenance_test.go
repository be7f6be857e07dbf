// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"sync/atomic"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/store"
)

// maintain begins a maintenance of the farm, or ends it, as another Manager would: this one is not told.
func (f *testFarm) maintain(on bool) {
	f.t.Helper()
	f.must(f.store.Do(f.ctx(), func(tx *store.Tx) error {
		_, err := tx.SetMaintenance(on, "a new disk", "user")
		return err
	}))
}

func TestNothingIsHandedOutOrTakenInAMaintenanceOfWhichThisManagerHasNotHeard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.job(2, "misc")
		busy, idle := f.worker(), f.worker()
		a := busy.claim()
		f.maintain(true)
		idle.getsNothing()
		_, err := f.Submit(f.ctx(), farm.NewJob{Name: "j", Type: "test", Tasks: []farm.NewTask{task("t", "misc")}})
		f.refused(err, farm.CodeMaintenance)
		if again := busy.claim(); again.ID != a.ID {
			t.Errorf("a lost answer became %+v", again)
		}
		busy.completes(a)
		f.taskIs(a.Task.ID, farm.TaskCompleted)
		f.maintain(false)
		idle.claim()
	})
}

func TestARequestThatIsHeldGetsItsTaskWhenTheMaintenanceEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second))
		f.job(1, "misc")
		f.maintain(true)
		held := f.worker().hold()
		held.waits()
		f.maintain(false)
		f.opts.Bus.Publish([]farm.Change{{Kind: farm.ChangeMaintenance}, {Kind: farm.ChangeWork}})
		held.gets()
	})
}

func TestNoLeaseRunsOutInAMaintenanceNorForAWhileAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, func(o *sched.Options) { o.TimeoutGrace = 5 * time.Minute })
		f.job(1, "blender")
		w := f.worker("blender")
		a := w.claim()
		f.maintain(true)
		stays := func() {
			t.Helper()
			f.must(f.Expire(f.ctx()))
			f.taskIs(a.Task.ID, farm.TaskActive)
			w.is(farm.WorkerAwake)
		}
		time.Sleep(time.Hour)
		stays()
		f.maintain(false)
		time.Sleep(5*time.Minute - time.Second)
		stays()
		time.Sleep(2 * time.Second)
		f.must(f.Expire(f.ctx()))
		f.taskIs(a.Task.ID, farm.TaskQueued)
		w.is(farm.WorkerError)
	})
}

func TestSleepSchedulesAreFollowedAgainWhenTheMaintenanceEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var closed atomic.Bool
		f := newFarm(t, func(o *sched.Options) {
			o.TimeZone = time.UTC
			o.Enter = func() (func(), error) { return func() {}, farm.Maintenance{On: closed.Load()}.Refusal() }
		})
		w := f.worker()
		// The clock of the bubble begins at midnight, UTC.
		f.must(f.SetSleepSchedule(f.ctx(), w.id, farm.SleepSchedule{Active: true, Windows: []farm.SleepWindow{{Start: "00:10", End: "23:00"}}}))
		stop := f.running()
		time.Sleep(time.Minute)
		closed.Store(true)
		time.Sleep(time.Hour)
		asked := func() *farm.StatusRequest {
			got, err := f.RequestedStatus(f.ctx(), w.caller())
			f.must(err)
			return got
		}
		if r := asked(); r != nil {
			t.Errorf("asked in the maintenance: %+v", r)
		}
		closed.Store(false)
		f.opts.Bus.Publish([]farm.Change{{Kind: farm.ChangeMaintenance}})
		time.Sleep(time.Second)
		if r := asked(); r == nil || r.Status != farm.WorkerAsleep {
			t.Errorf("asked afterwards: %+v", r)
		}
		stop()
	})
}
