// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/store"
)

func (f *testFarm) setJob(id string, to farm.JobStatus) {
	f.t.Helper()
	f.must(f.SetJobStatus(f.ctx(), id, to, "because", "user"))
}

func (f *testFarm) setTask(id string, to farm.TaskStatus) {
	f.t.Helper()
	f.must(f.SetTaskStatus(f.ctx(), id, to, "because", "user"))
}

func TestAJobWithoutTasksIsCompletedAtOnce(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.jobIs(f.job(0, "misc"), farm.JobCompleted)
}

func TestASubmissionThatIsRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	bad := farm.NewJob{Name: "job", Type: "test", Tasks: []farm.NewTask{task("a", "misc")}}
	bad.InitialStatus = farm.JobActive
	_, err := f.Submit(f.ctx(), bad)
	f.refused(err, farm.CodeInvalid)
	bad.InitialStatus, bad.TagID = farm.JobQueued, "00000000-0000-4000-8000-00000000beef"
	_, err = f.Submit(f.ctx(), bad)
	f.refused(err, farm.CodeInvalid)
	jobs, _, err := f.store.Jobs(f.ctx(), store.JobList{})
	f.must(err)
	if len(jobs) != 0 {
		t.Fatalf("there are %d jobs", len(jobs))
	}
}

func TestAPausedJobWaitsForAPerson(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(2, "misc", func(n *farm.NewJob) { n.InitialStatus = farm.JobPaused })
	w := f.worker()
	w.getsNothing()
	f.setJob(job, farm.JobQueued)
	a := w.claim()
	f.setJob(job, farm.JobPauseRequested)
	f.jobIs(job, farm.JobPauseRequested)
	f.taskIs(a.Task.ID, farm.TaskActive) // it goes on
	if p := w.mayRun(a); !p.MayRun {
		t.Fatalf("may not run: %+v", p)
	}
	w.completes(a)
	f.jobIs(job, farm.JobPaused)
	w.getsNothing()
	f.setJob(job, farm.JobRequeueing)
	w.completes(w.claim())
	f.jobIs(job, farm.JobCompleted)
}

func TestACanceledJobTakesItsTasksAlong(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(3, "misc")
	w := f.worker()
	w.completes(w.claim())
	a := w.claim()
	f.setJob(job, farm.JobCancelRequested)
	f.jobIs(job, farm.JobCanceled)
	if got := f.getJob(job).Tasks; got.Completed != 1 || got.Canceled != 2 {
		t.Fatalf("the job counts %+v", got)
	}
	f.lastAttempt(a.Task.ID, farm.OutcomeCanceled)
	f.setJob(job, farm.JobCanceled) // it is
	f.setJob(job, farm.JobQueued)
	if got := f.getJob(job).Tasks; got.Completed != 1 || got.Queued != 2 {
		t.Fatalf("requeued, the job counts %+v", got)
	}
	w.completes(w.claim())
	w.completes(w.claim())
	f.jobIs(job, farm.JobCompleted)
}

func TestARequeuedCompletedJobRunsAllItsTasksAgain(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(0, "", func(n *farm.NewJob) { n.Tasks = []farm.NewTask{task("a", "misc"), task("b", "misc", 0)} })
	w := f.worker()
	for range 2 {
		for _, name := range []string{"a", "b"} {
			a := w.claim()
			if a.Task.Name != name {
				t.Fatalf("got task %s, want %s", a.Task.Name, name)
			}
			w.completes(a)
		}
		f.jobIs(job, farm.JobCompleted)
		if got := f.getJob(job); got.StepsCompleted != 8 {
			t.Fatalf("%d of %d steps", got.StepsCompleted, got.StepsTotal)
		}
		f.setJob(job, farm.JobRequeueing)
		if got := f.getJob(job); got.StepsCompleted != 0 || got.Tasks.Queued != 2 {
			t.Fatalf("requeued, the job has %d steps and %+v", got.StepsCompleted, got.Tasks)
		}
	}
}

