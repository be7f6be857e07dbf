// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"errors"
	"maps"
	"reflect"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func countTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"what there is to do is counted, what has ended is not": countsWhatIsToDo,
		"the task next in line that waits longest is found":     findsTheLongestWait,
		"attempts are counted when their end is committed":      countsEndsOfAttempts,
		"a database that is well says so":                       saysThatItIsWell,
	}
}

func (f *Farm) counts() store.Counts {
	f.t.Helper()
	c, err := f.Store.Counts(f.ctx)
	f.must(err)
	return c
}

// some leaves out what is zero.
func some[K comparable](counts map[K]int) map[K]int {
	counts = maps.Clone(counts)
	maps.DeleteFunc(counts, func(_ K, n int) bool { return n == 0 })
	return counts
}

func countsWhatIsToDo(f *Farm) {
	if c := f.counts(); len(some(c.Jobs)) != 0 || len(some(c.Tasks)) != 0 || c.Ready != 0 || !c.ReadySince.IsZero() {
		f.t.Errorf("an empty farm: %+v", c)
	}
	w := f.Worker("w", "a")
	over, tasks := f.Submit(NewJob("over", NewTasks(3, "a")...))
	f.Claim(w)
	f.End(tasks[0], farm.TaskCompleted)
	f.saveJob(over, func(j *store.Job) { j.Status = farm.JobFailed })
	_, tasks = f.Submit(NewJob("next", NewTask("a"), NewTask("a", 0), NewTask("b")))
	paused, _ := f.Submit(NewJob("paused", NewTasks(2, "a")...))
	f.saveJob(paused, func(j *store.Job) { j.Status = farm.JobPaused })
	f.wantClaim(w, tasks[0])
	c := f.counts()
	want := store.Counts{
		Jobs:       map[farm.JobStatus]int{farm.JobFailed: 1, farm.JobQueued: 1, farm.JobPaused: 1},
		Tasks:      map[farm.TaskStatus]int{farm.TaskQueued: 4, farm.TaskActive: 1},
		Workers:    map[farm.WorkerStatus]int{farm.WorkerAwake: 1},
		Operations: map[farm.OperationStatus]int{},
		Ready:      1, // the one of type b: the others wait for a task, a person or are of a job that has ended
	}
	c.Jobs, c.Tasks, c.Workers, c.ReadySince, c.Size = some(c.Jobs), some(c.Tasks), some(c.Workers), time.Time{}, 0
	if !reflect.DeepEqual(c, want) {
		f.t.Errorf("counted %+v, want %+v", c, want)
	}
}

func findsTheLongestWait(f *Farm) {
	first, _ := f.Submit(NewJob("first", NewTasks(2, "a")...))
	_, tasks := f.Submit(NewJob("second", NewTask("a"), NewTask("b", 0)))
	since := f.counts().ReadySince
	if created := f.job(first).Created; !since.Equal(created.Truncate(time.Microsecond)) {
		f.t.Errorf("the oldest task waits since %s, its job was made at %s", since, created)
	}
	f.saveJob(first, func(j *store.Job) { j.Status = farm.JobPaused })
	if later, updated := f.counts().ReadySince, f.task(tasks[0]).Updated; !later.Equal(updated) {
		f.t.Errorf("while the first job is paused the oldest task waits since %s, not %s", later, updated)
	}
}

func countsEndsOfAttempts(f *Farm) {
	w := f.Worker("w", "a")
	job, _ := f.Submit(NewJob("j", NewTasks(4, "a")...))
	before := f.Store.Usage()
	for _, to := range []farm.TaskStatus{farm.TaskCompleted, farm.TaskCompleted, farm.TaskSoftFailed, farm.TaskQueued} {
		f.End(f.Claim(w), to)
	}
	undone := errors.New("undone")
	err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
		worker, err := tx.Worker(w)
		if err != nil {
			return err
		}
		id, err := claim(tx, worker)
		if err == nil {
			err = onTask(tx, id, func(tx *store.Tx, j *store.Job, t *store.Task) error { return end(tx, j, t, farm.TaskCompleted) })
		}
		return errors.Join(err, undone)
	})
	if !errors.Is(err, undone) {
		f.t.Errorf("got %v", err)
	}
	if f.Claim(w) == "" {
		f.t.Errorf("the task of the transaction that was undone is gone")
	}
	f.changeAll(job, 10, store.Mass{From: []farm.TaskStatus{farm.TaskActive}, To: farm.TaskCanceled})
	after := f.Store.Usage()
	want := map[farm.Outcome]int64{farm.OutcomeCompleted: 2, farm.OutcomeFailed: 1, farm.OutcomeLost: 1, farm.OutcomeCanceled: 1}
	if !maps.Equal(after.Ended, want) {
		f.t.Errorf("ended %v, want %v", after.Ended, want)
	}
	if after.Committed < before.Committed+9 || after.Undone != before.Undone+1 {
		f.t.Errorf("transactions before and after: %+v %+v", before, after)
	}
}

func saysThatItIsWell(f *Farm) {
	f.must(f.Store.CheckReads(f.ctx))
	f.must(f.Store.CheckWrites(f.ctx))
	if c, u := f.counts(), f.Store.Usage(); c.Size == 0 || len(u.Pools) == 0 {
		f.t.Errorf("the database has no size, or nobody uses it: %d bytes, %+v", c.Size, u)
	}
}
