// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
)

// logging adds a chunk of log to an update.
func logging(u sched.Update, text string) sched.Update {
	u.Log = &text
	return u
}

func TestAnUpdateOfAnybodyButTheLastAssignedIsRefused(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(1, "misc")
	first, second := f.worker(), f.worker()
	a := first.claim()
	first.signOn()
	b := second.claim()

	f.refused(f.Update(f.ctx(), logging(first.update(a, 1, farm.TaskCompleted), "late\n")), farm.CodeNotAssigned)
	upstream := first.update(a, 0, farm.TaskFailed)
	upstream.Assignment, upstream.Session = "", ""
	f.refused(f.Update(f.ctx(), upstream), farm.CodeNotAssigned)
	f.refused(f.Update(f.ctx(), second.update(a, 1, farm.TaskCompleted)), farm.CodeNotAssigned) // its task, another assignment
	f.taskIs(a.Task.ID, farm.TaskActive)
	if got := f.logs.of(a.Task.ID); got != "" {
		t.Fatalf("the log holds %q of a worker that has the task no more", got)
	}
	second.completes(b)
	f.taskIs(a.Task.ID, farm.TaskCompleted)
	f.refused(f.Update(f.ctx(), first.update(a, 2, farm.TaskFailed)), farm.CodeNotAssigned)
	f.taskIs(a.Task.ID, farm.TaskCompleted)
}

func TestAnUpdateOfTheLastAssignedIsApplied(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(1, "misc")
	w := f.worker()
	a := w.claim()
	u := logging(w.update(a, 1, farm.TaskActive), "one\n")
	steps, activity, exitCode := 3, "Frame 3", 0
	u.Steps, u.Activity, u.Command = &steps, &activity, &sched.CommandUpdate{Index: 0, Name: "echo"}
	f.must(f.Update(f.ctx(), u))
	got := f.task(a.Task.ID)
	if got.StepsCompleted != 3 || got.Activity != activity || got.Status != farm.TaskActive || f.logs.of(a.Task.ID) != "one\n" {
		t.Fatalf("the update was not applied: %+v", got)
	}
	steps = 100
	f.must(f.Update(f.ctx(), sched.Update{Caller: w.caller(), TaskID: a.Task.ID, Assignment: a.ID, Sequence: 2, Steps: &steps}))
	if got := f.task(a.Task.ID); got.StepsCompleted != 4 {
		t.Fatalf("%d of %d steps", got.StepsCompleted, got.StepsTotal)
	}
	done := w.update(a, 3, farm.TaskCompleted)
	done.Command = &sched.CommandUpdate{Index: 0, Name: "echo", Ended: true, ExitCode: &exitCode}
	f.must(f.Update(f.ctx(), done))
	f.jobIs(job, farm.JobCompleted)
	attempt := f.attempts(a.Task.ID)[0]
	if attempt.Outcome != farm.OutcomeCompleted || *attempt.ExitCode != 0 || attempt.Session != w.session {
		t.Fatalf("the attempt is %+v", attempt)
	}
	if len(attempt.Steps) != 1 || attempt.Steps[0].Ended.IsZero() || attempt.Steps[0].Command != "echo" || *attempt.Steps[0].ExitCode != 0 {
		t.Fatalf("its commands are %+v", attempt.Steps)
	}
}

func TestAnUpdateThatComesAgainChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(2, "misc")
	w := f.worker()
	a := w.claim()
	for range 3 {
		f.must(f.Update(f.ctx(), logging(w.update(a, 1, farm.TaskActive), "one\n")))
	}
	f.must(f.Update(f.ctx(), logging(w.update(a, 2, ""), "one\n"))) // the same text, but another line of output
	for range 3 {
		f.must(f.Update(f.ctx(), logging(w.update(a, 3, farm.TaskCompleted), "done\n")))
	}
	f.must(f.Update(f.ctx(), logging(w.update(a, 1, farm.TaskActive), "one\n")))     // overtaken on the way
	f.must(f.Update(f.ctx(), w.update(a, 4, farm.TaskCompleted)))                    // the same status in another update
	f.refused(f.Update(f.ctx(), w.update(a, 5, farm.TaskFailed)), farm.CodeConflict) // it is completed
	if got := f.logs.of(a.Task.ID); got != "one\none\ndone\n" {
		t.Fatalf("the log is %q", got)
	}
	f.lastAttempt(a.Task.ID, farm.OutcomeCompleted)
	if got := f.getJob(job).Tasks; got.Completed != 1 || got.Queued != 1 {
		t.Fatalf("the job counts %+v", got)
	}
	if n := len(f.history(a.Task.ID)); n != 2 {
		t.Fatalf("%d status changes, want two", n)
	}
}

