// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
)

// bySchedule is a farm in UTC whose workers may be silent for long. In a bubble it begins on Saturday, 2000-01-01 at 00:00.
func bySchedule(o *sched.Options) {
	o.TimeZone = time.UTC
	o.WorkerTimeout = 1000 * time.Hour
	o.TimeoutGrace = 1000 * time.Hour // nor does the watch over the leases take part
	o.RequestHold = 1000 * time.Hour
}

func window(days, start, end string) farm.SleepWindow {
	return farm.SleepWindow{Days: days, Start: start, End: end}
}

func (w *testWorker) sleepsAt(windows ...farm.SleepWindow) {
	w.f.t.Helper()
	w.f.must(w.f.SetSleepSchedule(w.f.ctx(), w.id, farm.SleepSchedule{Active: true, Windows: windows}))
}

// isAsked checks what is asked of a worker, "" = nothing.
func (w *testWorker) isAsked(want farm.WorkerStatus) {
	w.f.t.Helper()
	got, err := w.f.store.Worker(w.f.ctx(), w.id)
	w.f.must(err)
	switch {
	case got.Requested == nil && want == "":
	case got.Requested != nil && *got.Requested == farm.StatusRequest{Status: want}:
	default:
		w.f.t.Fatalf("at %s the worker is asked for %+v, want %q", time.Now().UTC().Format(time.DateTime), got.Requested, want)
	}
}

// obeys takes the status that is asked of a worker.
func (w *testWorker) obeys(want farm.WorkerStatus) {
	w.f.t.Helper()
	w.isAsked(want)
	w.goes(want)
	w.isAsked("")
}

func (w *testWorker) manually(status farm.WorkerStatus) {
	w.f.t.Helper()
	w.f.must(w.f.RequestWorkerStatus(w.f.ctx(), w.id, farm.StatusRequest{Status: status}))
}

// passUntil lets the time pass to a moment, and the scheduler do what is due then.
func passUntil(t *testing.T, date string) {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", date)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(at))
	synctest.Wait()
}

func TestAHeldRequestIsAnsweredTheMomentTheWorkerShallSleep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		f.running()
		w := f.worker()
		w.sleepsAt(window("", "01:00", "02:00"))
		h := w.hold()
		passUntil(t, "2000-01-01 00:59")
		select {
		case <-h.done:
			t.Fatalf("answered too early: %+v", h.claim)
		default:
		}
		passUntil(t, "2000-01-01 01:00")
		h.answered()
		if r := h.claim.Requested; r == nil || *r != (farm.StatusRequest{Status: farm.WorkerAsleep}) {
			t.Fatalf("got %+v, want a request to sleep at once", h.claim)
		}
		w.obeys(farm.WorkerAsleep)
		passUntil(t, "2000-01-01 02:00")
		w.obeys(farm.WorkerAwake)
	})
}

func TestAScheduleThatWasSetThroughAnotherManagerIsFollowedByTheMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		f.running()
		w := f.worker()
		synctest.Wait()
		other := sched.New(f.store, f.opts) // it ends before the schedule begins
		f.must(other.SetSleepSchedule(f.ctx(), w.id, farm.SleepSchedule{Active: true, Windows: []farm.SleepWindow{window("", "00:01", "02:00")}}))
		passUntil(t, "2000-01-01 00:01")
		w.obeys(farm.WorkerAsleep)
	})
}

func TestAWorkerSleepsByEachOfItsWindowsAlsoAcrossMidnight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		f.running()
		w := f.worker()
		w.sleepsAt(window("mo tu we th", "18:00", "08:00"), window("sa su", "", ""), window("mo tu we th fr", "12:00", "13:00"))
		w.obeys(farm.WorkerAsleep) // it is Saturday
		for _, c := range []struct {
			at   string
			want farm.WorkerStatus
		}{
			{"2000-01-02 00:00", ""},
			{"2000-01-03 00:00", farm.WorkerAwake},
			{"2000-01-03 12:00", farm.WorkerAsleep},
			{"2000-01-03 13:00", farm.WorkerAwake},
			{"2000-01-03 18:00", farm.WorkerAsleep},
			{"2000-01-04 07:59", ""},
			{"2000-01-04 08:00", farm.WorkerAwake},
			{"2000-01-06 18:00", farm.WorkerAsleep},
			{"2000-01-07 08:00", farm.WorkerAwake},
			{"2000-01-07 18:00", ""},
			{"2000-01-08 00:00", farm.WorkerAsleep},
			{"2000-01-10 00:00", farm.WorkerAwake},
		} {
			passUntil(t, c.at)
			if c.want == "" {
				w.isAsked("")
				continue
			}
			w.obeys(c.want)
		}
	})
}