func TestARequeuedTaskTakesAlongWhatDependsOnIt(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(0, "", func(n *farm.NewJob) {
		n.Tasks = []farm.NewTask{task("a", "misc"), task("b", "misc", 0), task("c", "misc", 1), task("d", "misc")}
	})
	ids := f.tasks(job)
	w := f.worker()
	for range 4 {
		w.completes(w.claim())
	}
	f.jobIs(job, farm.JobCompleted)
	f.setTask(ids[0], farm.TaskQueued)
	f.jobIs(job, farm.JobQueued)
	for i, want := range []farm.TaskStatus{farm.TaskQueued, farm.TaskQueued, farm.TaskQueued, farm.TaskCompleted} {
		f.taskIs(ids[i], want)
	}
	for _, name := range []string{"a", "b", "c"} {
		a := w.claim()
		if a.Task.Name != name || a.Generation != 2 {
			t.Fatalf("got task %s, generation %d, want %s", a.Task.Name, a.Generation, name)
		}
		w.completes(a)
	}
	f.jobIs(job, farm.JobCompleted)
}

func TestARunningDependantOfARequeuedTaskIsStopped(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(0, "", func(n *farm.NewJob) { n.Tasks = []farm.NewTask{task("a", "misc"), task("b", "misc", 0)} })
	ids := f.tasks(job)
	w := f.worker()
	w.completes(w.claim())
	b := w.claim()
	f.setTask(ids[0], farm.TaskQueued)
	f.taskIs(ids[1], farm.TaskQueued)
	f.lastAttempt(ids[1], farm.OutcomeCanceled)
	if p := w.mayRun(b); p.MayRun {
		t.Fatal("it may go on")
	}
	if a := w.claim(); a.Task.ID != ids[0] {
		t.Fatalf("got %s", a.Task.Name)
	}
}

func TestAJobWhoseRestCanNeverRunDoesNotHang(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(0, "", func(n *farm.NewJob) { n.Tasks = []farm.NewTask{task("a", "misc"), task("b", "misc", 0)} })
	f.setTask(f.tasks(job)[0], farm.TaskCanceled)
	f.jobIs(job, farm.JobCanceled)
	f.taskIs(f.tasks(job)[1], farm.TaskCanceled)

	job = f.job(0, "", func(n *farm.NewJob) {
		n.Tasks = []farm.NewTask{task("a", "misc"), task("b", "misc", 0)}
		for range 20 {
			n.Tasks = append(n.Tasks, task("c", "misc"))
		}
	})
	w := f.worker()
	f.setTask(f.tasks(job)[0], farm.TaskFailed)
	f.jobIs(job, farm.JobQueued)
	for range 20 {
		w.completes(w.claim())
	}
	f.jobIs(job, farm.JobFailed)
}

func TestWhatMayNotBeIsRefused(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(2, "misc")
	ids := f.tasks(job)
	set := func(to farm.JobStatus) error { return f.SetJobStatus(f.ctx(), job, to, "", "user") }
	setTask := func(to farm.TaskStatus) error { return f.SetTaskStatus(f.ctx(), ids[0], to, "", "user") }
	for _, to := range []farm.JobStatus{farm.JobActive, farm.JobCompleted, farm.JobRequeueing, farm.JobUnderConstruction, "nonsense"} {
		f.refused(set(to), farm.CodeIllegal)
	}
	for _, to := range []farm.TaskStatus{farm.TaskActive, farm.TaskCompleted, farm.TaskSoftFailed, farm.TaskPaused, "nonsense"} {
		f.refused(setTask(to), farm.CodeIllegal)
	}
	f.jobIs(job, farm.JobQueued)
	f.taskIs(ids[0], farm.TaskQueued)
	f.must(setTask(farm.TaskQueued)) // it is
	f.must(setTask(farm.TaskCanceled))
	f.refused(setTask(farm.TaskFailed), farm.CodeIllegal)

	missing := ids[1][:35] + "x"
	f.refused(f.SetJobStatus(f.ctx(), missing, farm.JobCanceled, "", ""), farm.CodeNotFound)
	f.refused(f.SetTaskStatus(f.ctx(), missing, farm.TaskCanceled, "", ""), farm.CodeNotFound)
	f.refused(f.SetJobPriority(f.ctx(), missing, 1), farm.CodeNotFound)
	f.refused(f.SetJobPriority(f.ctx(), job, 101), farm.CodeInvalid)
	f.refused(f.SetJobPriority(f.ctx(), job, -1), farm.CodeInvalid)
	f.refused(f.SetJobTag(f.ctx(), missing, ""), farm.CodeNotFound)
	f.refused(f.SetJobTag(f.ctx(), job, missing), farm.CodeNoSuchTag)
	f.refused(f.DeleteTag(f.ctx(), missing), farm.CodeNotFound)
	f.refused(f.WaitJob(f.ctx(), missing, 1), farm.CodeNotFound)
}

