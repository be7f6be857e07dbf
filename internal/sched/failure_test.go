// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
)

func (f *testFarm) blocked(jobID string) []string {
	f.t.Helper()
	entries, err := f.store.Blocklist(f.ctx(), jobID)
	f.must(err)
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.WorkerID
	}
	return ids
}

func TestAFailedTaskIsTriedBySomebodyElse(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(1, "misc")
	first, second := f.worker(), f.worker()
	a := first.claim()
	u := first.update(a, 1, farm.TaskFailed)
	activity, exitCode := "Blender crashed", 11
	u.Activity, u.Command = &activity, &sched.CommandUpdate{Name: "echo", Ended: true, ExitCode: &exitCode}
	f.must(f.Update(f.ctx(), u))
	f.taskIs(a.Task.ID, farm.TaskSoftFailed)
	f.jobIs(job, farm.JobActive)
	attempt := f.attempts(a.Task.ID)[0]
	if attempt.Reason != activity || *attempt.ExitCode != exitCode {
		t.Fatalf("the attempt is %+v", attempt)
	}
	first.getsNothing()
	second.completes(second.claim())
	f.jobIs(job, farm.JobCompleted)
	if !strings.Contains(f.logs.lines(), "its status is now soft-failed") {
		t.Fatalf("the log does not say what became of the task: %q", f.logs.lines())
	}
}

func TestWithTwoWorkersOneFailureDoesNotFailTheJob(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(1, "misc")
	first, second := f.worker(), f.worker()
	first.fails(first.claim())
	f.jobIs(job, farm.JobActive)
	b := second.claim()
	second.fails(b)
	f.taskIs(b.Task.ID, farm.TaskFailed) // nobody is left
	f.jobIs(job, farm.JobFailed)
}

func TestWorkersThatCannotRunATaskDoNotCountAsLeft(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	tag, err := f.store.CreateTag(f.ctx(), farm.Tag{Name: "gpu"})
	f.must(err)
	job := f.job(20, "misc", func(n *farm.NewJob) { n.TagID = tag.ID })
	w := f.worker("misc")
	f.must(f.SetWorkerTags(f.ctx(), w.id, []string{tag.ID}))
	f.must(f.SetWorkerTags(f.ctx(), f.worker("blender").id, []string{tag.ID})) // another type
	f.worker("misc")                                                           // without the tag
	deleted := f.worker("misc")
	f.must(f.SetWorkerTags(f.ctx(), deleted.id, []string{tag.ID}))
	f.must(f.DeleteWorker(f.ctx(), deleted.id))
	a := w.claim()
	w.fails(a)
	f.taskIs(a.Task.ID, farm.TaskFailed)
	f.jobIs(job, farm.JobActive) // one of twenty
}

func TestATaskFailsForGoodWhenThreeWorkersFailedIt(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(20, "misc")
	f.worker() // is left all the time
	for n := range 3 {
		w := f.worker()
		a := w.claim()
		if a.Task.IndexInJob != 1 {
			t.Fatalf("got %s instead of the first task", a.Task.Name)
		}
		w.fails(a)
		want := farm.TaskSoftFailed
		if n == 2 {
			want = farm.TaskFailed
		}
		f.taskIs(a.Task.ID, want)
	}
	f.jobIs(job, farm.JobActive)
	failed, err := f.store.FailedBy(f.ctx(), f.tasks(job)[0])
	f.must(err)
	if len(failed) != 3 {
		t.Fatalf("failed by %d workers, want 3", len(failed))
	}
}

func TestAWorkerIsBlockedAfterExactlyThreeFailures(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(50, "misc")
	other := f.job(1, "misc", func(n *farm.NewJob) { n.Priority = 10 })
	f.worker()
	w := f.worker()
	for n := range 3 {
		if got := f.blocked(job); len(got) != 0 {
			t.Fatalf("blocked after %d failures", n)
		}
		w.fails(w.claim())
	}
	if got := f.blocked(job); len(got) != 1 || got[0] != w.id {
		t.Fatalf("blocked: %v, want the worker", got)
	}
	if a := w.claim(); a.Task.JobID != other {
		t.Fatal("the worker got another task of the job it is blocked for")
	}
}

func TestTasksThatABlockedWorkerFailedForGoodGetAnotherChance(t *testing.T) {
	t.Parallel()
	f := newFarm(t, func(o *sched.Options) { o.BlocklistThreshold, o.SoftFailLimit = 2, 1 })
	job := f.job(50, "misc")
	f.worker()
	w := f.worker()
	a := w.claim()
	w.fails(a)
	f.taskIs(a.Task.ID, farm.TaskFailed)
	w.fails(w.claim())
	f.taskIs(a.Task.ID, farm.TaskQueued)
	f.jobIs(job, farm.JobActive)
}

func TestAThresholdOfZeroBlocksNobody(t *testing.T) {
	t.Parallel()
	f := newFarm(t, func(o *sched.Options) { o.BlocklistThreshold = 0 })
	job := f.job(50, "misc")
	f.worker()
	w := f.worker()
	for range 4 {
		w.fails(w.claim())
	}
	if got := f.blocked(job); len(got) != 0 {
		t.Fatalf("blocked: %v", got)
	}
}