func TestAWorkerThatIsWokenByHandStaysAwakeUntilTheNextEdge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		stop := f.running()
		w := f.worker()
		w.sleepsAt(window("", "", "06:00"))
		w.obeys(farm.WorkerAsleep)
		passUntil(t, "2000-01-01 01:00")
		w.manually(farm.WorkerAwake)
		w.obeys(farm.WorkerAwake)
		passUntil(t, "2000-01-01 03:00")
		w.isAsked("")
		if on := w.signOn(); on.Status != farm.WorkerAwake { // it crashed, and nothing was asked of it
			t.Fatalf("signed on as %s, though somebody woke it", on.Status)
		}
		w.goes(farm.WorkerAwake)
		stop()
		f.restart()
		f.running()
		synctest.Wait()
		w.isAsked("")
		passUntil(t, "2000-01-01 06:00")
		w.isAsked("")
		passUntil(t, "2000-01-02 00:00")
		w.obeys(farm.WorkerAsleep)
		if on := w.signOn(); on.Status != farm.WorkerAsleep {
			t.Fatalf("signed on as %s, what was asked by hand is over", on.Status)
		}
	})
}

func TestAnEdgeReplacesWhatWasAskedByHand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		f.running()
		w := f.worker()
		w.sleepsAt(window("", "01:00", "02:00"))
		w.isAsked("")
		f.must(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerRestart, Lazy: true}))
		passUntil(t, "2000-01-01 01:00")
		w.obeys(farm.WorkerAsleep)
	})
}

func TestASleepingTimeEndsWhatAWorkerRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		f.running()
		f.job(1, "misc")
		w := f.worker()
		a := w.claim()
		w.sleepsAt(window("", "", "06:00"))
		if p := w.mayRun(a); p.MayRun || !p.StatusRequested {
			t.Fatalf("it may go on: %+v", p)
		}
		w.obeys(farm.WorkerAsleep)
		f.taskIs(a.Task.ID, farm.TaskQueued)
	})
}

func TestAWorkerThatSignsOnDoesWhatItsScheduleSays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		f.running()
		w := f.worker()
		w.sleepsAt(window("", "01:00", "02:00"))
		f.must(f.SignOff(f.ctx(), w.caller()))
		w.isAsked(farm.WorkerAwake) // what it was
		passUntil(t, "2000-01-01 01:00")
		w.isAsked(farm.WorkerAsleep)
		if on := w.signOn(); on.Status != farm.WorkerAsleep {
			t.Fatalf("signed on as %s in a sleeping time", on.Status)
		}
		w.obeys(farm.WorkerAsleep)
		w.goes(farm.WorkerStarting)
		if on := w.signOn(); on.Status != farm.WorkerAsleep {
			t.Fatalf("signed on as %s in a sleeping time, with nothing asked", on.Status)
		}
		f.must(f.SetSleepSchedule(f.ctx(), w.id, farm.SleepSchedule{Windows: []farm.SleepWindow{{}}}))
		if on := w.signOn(); on.Status != farm.WorkerAwake {
			t.Fatalf("signed on as %s by a schedule that is not followed", on.Status)
		}
	})
}

func TestAWorkerInErrorHearsOfItsScheduleWhenItCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule, func(o *sched.Options) { o.WorkerTimeout, o.TimeoutGrace = time.Minute, 0 })
		f.running()
		asleep, awake, broken := f.worker(), f.worker(), f.worker()
		asleep.sleepsAt(window("", "23:00", "00:30"))
		asleep.obeys(farm.WorkerAsleep)
		awake.sleepsAt(window("", "00:30", "23:00"))
		broken.sleepsAt(window("", "00:30", "23:00"))
		broken.goes(farm.WorkerError)
		passUntil(t, "2000-01-01 01:00") // nobody was heard of for an hour
		for w, want := range map[*testWorker]farm.WorkerStatus{asleep: farm.WorkerAwake, awake: farm.WorkerAsleep, broken: ""} {
			w.is(farm.WorkerError)
			w.isAsked("")
			r, err := f.RequestedStatus(f.ctx(), w.caller())
			f.must(err)
			if (r == nil) != (want == "") || (r != nil && r.Status != want) {
				t.Fatalf("asked to become %+v, want %q", r, want)
			}
		}
		c, err := awake.ask()
		f.must(err)
		if c.Requested == nil || c.Requested.Status != farm.WorkerAsleep {
			t.Fatalf("got %+v in a sleeping time", c)
		}
	})
}

