// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/store"
)

func TestALostAnswerCostsNothingTheSameAssignmentComesAgain(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(2, "misc")
	w := f.worker()
	first, again := w.claim(), w.claim()
	if again.ID != first.ID || again.Generation != 1 || first.Commands[0].Name != "echo" {
		t.Fatalf("got assignment %+v, want the same as before", again)
	}
	if n := len(f.attempts(first.Task.ID)); n != 1 {
		t.Fatalf("%d attempts, want one", n)
	}
	_, err := w.ask(first.ID)
	f.refused(err, farm.CodeConflict) // it says that it runs it: nothing was lost
	f.jobIs(first.Task.JobID, farm.JobActive)
	if !strings.Contains(f.logs.lines(), "Task assigned to worker worker") {
		t.Fatalf("the log of the task does not say who got it: %q", f.logs.lines())
	}
}

func TestTasksComeInOrderOfPriorityAndSubmission(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	low := f.job(1, "misc")
	high := f.job(2, "misc", func(n *farm.NewJob) {
		n.Priority = 70
		n.Tasks[1].Priority = 60
	})
	w := f.worker()
	var got []string
	for range 3 {
		a := w.claim()
		got = append(got, a.Task.JobID, a.Task.Name)
		w.completes(a)
	}
	want := []string{high, "task 2", high, "task 1", low, "task 1"}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestASignOnEndsTheAssignmentsOfTheSessionBefore(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(1, "misc")
	w := f.worker()
	a := w.claim()
	before := w.caller()
	w.signOn()
	f.taskIs(a.Task.ID, farm.TaskQueued)
	f.lastAttempt(a.Task.ID, farm.OutcomeLost)
	_, err := f.Claim(f.ctx(), sched.ClaimRequest{Caller: before})
	f.refused(err, farm.CodeConflict)
	_, err = f.RequestedStatus(f.ctx(), before)
	f.refused(err, farm.CodeConflict)
	if p, err := f.MayRun(f.ctx(), before, a.Task.ID, a.ID); err != nil || p.MayRun || p.Reason == "" {
		t.Fatalf("the old session may go on: %+v, %v", p, err)
	}
	w.goes(farm.WorkerAwake)
	if b := w.claim(); b.ID == a.ID || b.Generation != 2 {
		t.Fatalf("got assignment %s, generation %d, want a new one", b.ID, b.Generation)
	}
}

func TestAWorkerThatLeavesReturnsItsTaskWithoutAFailure(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*testWorker) error{
		"signs off": func(w *testWorker) error { return w.f.SignOff(w.f.ctx(), w.caller()) },
		"falls asleep": func(w *testWorker) error {
			return w.f.StateChanged(w.f.ctx(), w.caller(), farm.WorkerAsleep, "")
		},
		"has an error": func(w *testWorker) error {
			return w.f.StateChanged(w.f.ctx(), w.caller(), farm.WorkerError, "")
		},
		"is deleted": func(w *testWorker) error { return w.f.DeleteWorker(w.f.ctx(), w.id) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t)
			job := f.job(1, "misc")
			w := f.worker()
			a := w.claim()
			f.must(leave(w))
			f.taskIs(a.Task.ID, farm.TaskQueued)
			f.lastAttempt(a.Task.ID, farm.OutcomeLost)
			f.jobIs(job, farm.JobActive)
			failed, err := f.store.FailedBy(f.ctx(), a.Task.ID)
			f.must(err)
			if got := f.task(a.Task.ID); got.Lost != 1 || len(failed) != 0 {
				t.Fatalf("lost %d times, failed by %v; want one and nobody", got.Lost, failed)
			}
			other := f.worker()
			other.completes(other.claim())
			f.jobIs(job, farm.JobCompleted)
		})
	}
}

func TestADeletedWorkerIsUnknown(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	w := f.worker()
	if hash, err := f.WorkerSecret(f.ctx(), w.id); err != nil || hash != "hash" {
		t.Fatalf("got %q, %v", hash, err)
	}
	f.must(f.DeleteWorker(f.ctx(), w.id))
	_, err := f.WorkerSecret(f.ctx(), w.id)
	f.refused(err, farm.CodeNotFound)
	f.refused(f.DeleteWorker(f.ctx(), w.id), farm.CodeNotFound)
	f.refused(f.SetWorkerTags(f.ctx(), w.id, nil), farm.CodeNotFound)
	f.refused(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerAsleep}), farm.CodeNotFound)
	_, err = w.ask()
	f.refused(err, farm.CodeNotFound)
}