func (f *testFarm) history(taskID string) []farm.StatusChange {
	f.t.Helper()
	history, err := f.store.TaskHistory(f.t.Context(), taskID)
	f.must(err)
	return history
}

func TestAStatusThatComesTooLateIsIgnoredAndItsLogKept(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(f *testFarm, w *testWorker, a farm.Assignment)
		task    farm.TaskStatus
	}{
		"the task was canceled": {func(f *testFarm, _ *testWorker, a farm.Assignment) {
			f.must(f.SetTaskStatus(f.ctx(), a.Task.ID, farm.TaskCanceled, "no", "user"))
		}, farm.TaskCanceled},
		"the job was canceled": {func(f *testFarm, _ *testWorker, a farm.Assignment) {
			f.must(f.SetJobStatus(f.ctx(), a.Task.JobID, farm.JobCancelRequested, "no", "user"))
		}, farm.TaskCanceled},
		"the task was requeued": {func(f *testFarm, _ *testWorker, a farm.Assignment) {
			f.must(f.SetTaskStatus(f.ctx(), a.Task.ID, farm.TaskQueued, "again", "user"))
		}, farm.TaskQueued},
		"the task was failed": {func(f *testFarm, _ *testWorker, a farm.Assignment) {
			f.must(f.SetTaskStatus(f.ctx(), a.Task.ID, farm.TaskFailed, "useless", "user"))
		}, farm.TaskFailed},
		"the task was lost and its job paused": {func(f *testFarm, w *testWorker, a farm.Assignment) {
			f.must(f.SetJobStatus(f.ctx(), a.Task.JobID, farm.JobPauseRequested, "later", "user"))
			w.signOn()
		}, farm.TaskPaused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t)
			f.job(20, "misc")
			w := f.worker()
			a := w.claim()
			w.reports(a, 1, farm.TaskActive)
			test.happens(f, w, a)
			f.taskIs(a.Task.ID, test.task)
			if p := w.mayRun(a); p.MayRun || !strings.Contains(p.Reason, string(test.task)) {
				t.Fatalf("may run: %+v", p)
			}
			changes := len(f.history(a.Task.ID))
			f.refused(f.Update(f.ctx(), logging(w.update(a, 2, farm.TaskCompleted), "late\n")), farm.CodeConflict)
			f.must(f.Update(f.ctx(), logging(w.update(a, 3, ""), "later\n")))
			f.taskIs(a.Task.ID, test.task)
			if got := f.logs.of(a.Task.ID); got != "late\nlater\n" {
				t.Fatalf("the log is %q", got)
			}
			if n := len(f.history(a.Task.ID)); n != changes {
				t.Fatalf("the late update changed the status: %+v", f.history(a.Task.ID))
			}
		})
	}
}