func TestAWorkerThatWasSilentInItsSleepIsHeardAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.running()
		w := f.worker()
		w.goes(farm.WorkerAsleep)
		time.Sleep(10 * time.Minute)
		w.is(farm.WorkerError)
		r, err := f.RequestedStatus(f.ctx(), w.caller())
		f.must(err)
		if r == nil || r.Status != farm.WorkerAsleep {
			t.Fatalf("asked to become %+v, want asleep, as it is", r)
		}
	})
}

func TestAScheduleIsFollowedByAManagerThatWasAwayAtTheEdge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		stop := f.running()
		w := f.worker()
		w.sleepsAt(window("", "01:00", "02:00"))
		w.manually(farm.WorkerAwake)
		stop()
		f.close()
		passUntil(t, "2000-01-01 01:10")
		f.open()
		f.running()
		synctest.Wait()
		w.obeys(farm.WorkerAsleep)
		passUntil(t, "2000-01-01 02:00")
		w.obeys(farm.WorkerAwake)
	})
}

func TestAFarmThatMovesToAnotherZoneFollowsItsClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		stop := f.running()
		w := f.worker()
		w.sleepsAt(window("", "05:00", "06:00"))
		w.isAsked("")
		stop()
		f.opts.TimeZone = time.FixedZone("east", 5*3600+1800)
		f.restart()
		f.running()
		synctest.Wait()
		w.obeys(farm.WorkerAsleep) // there it is half past five
		passUntil(t, "2000-01-01 00:30")
		w.obeys(farm.WorkerAwake)
	})
}

func TestOfSeveralManagersOneActsAtAnEdge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		var workers []*testWorker
		for range 3 {
			w := f.worker()
			w.sleepsAt(window("", "01:00", "02:00"))
			workers = append(workers, w)
		}
		f.running()
		for range 3 {
			f.Service = sched.New(f.store, f.opts)
			f.running()
		}
		before := f.revisions(workers)
		passUntil(t, "2000-01-01 01:00")
		for i, r := range f.revisions(workers) {
			if r != before[i]+1 {
				t.Errorf("worker %d was changed %d times", i, r-before[i])
			}
			workers[i].obeys(farm.WorkerAsleep)
		}
	})
}

func (f *testFarm) revisions(workers []*testWorker) []int64 {
	f.t.Helper()
	var all []int64
	for _, w := range workers {
		got, err := f.store.Worker(f.ctx(), w.id)
		f.must(err)
		all = append(all, got.Revision)
	}
	return all
}

func TestAPersonAndAnEdgeAtOnceLeaveOneOfBothStanding(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, bySchedule)
		f.running()
		w := f.worker()
		w.sleepsAt(window("", "01:00", "02:00"))
		var asking sync.WaitGroup
		passUntil(t, "2000-01-01 00:59")
		for range 5 {
			asking.Go(func() {
				time.Sleep(time.Minute)
				w.manually(farm.WorkerRestart)
			})
		}
		asking.Wait()
		synctest.Wait()
		got, err := f.store.Worker(f.ctx(), w.id)
		f.must(err)
		if got.Requested == nil || (got.Requested.Status != farm.WorkerRestart && got.Requested.Status != farm.WorkerAsleep) {
			t.Fatalf("asked for %+v", got.Requested)
		}
		passUntil(t, "2000-01-01 02:00")
		w.isAsked("")
	})
}

func TestAScheduleIsOfAWorkerThatExists(t *testing.T) {
	t.Parallel()
	f := newFarm(t, bySchedule)
	w := f.worker()
	f.refused(f.SetSleepSchedule(f.ctx(), "11111111-2222-4333-8444-555555555555", farm.SleepSchedule{}), farm.CodeNotFound)
	f.refused(f.SetSleepSchedule(f.ctx(), w.id, farm.SleepSchedule{Windows: []farm.SleepWindow{{Days: "m"}}}), farm.CodeInvalid)
	w.sleepsAt(window("MON,tue", "9:00", ""))
	got, err := f.store.SleepSchedule(f.ctx(), w.id)
	f.must(err)
	if len(got.Windows) != 1 || got.Windows[0] != window("mo tu", "09:00", "") || !got.Active {
		t.Fatalf("stored is %+v", got)
	}
	f.must(f.DeleteWorker(f.ctx(), w.id))
	if _, err := f.store.SleepSchedule(f.ctx(), w.id); !farm.IsNotExist(err) {
		t.Fatalf("the schedule of a deleted worker: %v", err)
	}
	if next, err := f.store.NextSleepCheck(f.ctx()); err != nil || !next.IsZero() {
		t.Fatalf("something is still due at %s (%v)", next, err)
	}
}