func TestAWorkerThatSignedOffResumesItsStatus(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	w := f.worker()
	w.goes(farm.WorkerAsleep)
	f.must(f.SignOff(f.ctx(), w.caller()))
	w.is(farm.WorkerOffline)
	if on := w.signOn(); on.Status != farm.WorkerAsleep || on.Lease != time.Minute {
		t.Fatalf("signed on as %+v, want asleep again", on)
	}
	w.is(farm.WorkerStarting)
	w.goes(farm.WorkerAwake)
	f.must(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerOffline, Lazy: true}))
	f.must(f.SignOff(f.ctx(), w.caller()))
	if on := w.signOn(); on.Status != farm.WorkerAwake {
		t.Fatalf("signed on as %s; the wish to go offline came true already", on.Status)
	}
}

func TestOnlyAnAwakeWorkerGetsTasks(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(1, "misc")
	w := f.worker()
	w.goes(farm.WorkerAsleep)
	_, err := w.ask()
	f.refused(err, farm.CodeConflict)
	for _, gone := range []farm.WorkerStatus{farm.WorkerError, farm.WorkerOffline} {
		w.goes(gone)
		c, err := w.ask()
		f.must(err)
		if c.Assignment != nil || c.Requested == nil || c.Requested.Status != farm.WorkerAwake {
			t.Fatalf("a worker in status %s got %+v, want a request to wake up", gone, c)
		}
	}
	w.goes(farm.WorkerAwake)
	w.claim()
}

func TestAWorkerIsAskedForAStatusOnlyOfThoseThatExist(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	w := f.worker()
	f.refused(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerError}), farm.CodeIllegal)
	f.must(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerAsleep}))
	r, err := f.RequestedStatus(f.ctx(), w.caller())
	f.must(err)
	if r == nil || r.Status != farm.WorkerAsleep {
		t.Fatalf("asked to become %+v, want asleep", r)
	}
	f.must(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerAwake})) // it is: withdraws
	if r, err = f.RequestedStatus(f.ctx(), w.caller()); err != nil || r != nil {
		t.Fatalf("asked to become %+v (%v), want nothing", r, err)
	}
}

func TestAHeldRequestIsAnsweredTheMomentThereIsWork(t *testing.T) {
	for name, come := range map[string]func(f *testFarm){
		"a new job": func(f *testFarm) { f.job(1, "misc") },
		"a finished dependency": func(f *testFarm) {
			f.job(0, "", func(n *farm.NewJob) { n.Tasks = []farm.NewTask{task("a", "other"), task("b", "misc", 0)} })
			other := f.worker("other")
			other.completes(other.claim())
		},
		"a job that is resumed": func(f *testFarm) {
			job := f.job(1, "misc", func(n *farm.NewJob) { n.InitialStatus = farm.JobPaused })
			f.must(f.SetJobStatus(f.ctx(), job, farm.JobQueued, "go", "user"))
		},
		"a requeued task": func(f *testFarm) {
			job := f.job(1, "misc", func(n *farm.NewJob) { n.InitialStatus = farm.JobPaused })
			id := f.tasks(job)[0]
			f.must(f.SetTaskStatus(f.ctx(), id, farm.TaskCanceled, "no", "user"))
			f.must(f.SetJobStatus(f.ctx(), job, farm.JobCanceled, "no", "user"))
			f.must(f.SetTaskStatus(f.ctx(), id, farm.TaskQueued, "yes", "user"))
		},
		"a job that loses its tag": func(f *testFarm) {
			tag, err := f.store.CreateTag(f.ctx(), farm.Tag{Name: "gpu"})
			f.must(err)
			job := f.job(1, "misc", func(n *farm.NewJob) { n.TagID = tag.ID })
			f.must(f.SetJobTag(f.ctx(), job, ""))
		},
		"a tag that is deleted": func(f *testFarm) {
			tag, err := f.store.CreateTag(f.ctx(), farm.Tag{Name: "gpu"})
			f.must(err)
			f.job(1, "misc", func(n *farm.NewJob) { n.TagID = tag.ID })
			f.must(f.DeleteTag(f.ctx(), tag.ID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t, holding(45*time.Second))
				h := f.worker("misc").hold()
				began := time.Now()
				come(f)
				h.gets()
				if waited := time.Since(began); waited != 0 {
					t.Fatalf("the request was held for %v after there was work", waited)
				}
			})
		})
	}
}