func TestALateResultIsAcceptedWhileNobodyElseHasTheTask(t *testing.T) {
	t.Parallel()
	for _, result := range []farm.TaskStatus{farm.TaskCompleted, farm.TaskFailed} {
		t.Run(string(result), func(t *testing.T) {
			t.Parallel()
			f := newFarm(t)
			job := f.job(2, "misc")
			w := f.worker()
			f.worker()
			a := w.claim()
			u := logging(w.update(a, 1, result), "done\n")
			w.signOn() // what its last run still has to say is delivered afterwards
			w.goes(farm.WorkerAwake)
			f.taskIs(a.Task.ID, farm.TaskQueued)
			f.must(f.SetTaskStatus(f.ctx(), f.tasks(job)[1], farm.TaskCanceled, "", "user"))
			f.must(f.Update(f.ctx(), u))
			f.must(f.Update(f.ctx(), u))
			want, outcome := farm.TaskCompleted, farm.OutcomeCompleted
			if result == farm.TaskFailed {
				want, outcome = farm.TaskSoftFailed, farm.OutcomeFailed
			}
			f.taskIs(a.Task.ID, want)
			f.lastAttempt(a.Task.ID, outcome)
			if len(f.attempts(a.Task.ID)) != 1 || f.logs.of(a.Task.ID) != "done\n" {
				t.Fatalf("attempts %+v, log %q", f.attempts(a.Task.ID), f.logs.of(a.Task.ID))
			}
		})
	}
}

func TestALateResultIsAcceptedFromAWorkerThatRunsAnotherTaskByNow(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(2, "misc", func(n *farm.NewJob) { n.Tasks[0].Priority, n.Tasks[1].Priority = 40, 60 })
	w := f.worker()
	urgent := w.claim()
	w.signOn()
	w.goes(farm.WorkerAwake)
	f.must(f.SetTaskStatus(f.ctx(), urgent.Task.ID, farm.TaskCanceled, "", "user"))
	f.must(f.SetTaskStatus(f.ctx(), urgent.Task.ID, farm.TaskQueued, "", "user"))
	b := w.claim()
	if b.Task.ID != urgent.Task.ID {
		t.Fatal("the more urgent task did not come first")
	}
	w.signOn() // b is lost
	w.goes(farm.WorkerAwake)
	other := f.worker()
	c := other.claim() // somebody takes b
	if c.Task.ID != b.Task.ID {
		t.Fatal("the more urgent task did not come first")
	}
	other.signOn() // and loses it
	d := w.claim()
	if d.Task.ID != b.Task.ID {
		t.Fatal("the more urgent task did not come first")
	}
	w.completes(d)
	e := w.claim()
	w.signOn()
	w.goes(farm.WorkerAwake)
	second := f.job(1, "misc", func(n *farm.NewJob) { n.Priority = 90 })
	g := w.claim()
	if g.Task.JobID != second {
		t.Fatal("the more urgent job did not come first")
	}
	if p := w.mayRun(e); p.MayRun {
		t.Fatal("two tasks may run in one slot")
	}
	f.must(f.Update(f.ctx(), logging(w.update(e, 1, farm.TaskActive), "begun\n")))
	f.taskIs(e.Task.ID, farm.TaskQueued)
	f.must(f.Update(f.ctx(), logging(w.update(e, 2, farm.TaskCompleted), "done\n")))
	f.taskIs(e.Task.ID, farm.TaskCompleted)
	f.taskIs(g.Task.ID, farm.TaskActive)
	f.jobIs(job, farm.JobCompleted)
	w.completes(g)
}

func TestALostTaskThatStillRunsIsTakenBack(t *testing.T) {
	for name, says := range map[string]func(w *testWorker, a farm.Assignment){
		"by the question whether it may run": func(w *testWorker, a farm.Assignment) {
			if p := w.mayRun(a); !p.MayRun {
				w.f.t.Fatalf("it may not: %+v", p)
			}
		},
		"by an update": func(w *testWorker, a farm.Assignment) { w.reports(a, 2, farm.TaskActive) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				f.job(1, "blender")
				w := f.worker()
				a := w.claim()
				w.reports(a, 1, farm.TaskActive)
				time.Sleep(2 * time.Minute)
				f.must(f.Expire(f.ctx()))
				f.taskIs(a.Task.ID, farm.TaskQueued)
				w.is(farm.WorkerError)
				says(w, a)
				f.taskIs(a.Task.ID, farm.TaskActive)
				f.lastAttempt(a.Task.ID, "")
				w.goes(farm.WorkerAwake)
				f.taskIs(a.Task.ID, farm.TaskActive)
				w.completes(a)
				if n := len(f.attempts(a.Task.ID)); n != 1 {
					t.Fatalf("%d attempts, want one", n)
				}
			})
		})
	}
}

