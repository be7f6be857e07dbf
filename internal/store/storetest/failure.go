// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"fmt"
	"slices"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func failureTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"failures are counted by task and by worker":           countsFailures,
		"those who may still run a task are counted":           countsWhoCanRun,
		"a blocklist has each entry once and can be cleared":   keepsBlocklists,
		"unblocking wakes those who wait":                      wakesOnUnblock,
		"tasks that failed with the help of a worker are told": findsFailedTasks,
		"tasks that nobody may try any more are found":         findsHopelessTasks,
		"running jobs with failures are found":                 findsJobsWithFailures,
	}
}

func (f *Farm) block(jobID, workerID, taskType string) {
	f.t.Helper()
	f.onJob(jobID, func(tx *store.Tx, j *store.Job) error {
		w, err := tx.Worker(workerID)
		if err != nil {
			return err
		}
		return tx.Block(j, w, taskType)
	})
}

// fail notes a failure of a worker at a task and returns what is known then.
func (f *Farm) fail(taskID, workerID string) (failures store.Failures) {
	f.t.Helper()
	f.onTask(taskID, func(tx *store.Tx, j *store.Job, t *store.Task) error {
		w, err := tx.Worker(workerID)
		if err != nil {
			return err
		}
		failures, err = tx.AddFailure(j, t, w)
		return err
	})
	return failures
}

func countsFailures(f *Farm) {
	a, b, c := f.Worker("a", "x", "y"), f.Worker("b", "x", "y"), f.Worker("c", "x")
	id, tasks := f.Submit(NewJob("j", NewTask("x"), NewTask("x"), NewTask("y")))
	_, others := f.Submit(NewJob("other", NewTask("x")))
	f.fail(others[0], a)
	for _, step := range []struct {
		task, worker string
		want         store.Failures
	}{
		{tasks[0], a, store.Failures{OfTask: 1, OfWorker: 1, WorkersLeft: 2, TypeWorkersLeft: 2}},
		{tasks[0], a, store.Failures{OfTask: 1, OfWorker: 1, WorkersLeft: 2, TypeWorkersLeft: 2}},
		{tasks[0], b, store.Failures{OfTask: 2, OfWorker: 1, WorkersLeft: 1, TypeWorkersLeft: 2}},
		{tasks[1], a, store.Failures{OfTask: 1, OfWorker: 2, WorkersLeft: 2, TypeWorkersLeft: 2}},
		{tasks[2], a, store.Failures{OfTask: 1, OfWorker: 1, WorkersLeft: 1, TypeWorkersLeft: 1}},
		{tasks[0], c, store.Failures{OfTask: 3, OfWorker: 1, WorkersLeft: 0, TypeWorkersLeft: 2}},
	} {
		if got := f.fail(step.task, step.worker); got != step.want {
			f.t.Errorf("%s: %+v instead of %+v", f.describe(step.task), got, step.want)
		}
	}
	f.block(id, b, "x")
	if got := f.fail(tasks[1], c); got != (store.Failures{OfTask: 2, OfWorker: 2, WorkersLeft: 0, TypeWorkersLeft: 1}) {
		f.t.Errorf("with a blocked worker: %+v", got)
	}
	failed, err := f.Store.FailedBy(f.ctx, tasks[0])
	f.must(err)
	var names []string
	for _, w := range failed {
		names = append(names, w.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) || failed[0].ID != a || failed[0].Address != "10.0.0.1" {
		f.t.Errorf("the task was failed by %v", failed)
	}
	f.onTask(tasks[0], func(tx *store.Tx, _ *store.Job, t *store.Task) error { return tx.ForgetTaskFailures(t) })
	if failed, err := f.Store.FailedBy(f.ctx, tasks[0]); err != nil || len(failed) != 0 {
		f.t.Errorf("then the task was failed by %v, %v", failed, err)
	}
}

func countsWhoCanRun(f *Farm) {
	gpu := f.tag("gpu")
	a, b, gone := f.Worker("a", "x"), f.Worker("b", "x"), f.Worker("gone", "x")
	f.Worker("of another type", "y")
	f.setTags(a, gpu)
	f.change(gone, func(tx *store.Tx, w *store.Worker) error {
		w.Deleted = true
		return tx.SaveWorker(w, store.ByManager(""))
	})
	tagged := NewJob("tagged", NewTask("x"))
	tagged.TagID = gpu
	taggedID, taggedTasks := f.Submit(tagged)
	_, tasks := f.Submit(NewJob("plain", NewTask("x")))
	want := func(taskID string, want int) {
		f.t.Helper()
		f.onTask(taskID, func(tx *store.Tx, j *store.Job, t *store.Task) error {
			if n, err := tx.CanRun(j, t); err != nil || n != want {
				return fmt.Errorf("%d workers can run it instead of %d, %w", n, want, err)
			}
			return nil
		})
	}
	want(tasks[0], 2)
	want(taggedTasks[0], 1)
	f.fail(tasks[0], b)
	want(tasks[0], 1)
	f.block(taggedID, a, "x")
	want(taggedTasks[0], 0)
}

func keepsBlocklists(f *Farm) {
	a, b := f.Worker("a", "x", "y"), f.Worker("b", "x")
	id, tasks := f.Submit(NewJob("j", NewTask("x")))
	for range 2 {
		f.block(id, b, "x")
		f.block(id, a, "y")
		f.block(id, a, "x")
	}
	entry := func(worker, name, taskType string) farm.BlocklistEntry {
		return farm.BlocklistEntry{WorkerID: worker, WorkerName: name, TaskType: taskType}
	}
	f.wantBlocked(id, entry(a, "a", "x"), entry(a, "a", "y"), entry(b, "b", "x"))
	err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
		j, err := tx.Job(id)
		if err != nil {
			return err
		}
		return tx.Unblock(j, b, "y")
	})
	f.wantCode(err, farm.CodeNotFound)
	f.onJob(id, func(tx *store.Tx, j *store.Job) error { return tx.UnblockType(j, "x") })
	f.wantBlocked(id, entry(a, "a", "y"))
	f.fail(tasks[0], a)
	f.onJob(id, func(tx *store.Tx, j *store.Job) error { return tx.ForgetFailures(j) })
	f.wantBlocked(id)
	if n := f.count("SELECT count(*) FROM task_failures"); n != 0 {
		f.t.Errorf("%d failures are left", n)
	}
}