func TestAHeldRequestIsAnsweredWhenATaskComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second))
		f.job(1, "misc")
		first, second := f.worker(), f.worker()
		a := first.claim()
		h := second.hold()
		f.must(f.SignOff(f.ctx(), first.caller()))
		if b := h.gets(); b.Task.ID != a.Task.ID || b.Generation != 2 {
			t.Fatalf("got %+v, want the task of the other worker", b)
		}
	})
}

func TestAHeldRequestIsAnsweredWhenTheWorkerGetsTheTag(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second))
		tag, err := f.store.CreateTag(f.ctx(), farm.Tag{Name: "gpu"})
		f.must(err)
		w := f.worker()
		h := w.hold()
		f.job(1, "misc", func(n *farm.NewJob) { n.TagID = tag.ID })
		h.waits()
		f.must(f.SetWorkerTags(f.ctx(), w.id, []string{tag.ID}))
		h.gets()
	})
}

func TestAHeldRequestIsAnsweredWhenTheWorkerIsUnblocked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second), func(o *sched.Options) { o.BlocklistThreshold = 1 })
		job := f.job(20, "misc")
		w := f.worker()
		f.worker()
		w.fails(w.claim())
		h := w.hold()
		f.must(f.Unblock(f.ctx(), job, []farm.BlocklistEntry{{WorkerID: w.id, TaskType: "misc"}}))
		h.gets()
		f.must(f.Unblock(f.ctx(), job, []farm.BlocklistEntry{{WorkerID: w.id, TaskType: "misc"}})) // nothing to do
		f.refused(f.Unblock(f.ctx(), w.id, nil), farm.CodeNotFound)
	})
}

func TestAHeldRequestIsAnsweredWhenAPersonRequeuesWhatTheWorkerFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second))
		f.job(1, "misc")
		w := f.worker()
		f.worker()
		a := w.claim()
		w.fails(a)
		f.taskIs(a.Task.ID, farm.TaskSoftFailed)
		h := w.hold()
		f.must(f.SetTaskStatus(f.ctx(), a.Task.ID, farm.TaskQueued, "the disk was full", "user"))
		h.gets()
	})
}

func TestAHeldRequestIsAnsweredAtOnceWhenTheWorkerShallChangeItsStatus(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second))
		w := f.worker()
		h := w.hold()
		f.must(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerAsleep, Lazy: true}))
		h.answered()
		if r := h.claim.Requested; r == nil || r.Status != farm.WorkerAsleep {
			t.Fatalf("got %+v, want a request to sleep", h.claim)
		}
	})
}

func TestAHeldRequestStaysHeldWhenTheWorkIsForOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second))
		tag, err := f.store.CreateTag(f.ctx(), farm.Tag{Name: "gpu"})
		f.must(err)
		h := f.worker("misc").hold()
		f.job(1, "blender")
		f.job(1, "misc", func(n *farm.NewJob) { n.TagID = tag.ID })
		f.job(1, "misc", func(n *farm.NewJob) { n.InitialStatus = farm.JobPaused })
		h.waits()
		time.Sleep(45 * time.Second)
		h.answered()
		if h.claim.Assignment != nil || h.claim.Requested != nil {
			t.Fatalf("got %+v, want nothing", h.claim)
		}
	})
}

func TestARequestWhoseWorkerIsGoneTakesNoTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second))
		w := f.worker()
		h := w.hold()
		h.cancel()
		<-h.done
		if h.err == nil {
			t.Fatal("no error for a client that is gone")
		}
		job := f.job(1, "misc")
		f.taskIs(f.tasks(job)[0], farm.TaskQueued)

		gone, cancel := context.WithCancel(f.ctx())
		cancel()
		for range 20 { // a select between two ready channels is a coin toss
			if _, err := f.Claim(gone, sched.ClaimRequest{Caller: w.caller()}); err == nil {
				t.Fatal("a client that is gone got a task")
			}
		}
		f.taskIs(f.tasks(job)[0], farm.TaskQueued)
	})
}