func TestWhatAnEarlierSessionStillHadToSayDoesNotShowThatATaskRuns(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(1, "misc")
	w := f.worker()
	a := w.claim()
	u := logging(w.update(a, 1, farm.TaskActive), "begun\n")
	w.signOn()
	w.goes(farm.WorkerAwake)
	f.must(f.Update(f.ctx(), u)) // not refused: a result may follow
	f.taskIs(a.Task.ID, farm.TaskQueued)
	w.goes(farm.WorkerAsleep)
	u.Session, u.Sequence = w.session, 2
	f.must(f.Update(f.ctx(), u))
	f.taskIs(a.Task.ID, farm.TaskQueued) // a sleeping worker runs nothing
}

func TestALateResultIsRefusedWhenSomebodyElseHasTheTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.job(1, "blender")
		w, other := f.worker(), f.worker()
		a := w.claim()
		time.Sleep(2 * time.Minute)
		f.must(f.Expire(f.ctx()))
		other.goes(farm.WorkerAwake)
		b := other.claim()
		if p := w.mayRun(a); p.MayRun || p.Reason != "the task is assigned to another worker" {
			t.Fatalf("may run: %+v", p)
		}
		f.refused(f.Update(f.ctx(), w.update(a, 1, farm.TaskCompleted)), farm.CodeNotAssigned)
		other.completes(b)
		f.refused(f.Update(f.ctx(), w.update(a, 1, farm.TaskCompleted)), farm.CodeNotAssigned)
	})
}

func TestAWorkerIsToldWhyItMayNotRun(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(1, "misc")
	w := f.worker()
	a := w.claim()
	if p := w.mayRun(a); !p.MayRun {
		t.Fatalf("may not run its own task: %+v", p)
	}
	f.must(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerAsleep, Lazy: true}))
	if p := w.mayRun(a); !p.MayRun {
		t.Fatalf("a lazy request does not wait for the task: %+v", p)
	}
	for _, wish := range []farm.WorkerStatus{farm.WorkerAsleep, farm.WorkerOffline, farm.WorkerRestart} {
		f.must(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: wish}))
		if p := w.mayRun(a); p.MayRun || !p.StatusRequested || !strings.Contains(p.Reason, string(wish)) {
			t.Fatalf("may run although the worker shall become %s: %+v", wish, p)
		}
	}
	f.must(f.RequestWorkerStatus(f.ctx(), w.id, farm.StatusRequest{Status: farm.WorkerAwake}))
	p, err := f.MayRun(f.ctx(), w.caller(), w.id, a.ID)
	f.must(err)
	if p.MayRun || p.Reason != "there is no such task" {
		t.Fatalf("may run: %+v", p)
	}
	if _, err := f.MayRun(f.ctx(), sched.Caller{WorkerID: a.Task.ID}, a.Task.ID, ""); !farm.IsNotExist(err) {
		t.Fatalf("an unknown worker may ask: %v", err)
	}
	p, err = f.MayRun(f.ctx(), sched.Caller{WorkerID: w.id}, a.Task.ID, "") // an upstream Worker
	f.must(err)
	if !p.MayRun {
		t.Fatalf("may not run: %+v", p)
	}
}

func TestAWorkerCannotReportWhatOnlyTheManagerDecides(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(1, "misc")
	w := f.worker()
	a := w.claim()
	for _, status := range []farm.TaskStatus{farm.TaskQueued, farm.TaskSoftFailed, farm.TaskPaused, farm.TaskCanceled, "nonsense"} {
		f.refused(f.Update(f.ctx(), w.update(a, 1, status)), farm.CodeInvalid)
	}
	nowhere := a
	nowhere.Task.ID = w.id
	f.refused(f.Update(f.ctx(), w.update(nowhere, 1, farm.TaskCompleted)), farm.CodeNotFound)
	f.refused(f.Update(f.ctx(), logging(w.update(nowhere, 1, farm.TaskCompleted), "x")), farm.CodeNotFound)
	f.taskIs(a.Task.ID, farm.TaskActive)
}

