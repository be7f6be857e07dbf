// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"slices"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func logTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"logs are packed and pruned when their job has ended": packsLogs,
		"each attempt begins with an empty log":               beginsLogs,
	}
}

func packsLogs(f *Farm) {
	first, _ := f.Submit(farm.NewJob{Name: "first", Type: "t", Priority: 50})
	second, _ := f.Submit(farm.NewJob{Name: "second", Type: "t", Priority: 50})
	toPack := func(want ...string) []farm.FinishedJob {
		f.t.Helper()
		jobs, err := f.Store.LogsToPack(f.ctx, 9)
		f.must(err)
		f.wantJobs(jobs, want)
		return jobs
	}
	toPrune := func(until time.Time, next bool, want ...string) []farm.FinishedJob {
		f.t.Helper()
		jobs, then, err := f.Store.LogsToPrune(f.ctx, until, 9)
		f.must(err)
		f.wantJobs(jobs, want)
		if then.IsZero() == next {
			f.t.Errorf("the next one is due %s", then)
		}
		return jobs
	}
	become := func(id string, status farm.JobStatus) {
		f.t.Helper()
		f.saveJob(id, func(j *store.Job) { j.Status = status })
	}
	soon := time.Now().Add(time.Hour)

	toPack()
	become(first, farm.JobCompleted)
	become(second, farm.JobFailed)
	jobs := toPack(first, second)
	become(second, farm.JobActive) // meanwhile
	for _, j := range jobs {
		f.must(f.Store.LogsPacked(f.ctx, j))
	}
	toPack()
	become(second, farm.JobCanceled)
	toPack(second)
	toPrune(time.Now().Add(-time.Hour), true)
	for _, j := range toPrune(soon, false, first) {
		f.must(f.Store.LogsPruned(f.ctx, j))
	}
	toPrune(soon, false)
	become(first, farm.JobActive)
	become(first, farm.JobCompleted)
	toPack(second, first)
	revision := f.job(first).Revision
	for _, j := range toPack(second, first) {
		f.must(f.Store.LogsPacked(f.ctx, j))
	}
	if got := f.job(first).Revision; got != revision {
		f.t.Errorf("packing changed the job from revision %d to %d", revision, got)
	}
	f.saveJob(first, func(j *store.Job) { j.Priority = 80 })
	toPack() // it has not run since
}

func (f *Farm) wantJobs(got []farm.FinishedJob, want []string) {
	f.t.Helper()
	var ids []string
	for _, j := range got {
		ids = append(ids, j.ID)
	}
	if !slices.Equal(ids, want) {
		f.t.Errorf("the jobs are %v, want %v", ids, want)
	}
}

func beginsLogs(f *Farm) {
	_, tasks := f.Submit(farm.NewJob{Name: "job", Type: "t", Priority: 50, Tasks: []farm.NewTask{{Name: "task", Type: "misc"}}})
	w := f.Worker("w", "misc")
	f.Claim(w)
	f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
		t.LogSize = 999
		return tx.SaveTask(j, t, store.ByManager(""))
	})
	f.End(tasks[0], farm.TaskQueued)
	f.onTask(tasks[0], func(_ *store.Tx, _ *store.Job, t *store.Task) error {
		if t.LogSize != 999 {
			f.t.Errorf("the log of an attempt that ended has size %d", t.LogSize)
		}
		return nil
	})
	f.Claim(w)
	f.onTask(tasks[0], func(_ *store.Tx, _ *store.Job, t *store.Task) error {
		if t.LogSize != 0 {
			f.t.Errorf("a new attempt begins with a log of size %d", t.LogSize)
		}
		return nil
	})
}
