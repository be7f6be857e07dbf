// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"errors"
	"fmt"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func claimTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"jobs go by priority, then by age":                                    claimsByJob,
		"tasks go by priority, then by index":                                 claimsByTask,
		"the best task of a job is found among several types":                 claimsAcrossTypes,
		"the best job wins even if its task is the worst":                     claimsJobFirst,
		"a worker gets the task types that it runs":                           claimsByType,
		"a job with a tag runs on workers that carry it":                      claimsByTag,
		"a blocked worker gets no task of that type of that job":              claimsPastBlocks,
		"a worker does not get a task that it failed":                         claimsPastFailures,
		"a task waits for all that it depends on":                             claimsAfterDependencies,
		"a completed task that is requeued stops what depends on it":          reopensDependencies,
		"jobs that may not run are passed over":                               claimsRunnableJobs,
		"a hundred jobs in front that have nothing for this worker":           walksPastMany,
		"a soft-failed task is handed out again":                              claimsSoftFailed,
		"a worker has one active task in a slot":                              refusesSecondTask,
		"each hand-out is a new assignment and the next generation":           numbersAssignments,
		"a glance shows what a call about a task needs":                       glancesAtTasks,
		"deleting a tag opens its jobs to every worker and wakes those":       opensJobsOfDeletedTags,
		"a new priority changes the order of jobs that are already submitted": changesPriority,
	}
}

func claimsByJob(f *Farm) {
	w := f.Worker("w", "a")
	var jobs [3][]string
	for i, priority := range []int{50, 90, 50} {
		job := NewJob(fmt.Sprint(i), NewTask("a"))
		job.Priority = priority
		_, jobs[i] = f.Submit(job)
	}
	for _, i := range []int{1, 0, 2} {
		f.wantClaim(w, jobs[i][0])
		f.End(jobs[i][0], farm.TaskCompleted)
	}
	f.wantClaim(w, "")
}

func claimsByTask(f *Farm) {
	w := f.Worker("w", "a")
	job := NewJob("j", NewTasks(4, "a")...)
	job.Tasks[2].Priority = 99
	job.Tasks[0].Priority = 1
	_, tasks := f.Submit(job)
	for _, i := range []int{2, 1, 3, 0} {
		f.wantClaim(w, tasks[i])
		f.End(tasks[i], farm.TaskCompleted)
	}
}

func claimsAcrossTypes(f *Farm) {
	w := f.Worker("w", "c", "b", "a")
	job := NewJob("j", NewTask("c"), NewTask("a"), NewTask("b"), NewTask("a"))
	job.Tasks[3].Priority = 60
	_, tasks := f.Submit(job)
	for _, i := range []int{3, 0, 1, 2} {
		f.wantClaim(w, tasks[i])
		f.End(tasks[i], farm.TaskCompleted)
	}
}

func claimsJobFirst(f *Farm) {
	w := f.Worker("w", "a", "b")
	low, high := NewJob("low", NewTask("a")), NewJob("high", NewTask("b"))
	low.Priority, low.Tasks[0].Priority = 10, 100
	high.Priority, high.Tasks[0].Priority = 11, 0
	f.Submit(low)
	_, tasks := f.Submit(high)
	f.wantClaim(w, tasks[0])
}

func claimsByType(f *Farm) {
	_, tasks := f.Submit(NewJob("j", NewTask("a"), NewTask("b")))
	f.wantClaim(f.Worker("none"), "")
	f.wantClaim(f.Worker("other", "c"), "")
	f.wantClaim(f.Worker("b", "b"), tasks[1])
}

func claimsByTag(f *Farm) {
	gpu, cpu := f.tag("gpu"), f.tag("cpu")
	plain, both, tagged := f.Worker("plain", "a"), f.Worker("both", "a"), f.Worker("tagged", "a")
	f.setTags(both, gpu, cpu)
	f.setTags(tagged, cpu, "unknown ids are left out")
	job := NewJob("gpu only", NewTask("a"))
	job.TagID = gpu
	id, tasks := f.Submit(job)
	f.wantClaim(plain, "")
	f.wantClaim(tagged, "")
	f.onJob(id, func(tx *store.Tx, j *store.Job) error {
		return errors.Join(tx.SetTag(j, cpu), tx.SaveJob(j, store.ByManager("")))
	})
	f.wantClaim(plain, "")
	f.wantClaim(tagged, tasks[0])
	f.End(tasks[0], farm.TaskQueued)
	f.onJob(id, func(tx *store.Tx, j *store.Job) error {
		return errors.Join(tx.SetTag(j, ""), tx.SaveJob(j, store.ByManager("")))
	})
	f.wantClaim(plain, tasks[0])
	_, others := f.Submit(NewJob("for any", NewTask("a")))
	f.wantClaim(both, others[0])
	err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
		j, err := tx.Job(id)
		return errors.Join(err, tx.SetTag(j, "no such tag"))
	})
	f.wantCode(err, farm.CodeNotFound)
}