func TestALogChunkIsKeptOnceWhenItsTransactionFails(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(1, "misc")
	w := f.worker()
	a := w.claim()
	f.must(f.Update(f.ctx(), logging(w.update(a, 1, farm.TaskActive), "one\n")))
	u := logging(w.update(a, 2, farm.TaskCompleted), "two\n")
	unlock := f.lockDatabase()
	for range 3 {
		f.refused(f.Update(f.ctx(), u), farm.CodeBusy)
	}
	unlock()
	f.taskIs(a.Task.ID, farm.TaskActive)
	f.restart()
	f.must(f.Update(f.ctx(), u))
	f.must(f.Update(f.ctx(), u))
	if got := f.logs.of(a.Task.ID); got != "one\ntwo\n" {
		t.Fatalf("the log is %q", got)
	}
	f.taskIs(a.Task.ID, farm.TaskCompleted)
}

// lockDatabase keeps the database locked, as another process might.
func (f *testFarm) lockDatabase() (unlock func()) {
	f.t.Helper()
	db, err := sql.Open("sqlite", f.path)
	f.must(err)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(f.ctx(), "BEGIN IMMEDIATE")
	f.must(err)
	return func() {
		f.t.Helper()
		_, err := db.ExecContext(f.ctx(), "ROLLBACK")
		f.must(errors.Join(err, db.Close()))
	}
}

func TestAnUpdateWhoseLogCannotBeKeptIsNotTaken(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(1, "misc")
	w := f.worker()
	a := w.claim()
	f.logs.err = farm.Errorf(farm.CodeStorage, "the disk is full")
	u := logging(w.update(a, 1, farm.TaskCompleted), "one\n")
	f.refused(f.Update(f.ctx(), u), farm.CodeStorage)
	f.taskIs(a.Task.ID, farm.TaskActive)
	f.logs.err = nil
	f.must(f.Update(f.ctx(), u))
	if got := f.logs.of(a.Task.ID); got != "one\n" {
		t.Fatalf("the log is %q", got)
	}
}

func TestEachAttemptHasALogOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.job(1, "misc")
		w := f.worker()
		first := w.claim()
		f.must(f.Update(f.ctx(), logging(w.update(first, 1, farm.TaskActive), "begun\nand a lot more\n")))
		time.Sleep(2 * time.Minute)
		f.must(f.Expire(f.ctx()))
		// Nobody else has the task yet: what its worker still says belongs to its attempt.
		f.must(f.Update(f.ctx(), logging(w.update(first, 2, ""), "late\n")))
		f.must(f.SetTaskStatus(f.ctx(), first.Task.ID, farm.TaskQueued, "again", "user"))
		w.goes(farm.WorkerAwake)
		second := w.claim()
		u := logging(w.update(second, 1, farm.TaskActive), "begun\n")
		f.must(f.Update(f.ctx(), u))
		f.must(f.Update(f.ctx(), u))
		f.refused(f.Update(f.ctx(), logging(w.update(first, 3, ""), "too late\n")), farm.CodeNotAssigned)
		id := first.Task.ID
		if got, want := f.logs.attempt(id, 1), "begun\nand a lot more\nlate\n"; got != want {
			t.Errorf("the first log is %q, want %q", got, want)
		}
		if got, want := f.logs.attempt(id, second.Generation), "begun\n"; got != want {
			t.Errorf("the second log is %q, want %q", got, want)
		}
	})
}

func TestTheEndOfEveryAttemptOfAWorkerIsToldToItsLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.job(3, "misc")
		w := f.worker()
		var want []farm.LogID
		for i, end := range []func(farm.Assignment){
			w.completes,
			func(farm.Assignment) { w.signOn() },
			func(farm.Assignment) { time.Sleep(time.Hour); f.must(f.Expire(f.ctx())) },
		} {
			w.goes(farm.WorkerAwake)
			a := w.claim()
			end(a)
			want = append(want, farm.LogID{JobID: a.Task.JobID, TaskID: a.Task.ID, Generation: a.Generation})
			if diff := cmp.Diff(want, f.logs.over); diff != "" {
				t.Fatalf("after end %d (-want +got):\n%s", i, diff)
			}
		}
	})
}
