// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
)

// counted is what was counted, without what never happened.
func (f *testFarm) counted() sched.Stats {
	stats := f.Stats()
	for _, counts := range []map[string]int64{stats.Claims, stats.Updates} {
		maps.DeleteFunc(counts, func(_ string, n int64) bool { return n == 0 })
	}
	return stats
}

func (f *testFarm) wantCounted(want sched.Stats) {
	f.t.Helper()
	if diff := cmp.Diff(want, f.counted()); diff != "" {
		f.t.Errorf("counted (-want +got):\n%s", diff)
	}
}

func TestEveryRequestForATaskIsCountedByItsAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(time.Minute))
		w := f.worker()
		f.job(1, "misc")
		a := w.claim()
		w.completes(a)
		gone, leave := context.WithCancel(f.ctx())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = f.Claim(gone, sched.ClaimRequest{Caller: w.caller()}) // it is given up
		}()
		synctest.Wait()
		if held := f.counted().Held; held != 1 {
			t.Errorf("%d requests are held, want 1", held)
		}
		leave()
		<-ended
		w.getsNothing()
		f.must(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerAsleep}))
		_, err := w.ask()
		f.must(err)
		_, err = f.Claim(f.ctx(), sched.ClaimRequest{Caller: sched.Caller{WorkerID: w.id, Session: "another"}})
		f.refused(err, farm.CodeConflict)
		f.wantCounted(sched.Stats{
			Claims:  map[string]int64{"task": 1, "gone": 1, "none": 1, "status-requested": 1, "refused": 1},
			Updates: map[string]int64{"accepted": 1},
		})
	})
}

func TestEveryUpdateIsCountedByItsAnswer(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(2, "misc")
	w, other := f.worker(), f.worker()
	a, b := w.claim(), other.claim()
	w.reports(a, 1, farm.TaskActive)
	w.reports(a, 1, farm.TaskActive) // its answer was lost
	f.refused(f.Update(f.ctx(), w.update(b, 1, farm.TaskCompleted)), farm.CodeNotAssigned)
	f.refused(f.Update(f.ctx(), w.update(a, 2, farm.TaskQueued)), farm.CodeInvalid)
	w.completes(a)
	f.refused(f.Update(f.ctx(), w.update(a, 1<<40, farm.TaskFailed)), farm.CodeConflict)
	f.wantCounted(sched.Stats{
		Claims:  map[string]int64{"task": 2},
		Updates: map[string]int64{"accepted": 2, "repeated": 1, "not-assigned": 1, "refused": 1, "late": 1},
	})
}