func claimsPastBlocks(f *Farm) {
	w := f.Worker("w", "a", "b")
	first, firstTasks := f.Submit(NewJob("first", NewTask("a"), NewTask("b")))
	_, secondTasks := f.Submit(NewJob("second", NewTask("a")))
	f.block(first, w, "a")
	f.wantClaim(w, firstTasks[1])
	f.End(firstTasks[1], farm.TaskCompleted)
	f.wantClaim(w, secondTasks[0])
	f.End(secondTasks[0], farm.TaskCompleted)
	f.wantClaim(w, "")
	f.onJob(first, func(tx *store.Tx, j *store.Job) error { return tx.Unblock(j, w, "a") })
	f.wantClaim(w, firstTasks[0])
}

func claimsPastFailures(f *Farm) {
	w, other := f.Worker("w", "a"), f.Worker("other", "a")
	_, tasks := f.Submit(NewJob("j", NewTask("a"), NewTask("a")))
	f.fail(tasks[0], w)
	f.wantClaim(w, tasks[1])
	f.wantClaim(other, tasks[0])
}

func claimsAfterDependencies(f *Farm) {
	w := f.Worker("w", "a", "b")
	_, tasks := f.Submit(NewJob("j", NewTask("b", 1, 2), NewTask("a"), NewTask("a")))
	f.takeChanges()
	f.wantClaim(w, tasks[1])
	f.End(tasks[1], farm.TaskCompleted)
	f.wantClaim(w, tasks[2])
	if got := work(f.takeChanges()); len(got) > 0 {
		f.t.Errorf("nothing became ready, yet heard %v", got)
	}
	f.End(tasks[2], farm.TaskCompleted)
	if got := work(f.takeChanges()); len(got) != 1 || len(got[0].TaskTypes) != 1 || got[0].TaskTypes[0] != "b" {
		f.t.Errorf("a task of type b became ready, heard %v", got)
	}
	f.wantClaim(w, tasks[0])
}

func reopensDependencies(f *Farm) {
	w := f.Worker("w", "a", "b")
	_, tasks := f.Submit(NewJob("j", NewTask("a"), NewTask("b", 0)))
	f.wantClaim(w, tasks[0])
	f.End(tasks[0], farm.TaskCompleted)
	f.check()
	f.End(tasks[0], farm.TaskQueued)
	f.check()
	f.wantClaim(w, tasks[0])
	f.wantClaim(f.Worker("x", "b"), "")
	f.End(tasks[0], farm.TaskCompleted)
	f.wantClaim(w, tasks[1])
}

func claimsRunnableJobs(f *Farm) {
	w := f.Worker("w", "a")
	id, tasks := f.Submit(NewJob("j", NewTask("a")))
	for _, status := range farm.JobStatuses {
		f.saveJob(id, func(j *store.Job) { j.Status = status })
		f.check()
		if got := f.Claim(w) != ""; got != status.Runnable() {
			f.t.Errorf("a task of a job that is %s was handed out: %v", status, got)
		}
		if status.Runnable() {
			f.End(tasks[0], farm.TaskQueued)
		}
	}
}

func walksPastMany(f *Farm) {
	w, other := f.Worker("w", "a", "b"), f.Worker("other", "a", "b")
	for i := range 100 {
		id, tasks := f.Submit(NewJob(fmt.Sprint(i), NewTask("a"), NewTask("b")))
		switch i % 3 {
		case 0: // in the walk, but each of its tasks has been failed by this worker
			f.fail(tasks[0], w)
			f.fail(tasks[1], w)
		case 1:
			f.block(id, w, "a")
			f.fail(tasks[1], w)
		case 2:
			f.saveJob(id, func(j *store.Job) { j.Status = farm.JobPaused })
		}
	}
	last := NewJob("last", NewTask("b"), NewTask("a"))
	last.Tasks[1].Priority = 99
	_, tasks := f.Submit(last)
	f.wantClaim(w, tasks[1])
	f.wantClaim(other, f.taskIDs(f.firstJob())[0])
}

func (f *Farm) firstJob() string {
	f.t.Helper()
	jobs, _, err := f.Store.Jobs(f.ctx, store.JobList{Page: store.Page{Limit: 1}})
	f.must(err)
	return jobs[0].ID
}

func claimsSoftFailed(f *Farm) {
	w, other := f.Worker("w", "a"), f.Worker("other", "a")
	_, tasks := f.Submit(NewJob("j", NewTask("a")))
	f.wantClaim(w, tasks[0])
	f.fail(tasks[0], w)
	f.End(tasks[0], farm.TaskSoftFailed)
	f.wantClaim(w, "")
	f.wantClaim(other, tasks[0])
}

