// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

func TestASuspendedFarmStartsNothingAndEndsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second))
		f.job(3, "misc")
		busy, idle := f.worker(), f.worker()
		a := busy.claim()
		f.Suspend("the database is damaged")
		if got := f.Suspended(); got != "the database is damaged" {
			t.Errorf("the reason is %q", got)
		}
		_, err := f.Submit(f.ctx(), farm.NewJob{Name: "j", Type: "test", Tasks: []farm.NewTask{task("t", "misc")}})
		f.refused(err, farm.CodeUnavailable)
		held := idle.hold()
		if p := busy.mayRun(a); !p.MayRun {
			t.Errorf("what runs must stop: %s", p.Reason)
		}
		if again := busy.claim(); again.ID != a.ID {
			t.Errorf("a lost answer became %+v", again)
		}
		busy.completes(a)
		f.taskIs(a.Task.ID, farm.TaskCompleted)
		held.waits()
		f.Resume()
		if held.gets().Task.ID == a.Task.ID || f.Suspended() != "" {
			t.Error("the farm does not go on")
		}
		f.job(1, "misc")
		f.Resume() // a second time changes nothing
	})
}
