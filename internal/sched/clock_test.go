// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
)

func TestATaskThatStopsByItselfIsHandedOutAgainAMarginLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		job := f.job(0, "", func(n *farm.NewJob) { n.Tasks = []farm.NewTask{task("keep", "blender"), task("stop", "misc")} })
		ids := f.tasks(job)
		keep, stop := f.worker("blender"), f.worker("misc")
		keep.claim()
		stop.claim()
		time.Sleep(time.Minute - time.Second)
		f.must(f.Expire(f.ctx()))
		f.taskIs(ids[0], farm.TaskActive)
		keep.is(farm.WorkerAwake)
		time.Sleep(2 * time.Second)
		f.must(f.Expire(f.ctx()))
		f.taskIs(ids[0], farm.TaskQueued)
		f.taskIs(ids[1], farm.TaskActive)
		keep.is(farm.WorkerError)
		time.Sleep(sched.Margin(time.Minute) - 2*time.Second)
		f.must(f.Expire(f.ctx()))
		f.taskIs(ids[1], farm.TaskActive)
		time.Sleep(2 * time.Second)
		f.must(f.Expire(f.ctx()))
		f.taskIs(ids[1], farm.TaskQueued)
		if !strings.Contains(f.logs.lines(), "was not heard of since") {
			t.Fatalf("the log does not say why: %q", f.logs.lines())
		}
	})
}

// A Worker stops such a task when its last accepted call began a lease less a margin ago. Nobody may get the task before.
func TestATaskThatStopsByItselfIsNeverInTwoHandsHoweverLongTheLease(t *testing.T) {
	for _, lease := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, 24 * time.Hour} {
		t.Run(lease.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t, func(o *sched.Options) { o.WorkerTimeout, o.TaskTimeout = lease, 0 })
				f.job(1, "misc")
				w := f.worker()
				a := w.claim()
				w.reports(a, 1, farm.TaskActive)
				for range 7 {
					time.Sleep(lease / 8)
					if p := w.mayRun(a); !p.MayRun {
						t.Fatalf("may not run: %+v", p)
					}
				}
				time.Sleep(min(lease/7, 5*time.Second))
				if p := w.mayRun(a); !p.MayRun {
					t.Fatalf("may not run: %+v", p)
				}
				time.Sleep(lease - sched.Margin(lease)) // now the Worker has stopped it
				f.must(f.Expire(f.ctx()))
				f.taskIs(a.Task.ID, farm.TaskActive)
				time.Sleep(2*sched.Margin(lease) + time.Second)
				f.must(f.Expire(f.ctx()))
				f.taskIs(a.Task.ID, farm.TaskQueued)
			})
		})
	}
}

func TestEveryCallOfAWorkerKeepsItsLease(t *testing.T) {
	for name, call := range map[string]func(w *testWorker, a farm.Assignment, n int){
		"whether it may run": func(w *testWorker, a farm.Assignment, _ int) { w.mayRun(a) },
		"an update":          func(w *testWorker, a farm.Assignment, n int) { w.reports(a, int64(n+1), "") },
		"the wanted status": func(w *testWorker, _ farm.Assignment, _ int) {
			_, err := w.f.RequestedStatus(w.f.ctx(), w.caller())
			w.f.must(err)
		},
		"an update that comes again": func(w *testWorker, a farm.Assignment, _ int) { w.reports(a, 1, "") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t, func(o *sched.Options) { o.TaskTimeout = 0 })
				f.job(1, "blender")
				w := f.worker()
				a := w.claim()
				for n := range 10 {
					time.Sleep(45 * time.Second)
					call(w, a, n)
					f.must(f.Expire(f.ctx()))
				}
				f.taskIs(a.Task.ID, farm.TaskActive)
				w.is(farm.WorkerAwake)
			})
		})
	}
}

func TestATaskThatIsNeverNamedIsTakenAwayAlthoughItsWorkerLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.job(1, "blender")
		w := f.worker()
		a := w.claim()
		for range 19 {
			time.Sleep(30 * time.Second)
			_, err := f.RequestedStatus(f.ctx(), w.caller())
			f.must(err)
			f.must(f.Expire(f.ctx()))
		}
		f.taskIs(a.Task.ID, farm.TaskActive)
		time.Sleep(40 * time.Second)
		f.must(f.Expire(f.ctx()))
		f.taskIs(a.Task.ID, farm.TaskQueued)
		f.lastAttempt(a.Task.ID, farm.OutcomeLost)
	})
}

func TestATaskTimeoutOfZeroIsNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, func(o *sched.Options) { o.TaskTimeout = 0 })
		f.job(1, "blender")
		w := f.worker()
		a := w.claim()
		for range 60 {
			time.Sleep(30 * time.Second)
			_, err := f.RequestedStatus(f.ctx(), w.caller())
			f.must(err)
			f.must(f.Expire(f.ctx()))
		}
		f.taskIs(a.Task.ID, farm.TaskActive)
	})
}

func TestNothingExpiresUntilTheGraceAfterAStartIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, func(o *sched.Options) { o.TimeoutGrace = 5 * time.Minute })
		f.job(2, "blender")
		back, gone := f.worker(), f.worker()
		a, b := back.claim(), gone.claim()
		time.Sleep(time.Hour) // the Manager is down
		f.restart()
		f.running()
		time.Sleep(4*time.Minute + 30*time.Second)
		f.taskIs(b.Task.ID, farm.TaskActive)
		gone.is(farm.WorkerAwake)
		back.mayRun(a)
		time.Sleep(45 * time.Second)
		f.taskIs(a.Task.ID, farm.TaskActive)
		f.taskIs(b.Task.ID, farm.TaskQueued)
		gone.is(farm.WorkerError)
		back.completes(a)
	})
}

func TestATaskLostTooOftenCountsAsFailed(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(20, "misc")
	f.worker()
	w := f.worker()
	for n := range 4 {
		a := w.claim()
		if a.Task.IndexInJob != 1 {
			t.Fatalf("got %s instead of the first task", a.Task.Name)
		}
		w.signOn()
		w.goes(farm.WorkerAwake)
		want, outcome := farm.TaskQueued, farm.OutcomeLost
		if n == 3 {
			want, outcome = farm.TaskSoftFailed, farm.OutcomeFailed
		}
		f.taskIs(a.Task.ID, want)
		f.lastAttempt(a.Task.ID, outcome)
	}
	if a := w.claim(); a.Task.IndexInJob != 2 {
		t.Fatal("a worker got the task again that it counts as having failed")
	}
}