func TestSoftFailedTasksFailWhenNobodyIsLeft(t *testing.T) {
	t.Parallel()
	for name, goes := range map[string]func(f *testFarm, w *testWorker, job string){
		"because the last worker is deleted": func(f *testFarm, w *testWorker, _ string) { f.must(f.DeleteWorker(f.ctx(), w.id)) },
		"because the last worker is blocked": func(f *testFarm, w *testWorker, _ string) {
			for slot := range 3 {
				c, err := f.Claim(f.ctx(), sched.ClaimRequest{Caller: w.caller(), Slot: slot})
				f.must(err)
				w.fails(*c.Assignment)
			}
		},
		"because the last worker signs on for other types": func(_ *testFarm, w *testWorker, _ string) {
			w.types = []string{"blender"}
			w.signOn()
		},
		"because the last worker loses its tag": func(f *testFarm, w *testWorker, job string) {
			tag, err := f.store.CreateTag(f.ctx(), farm.Tag{Name: "gpu"})
			f.must(err)
			f.must(f.SetWorkerTags(f.ctx(), w.id, []string{tag.ID}))
			f.must(f.SetJobTag(f.ctx(), job, tag.ID))
			f.must(f.SetWorkerTags(f.ctx(), w.id, nil))
		},
		"because the job gets a tag that nobody has": func(f *testFarm, _ *testWorker, job string) {
			tag, err := f.store.CreateTag(f.ctx(), farm.Tag{Name: "gpu"})
			f.must(err)
			f.must(f.SetJobTag(f.ctx(), job, tag.ID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t)
			job := f.job(100, "misc", func(n *farm.NewJob) { n.Tasks[0].Priority = 90 })
			w, last := f.worker(), f.worker()
			a := w.claim()
			for slot := range 3 { // other tasks, because the last worker must not try that one
				_, err := f.Claim(f.ctx(), sched.ClaimRequest{Caller: last.caller(), Slot: slot})
				f.must(err)
			}
			w.fails(a)
			f.taskIs(a.Task.ID, farm.TaskSoftFailed)
			goes(f, last, job)
			f.taskIs(a.Task.ID, farm.TaskFailed)
			f.jobIs(job, farm.JobActive)
		})
	}
}

func TestAJobFailsWhenATenthOfItsTasksFailed(t *testing.T) {
	t.Parallel()
	f := newFarm(t, func(o *sched.Options) { o.SoftFailLimit, o.BlocklistThreshold = 1, 0 })
	job := f.job(29, "misc")
	ids := f.tasks(job)
	w, busy := f.worker(), f.worker()
	w.fails(w.claim())
	running := busy.claim()
	w.fails(w.claim())
	f.jobIs(job, farm.JobActive) // 2 of 29 are 6 %
	w.fails(w.claim())
	f.jobIs(job, farm.JobFailed)
	f.taskIs(running.Task.ID, farm.TaskCanceled)
	f.taskIs(ids[28], farm.TaskCanceled)
	if p := busy.mayRun(running); p.MayRun {
		t.Fatal("a task of a failed job may run")
	}
	f.must(f.SetTaskStatus(f.ctx(), ids[0], farm.TaskQueued, "once more", "user"))
	f.jobIs(job, farm.JobQueued) // it is not failed again at once
	a := w.claim()
	if a.Task.ID != ids[0] {
		t.Fatalf("got %s", a.Task.Name)
	}
}

func TestAJobFailsWhenEveryWorkerIsBlocked(t *testing.T) {
	t.Parallel()
	f := newFarm(t, func(o *sched.Options) { o.BlocklistThreshold = 1 })
	job := f.job(100, "misc")
	w := f.worker()
	w.fails(w.claim())
	f.jobIs(job, farm.JobFailed)
	ids := f.tasks(job)
	f.must(f.SetTaskStatus(f.ctx(), ids[0], farm.TaskQueued, "the disk was full", "user"))
	if got := f.blocked(job); len(got) != 0 {
		t.Fatalf("still blocked: %v; nobody could run the task that a person wants run", got)
	}
	if a := w.claim(); a.Task.ID != ids[0] {
		t.Fatalf("got %s", a.Task.Name)
	}
}

func TestRequeueingAJobForgetsFailuresAndBlocklist(t *testing.T) {
	t.Parallel()
	f := newFarm(t, func(o *sched.Options) { o.BlocklistThreshold = 1 })
	job := f.job(10, "misc")
	w := f.worker()
	w.fails(w.claim())
	f.jobIs(job, farm.JobFailed)
	f.must(f.SetJobStatus(f.ctx(), job, farm.JobRequeueing, "again", "user"))
	f.jobIs(job, farm.JobQueued)
	if got := f.blocked(job); len(got) != 0 {
		t.Fatalf("still blocked: %v", got)
	}
	for range 10 {
		w.completes(w.claim())
	}
	f.jobIs(job, farm.JobCompleted)
}