func TestARequestWhoseWorkerLeavesWhileTheDatabaseIsBusyTakesNoTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		job := f.job(1, "misc")
		w := f.worker()
		busy, others := make(chan struct{}), make(chan error, 2)
		go func() {
			others <- f.store.DoAlone(f.ctx(), func(*store.Tx) error {
				<-busy
				return nil
			})
		}()
		synctest.Wait()
		go func() { others <- f.SetJobPriority(f.ctx(), job, 60) }() // will share its commit with the request
		synctest.Wait()
		ctx, cancel := context.WithCancel(f.ctx())
		claimed := make(chan error, 1)
		go func() {
			_, err := f.Claim(ctx, sched.ClaimRequest{Caller: w.caller()})
			claimed <- err
		}()
		synctest.Wait()
		cancel()
		close(busy)
		if err := <-claimed; err == nil {
			t.Fatal("no error for a client that is gone")
		}
		f.must(errors.Join(<-others, <-others))
		f.taskIs(f.tasks(job)[0], farm.TaskQueued)
	})
}

func TestAHeldRequestKeepsTheLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(time.Hour))
		f.running()
		w := f.worker()
		h := w.hold()
		time.Sleep(30 * time.Minute)
		h.waits()
		w.is(farm.WorkerAwake)
	})
}

func TestASessionThatIsOverIsNotJoined(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		w := f.worker()
		f.job(1, "misc")
		before := w.session
		w.signOn()
		w.goes(farm.WorkerAwake)
		claim, err := w.ask()
		f.must(err)
		join := func(session string) error {
			_, err := f.SignOn(t.Context(), w.id, sched.SignOn{Name: "w", TaskTypes: w.types, Session: session, Joined: session})
			return err
		}
		for _, session := range []string{before, uuid.NewString()} {
			if err := join(session); farm.CodeOf(err) != farm.CodeConflict {
				t.Errorf("joining: %v", err)
			}
		}
		f.must(join(w.session))
		a := claim.Assignment
		if p, err := f.MayRun(t.Context(), w.caller(), a.Task.ID, a.ID); err != nil || !p.MayRun {
			t.Errorf("the task of the present session may not go on: %+v, %v", p, err)
		}
		w.is(farm.WorkerAwake)
	})
}

func TestASignOnThatIsHeardAgainChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		w := f.worker()
		f.job(1, "misc")
		session := uuid.NewString()
		signOn := func(session string) sched.SignedOn {
			t.Helper()
			on, err := f.SignOn(t.Context(), w.id, sched.SignOn{Name: "w", TaskTypes: []string{"misc"}, Session: session})
			f.must(err)
			return on
		}
		if on := signOn(session); on.Session != session {
			t.Fatalf("the session is %s, not the one that the worker chose", on.Session)
		}
		caller := sched.Caller{WorkerID: w.id, Session: session}
		f.must(f.StateChanged(t.Context(), caller, farm.WorkerAwake, ""))
		claim, err := f.Claim(t.Context(), sched.ClaimRequest{Caller: caller})
		f.must(err)
		if on := signOn(session); on.Session != session || on.Status != farm.WorkerAwake {
			t.Errorf("heard again: %+v", on)
		}
		if got, err := f.store.Worker(t.Context(), w.id); err != nil || got.Status != farm.WorkerAwake {
			t.Errorf("the worker is %s, %v", got.Status, err)
		}
		a := claim.Assignment
		if p, err := f.MayRun(t.Context(), caller, a.Task.ID, a.ID); err != nil || !p.MayRun {
			t.Errorf("its task may not go on: %+v, %v", p, err)
		}
		signOn(uuid.NewString())
		if p, err := f.MayRun(t.Context(), caller, a.Task.ID, a.ID); err == nil && p.MayRun {
			t.Error("after another sign-on its task may go on")
		}
	})
}