func (f *Farm) wantBlocked(jobID string, want ...farm.BlocklistEntry) {
	f.t.Helper()
	got, err := f.Store.Blocklist(f.ctx, jobID)
	if f.must(err); !slices.Equal(got, want) {
		f.t.Errorf("blocked are %v, not %v", got, want)
	}
}

func wakesOnUnblock(f *Farm) {
	w := f.Worker("w", "x")
	id, _ := f.Submit(NewJob("j", NewTask("x")))
	f.block(id, w, "x")
	f.takeChanges()
	f.onJob(id, func(tx *store.Tx, j *store.Job) error { return tx.Unblock(j, w, "x") })
	if got := work(f.takeChanges()); len(got) != 1 || got[0].JobID != id || !slices.Equal(got[0].TaskTypes, []string{"x"}) {
		f.t.Errorf("heard %v", got)
	}
}

func findsFailedTasks(f *Farm) {
	a, b := f.Worker("a", "x", "y"), f.Worker("b", "x")
	id, tasks := f.Submit(NewJob("j", NewTask("x"), NewTask("x"), NewTask("x"), NewTask("y")))
	for i, worker := range []string{a, b, a, a} {
		f.fail(tasks[i], worker)
	}
	for _, i := range []int{0, 1, 3} {
		f.End(tasks[i], farm.TaskFailed)
	}
	f.onJob(id, func(tx *store.Tx, j *store.Job) error {
		w, err := tx.Worker(a)
		if err != nil {
			return err
		}
		got, err := tx.FailedWithHelpOf(j, w, "x")
		if err != nil || len(got) != 1 || got[0].ID != tasks[0] {
			return fmt.Errorf("failed with its help: %v, %w", got, err)
		}
		return nil
	})
}

func findsHopelessTasks(f *Farm) {
	gpu := f.tag("gpu")
	a, b := f.Worker("a", "x", "y"), f.Worker("b", "x")
	id, tasks := f.Submit(NewJob("j", NewTask("x"), NewTask("x"), NewTask("y"), NewTask("z"), NewTask("x")))
	want := func(want ...string) {
		f.t.Helper()
		f.onJob(id, func(tx *store.Tx, j *store.Job) error {
			hopeless, err := tx.Hopeless(j, 10)
			var got []string
			for _, t := range hopeless {
				got = append(got, t.ID)
			}
			if err != nil || !slices.Equal(got, want) {
				return fmt.Errorf("hopeless are %v, not %v, %w", got, want, err)
			}
			return nil
		})
	}
	want() // nobody runs z, but it did not fail: a worker for it may come
	f.fail(tasks[0], a)
	f.fail(tasks[0], b)
	f.fail(tasks[1], a)
	want(tasks[0])
	f.block(id, b, "x")
	want(tasks[0], tasks[1])
	f.fail(tasks[2], a)
	want(tasks[0], tasks[1], tasks[2])
	f.End(tasks[1], farm.TaskFailed)
	want(tasks[0], tasks[2])
	c := f.Worker("c", "x", "y")
	want()
	f.onJob(id, func(tx *store.Tx, j *store.Job) error {
		if err := tx.SetTag(j, gpu); err != nil {
			return err
		}
		return tx.SaveJob(j, store.ByManager(""))
	})
	want(tasks[0], tasks[2])
	f.setTags(c, gpu)
	want()
	f.change(c, func(tx *store.Tx, w *store.Worker) error {
		w.Deleted = true
		return tx.SaveWorker(w, store.ByManager(""))
	})
	want(tasks[0], tasks[2])
}

func findsJobsWithFailures(f *Farm) {
	w := f.Worker("w", "x")
	var ids []string
	for i, status := range []farm.JobStatus{farm.JobActive, farm.JobQueued, farm.JobPaused, farm.JobActive, farm.JobActive} {
		job := NewJob(fmt.Sprint(i), NewTask("x"), NewTask("x"))
		id, tasks := f.Submit(job)
		ids = append(ids, id)
		if i < 4 {
			f.fail(tasks[0], w)
			f.fail(tasks[1], w)
		}
		if i == 3 {
			f.End(tasks[0], farm.TaskFailed)
			f.End(tasks[1], farm.TaskCanceled)
		}
		if status != farm.JobQueued {
			f.saveJob(id, func(j *store.Job) { j.Status = status })
		}
	}
	got, err := f.Store.JobsWithFailures(f.ctx)
	if f.must(err); !slices.Equal(got, ids[:2]) {
		f.t.Errorf("found %v, not %v", got, ids[:2])
	}
}