func TestThePriorityOfAJobDecidesAtOnce(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.job(1, "misc")
	second := f.job(1, "misc")
	f.must(f.SetJobPriority(f.ctx(), second, 51))
	if a := f.worker().claim(); a.Task.JobID != second || a.JobPriority != 51 {
		t.Fatalf("got a task of job %s with priority %d", a.Task.JobID, a.JobPriority)
	}
}

// big is more than what a caller waits for.
const big = 5100

func (f *testFarm) bigJob() string {
	f.t.Helper()
	return f.job(big, "misc")
}

func TestAChangeOfAWholeBigJobIsFinishedInTheBackground(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.running()
	job := f.bigJob()
	w := f.worker()
	a := w.claim()
	f.setJob(job, farm.JobPauseRequested)
	w.getsNothingBeside(a)
	f.waitTasks(job, farm.TaskCounts{Active: 1, Paused: big - 1})
	w.completes(a)
	f.waitJob(job, farm.JobPaused)
	f.setJob(job, farm.JobQueued)
	f.waitJob(job, farm.JobQueued)
	f.waitTasks(job, farm.TaskCounts{Completed: 1, Queued: big - 1})
	w.claim()
}

// getsNothingBeside checks that a worker gets nothing beside what it runs.
func (w *testWorker) getsNothingBeside(running farm.Assignment) {
	w.f.t.Helper()
	c, err := w.f.Claim(w.f.ctx(), sched.ClaimRequest{Caller: w.caller(), Slot: 1, Running: []string{running.ID}})
	w.f.must(err)
	if c.Assignment != nil {
		w.f.t.Fatalf("got %+v, want nothing", c.Assignment.Task)
	}
}

// waitTasks waits until the tasks of a job have these statuses.
func (f *testFarm) waitTasks(id string, want farm.TaskCounts) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx(), time.Minute)
	defer cancel()
	for {
		job := f.getJob(id)
		if job.Tasks == want {
			return
		}
		if err := f.WaitJob(ctx, id, job.Revision); err != nil {
			f.t.Fatalf("the job counts %+v, want %+v: %v", job.Tasks, want, err)
		}
	}
}

func TestAChangeOfAWholeJobThatACrashInterruptedIsFinishedAtTheNextStart(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.bigJob()
	f.setJob(job, farm.JobCancelRequested) // its last slices are left to the background, which does not run
	f.halfDone(job)
	f.restart()
	unlock := f.lockDatabase() // at first it cannot be finished
	stop := f.running()
	for range 2 { // when the second is refused, the background has been, too
		f.refused(f.SetJobPriority(f.ctx(), job, 1), farm.CodeBusy)
	}
	unlock()
	f.waitJob(job, farm.JobCanceled)
	f.waitTasks(job, farm.TaskCounts{Canceled: big})
	stop()

	f.setJob(job, farm.JobQueued)
	f.halfDone(job)
	f.jobIs(job, farm.JobRequeueing)
	f.restart()
	f.running()
	f.waitJob(job, farm.JobQueued)
	f.waitTasks(job, farm.TaskCounts{Queued: big})
}

// halfDone checks that a test is about what it says.
func (f *testFarm) halfDone(job string) {
	f.t.Helper()
	if got := f.getJob(job).Tasks; got.Queued == 0 || got.Queued == big {
		f.t.Fatalf("this test needs a change that is half done, not %+v", got)
	}
}

func TestRequeueingATaskWaitsUntilItsFailedJobHasTakenItsTasksAlong(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.bigJob()
	ids := f.tasks(job)
	f.setJob(job, farm.JobFailed)
	f.halfDone(job)
	f.setTask(ids[0], farm.TaskQueued)
	f.waitTasks(job, farm.TaskCounts{Queued: 1, Canceled: big - 1})
	f.jobIs(job, farm.JobQueued)
}

func TestWaitingForAJobEndsWithItsNextChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		job := f.job(1, "misc")
		revision := f.getJob(job).Revision
		f.must(f.WaitJob(f.ctx(), job, revision-1))
		done := make(chan error, 1)
		go func() { done <- f.WaitJob(f.ctx(), job, revision) }()
		f.job(1, "misc") // another one
		f.worker().claim()
		f.must(<-done)
		f.jobIs(job, farm.JobActive)

		ctx, cancel := context.WithTimeout(f.ctx(), time.Hour)
		defer cancel()
		if err := f.WaitJob(ctx, job, f.getJob(job).Revision); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v after an hour without a change", err)
		}
	})
}