func refusesSecondTask(f *Farm) {
	w := f.Worker("w", "a")
	_, tasks := f.Submit(NewJob("j", NewTasks(2, "a")...))
	f.wantClaim(w, tasks[0])
	err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
		worker, err := tx.Worker(w)
		if err != nil {
			return err
		}
		held, err := tx.TaskInSlot(worker, 0)
		if err != nil || held.ID != tasks[0] || held.Slot() != 0 {
			return fmt.Errorf("in the slot is %v, %w", held, err)
		}
		if _, err := tx.TaskInSlot(worker, 1); !farm.IsNotExist(err) {
			return fmt.Errorf("in the second slot is something: %w", err)
		}
		active, err := tx.ActiveTasks(worker)
		if err != nil || len(active) != 1 || active[0].ID != tasks[0] {
			return fmt.Errorf("active are %v, %w", active, err)
		}
		_, err = claim(tx, worker)
		return err
	})
	if err == nil || farm.CodeOf(err) != "" {
		f.t.Errorf("a second task in the same slot: %v", err)
	}
	if got := f.task(tasks[1]); got.Status != farm.TaskQueued || got.Generation != 0 {
		f.t.Errorf("the second task is %+v", got)
	}
}

func glancesAtTasks(f *Farm) {
	const missing = "11111111-1111-4111-8111-111111111111"
	w, other := f.Worker("w", "a"), f.Worker("other", "a")
	job, tasks := f.Submit(NewJob("j", NewTask("a")))
	f.wantClaim(w, tasks[0])
	f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
		t.LastSequence, t.LogSize = 7, 99
		return tx.SaveTask(j, t, store.ByManager(""))
	})
	t, err := f.Store.PeekTask(f.ctx, tasks[0])
	f.must(err)
	worker, err := f.Store.PeekWorker(f.ctx, w)
	f.must(err)
	want := store.Glance{
		Session: worker.Session, LastSeen: worker.LastSeen, JobID: job, Held: true, Status: farm.TaskActive,
		Assignment: t.Assignment, Generation: 1, LastSequence: 7, LogSize: 99, Touched: t.Touched,
	}
	if got, err := f.Store.Glance(f.ctx, w, tasks[0]); err != nil || got != want {
		f.t.Errorf("a glance is %+v, %v; want %+v", got, err, want)
	}
	if got, err := f.Store.Glance(f.ctx, other, tasks[0]); err != nil || got.Held || got.JobID != job {
		f.t.Errorf("a glance of another worker is %+v, %v", got, err)
	}
	if got, err := f.Store.Glance(f.ctx, w, missing); err != nil || got.Held || got.JobID != "" {
		f.t.Errorf("a glance at no task is %+v, %v", got, err)
	}
	if _, err := f.Store.Glance(f.ctx, missing, tasks[0]); !farm.IsNotExist(err) {
		f.t.Errorf("a glance of no worker: %v", err)
	}
}

func numbersAssignments(f *Farm) {
	w := f.Worker("w", "a")
	_, tasks := f.Submit(NewJob("j", NewTask("a")))
	seen := map[string]bool{}
	for n := range int64(3) {
		f.wantClaim(w, tasks[0])
		t, err := f.Store.PeekTask(f.ctx, tasks[0])
		f.must(err)
		if t.Generation != n+1 || seen[t.Assignment] || t.Assignment == "" || t.WorkerID != w || t.Touched.IsZero() ||
			t.LastSequence != 0 {
			f.t.Errorf("hand-out %d is %+v", n+1, t)
		}
		seen[t.Assignment] = true
		f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
			commands, err := tx.Commands(t)
			if err != nil || len(commands) != 1 {
				return fmt.Errorf("commands %v, %w", commands, err)
			}
			t.LastSequence = 7
			return end(tx, j, t, farm.TaskQueued)
		})
	}
}

func opensJobsOfDeletedTags(f *Farm) {
	w, tag := f.Worker("w", "a"), f.tag("gpu")
	f.setTags(w, tag)
	job := NewJob("j", NewTask("a"))
	job.TagID = tag
	id, tasks := f.Submit(job)
	other := f.Worker("other", "a")
	f.takeChanges()
	f.do(func(tx *store.Tx) error { return tx.DeleteTag(tag) })
	if got := work(f.takeChanges()); len(got) != 1 || got[0].JobID != id || got[0].TagID != "" {
		f.t.Errorf("heard %v", got)
	}
	if worker, err := f.Store.Worker(f.ctx, w); err != nil || len(worker.Tags) != 0 || f.job(id).TagID != "" {
		f.t.Errorf("the tag is still there: %v, %v", worker, err)
	}
	f.wantClaim(other, tasks[0])
}

func changesPriority(f *Farm) {
	w := f.Worker("w", "a")
	f.Submit(NewJob("first", NewTask("a")))
	id, tasks := f.Submit(NewJob("second", NewTask("a")))
	f.takeChanges()
	f.saveJob(id, func(j *store.Job) { j.Priority = 51 })
	if got := work(f.takeChanges()); len(got) != 1 {
		f.t.Errorf("heard %v", got)
	}
	f.wantClaim(w, tasks[0])
}
