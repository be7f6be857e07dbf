// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"errors"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func deleteTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"a job that is marked is not handed out":                   testMarkedIsNotHandedOut,
		"a job goes in slices, and the books are right after each": testDeleteInSlices,
		"what is deleted is told as it last was":                   testDeletedIsTold,
		"a new task does not inherit the history of a deleted one": testNoInheritedHistory,
		"many jobs are marked at once":                             testMarkMany,
		"what is not marked is not deleted":                        testUnmarkedStays,
	}
}

func (f *Farm) mark(jobID string) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error {
		j, err := tx.Job(jobID)
		if err != nil {
			return err
		}
		return tx.MarkJobForDeletion(j)
	})
}

// cancelAll cancels what could still run, as the deletion of a job does first.
func (f *Farm) cancelAll(jobID string) {
	f.t.Helper()
	mass := store.Mass{From: []farm.TaskStatus{farm.TaskQueued, farm.TaskActive, farm.TaskSoftFailed}, To: farm.TaskCanceled}
	for after, done := 0, false; !done; {
		f.do(func(tx *store.Tx) error {
			j, err := tx.Job(jobID)
			if err != nil {
				return err
			}
			after, done, err = tx.ChangeSlice(j, mass, after, 3, store.ByManager("test"))
			return err
		})
	}
}

// deleteSome deletes up to n tasks and returns how many there were.
func (f *Farm) deleteSome(jobID string, n int) (deleted int) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error {
		j, err := tx.Job(jobID)
		if err != nil {
			return err
		}
		deleted, err = tx.DeleteSomeTasks(j, n)
		return err
	})
	return deleted
}

func (f *Farm) deleteJob(jobID string) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error {
		j, err := tx.Job(jobID)
		if err != nil {
			return err
		}
		return tx.DeleteJob(j)
	})
}

// tangled is a job whose tasks depend on earlier and on later ones.
func tangled() farm.NewJob {
	job := farm.NewJob{Name: "tangled", Type: "test", Priority: 50}
	for i := range 9 {
		t := farm.NewTask{Name: fmt.Sprint("task-", i), Type: []string{"blender", "misc"}[i%2], Priority: 50}
		switch {
		case i > 5:
			t.Dependencies = []int{0, 1, i - 1}
		case i == 0:
			t.Dependencies = []int{5}
		}
		job.Tasks = append(job.Tasks, t)
	}
	return job
}

func testMarkedIsNotHandedOut(f *Farm) {
	id, _ := f.Submit(tangled())
	worker := f.Worker("w", "blender", "misc")
	f.mark(id)
	f.check()
	f.mark(id)
	err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
		w, err := tx.Worker(worker)
		if err != nil {
			return err
		}
		_, err = tx.NextTask(w)
		return err
	})
	f.wantCode(err, farm.CodeNotFound)
	// Nor after a change that would make it run.
	f.takeChanges()
	f.do(func(tx *store.Tx) error {
		j, err := tx.Job(id)
		if err != nil {
			return err
		}
		j.Priority = 90
		return tx.SaveJob(j, store.Why{})
	})
	f.check()
	if w := work(f.takeChanges()); len(w) > 0 {
		f.t.Errorf("workers were told of work: %+v", w)
	}
	job, err := f.Store.Job(f.ctx, id)
	f.must(err)
	if job.DeleteRequestedAt.IsZero() || job.Status != farm.JobQueued {
		f.t.Errorf("the job is %+v", job)
	}
	unsettled, err := f.Store.UnsettledJobs(f.ctx)
	f.must(err)
	if len(unsettled) != 1 {
		f.t.Errorf("jobs with something to cancel: %v", unsettled)
	}
}

func testDeleteInSlices(f *Farm) {
	id, _ := f.Submit(tangled())
	f.mark(id)
	err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
		j, err := tx.Job(id)
		if err != nil {
			return err
		}
		_, err = tx.DeleteSomeTasks(j, 3)
		return err
	})
	if err == nil {
		f.t.Errorf("tasks were deleted that could have been handed out")
	}
	f.cancelAll(id)
	for n := f.deleteSome(id, 2); n > 0; n = f.deleteSome(id, 2) {
		f.check()
		err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
			j, err := tx.Job(id)
			if err != nil || j.Counts.Total() == 0 {
				return err
			}
			if tx.DeleteJob(j) == nil {
				return errors.New("a job with tasks was deleted")
			}
			return nil
		})
		f.must(err)
	}
	f.deleteJob(id)
	_, err = f.Store.Job(f.ctx, id)
	f.wantCode(err, farm.CodeNotFound)
	for _, table := range []string{"jobs", "job_specs", "job_ready", "tasks", "task_specs", "task_dependencies", "status_changes"} {
		var n int
		f.must(f.rows.QueryRowContext(f.ctx, "SELECT count(*) FROM "+table).Scan(&n))
		if n != 0 {
			f.t.Errorf("%s has %d rows left", table, n)
		}
	}
}

func (f *Farm) deleteWhole(jobID string) {
	f.t.Helper()
	f.mark(jobID)
	f.cancelAll(jobID)
	for f.deleteSome(jobID, 100) > 0 {
		f.check()
	}
	f.deleteJob(jobID)
}

func testDeletedIsTold(f *Farm) {
	id, _ := f.Submit(tangled())
	f.deleteWhole(id)
	for _, c := range f.takeChanges() {
		if c.Kind != farm.ChangeJobDeleted {
			continue
		}
		if c.JobID != id || c.Job == nil || c.Job.Name != "tangled" || c.Job.DeleteRequestedAt.IsZero() {
			f.t.Errorf("%+v of %+v", c, c.Job)
		}
		return
	}
	f.t.Errorf("it was not told")
}

func testNoInheritedHistory(f *Farm) {
	id, _ := f.Submit(tangled())
	f.deleteWhole(id)
	again, tasks := f.Submit(tangled())
	for _, task := range tasks {
		history, err := f.Store.TaskHistory(f.ctx, task)
		f.must(err)
		if len(history) != 0 {
			f.t.Errorf("the history of a new task: %+v", history)
		}
	}
	history, err := f.Store.JobHistory(f.ctx, again)
	f.must(err)
	if len(history) != 1 {
		f.t.Errorf("the history of a new job: %+v", history)
	}
}

func testMarkMany(f *Farm) {
	var ids []string
	for range 7 {
		id, _ := f.Submit(tangled())
		ids = append(ids, id)
	}
	f.mark(ids[1])
	before := time.Now().Add(time.Minute)
	marked := func(s store.Selection, after int64, n int) (matched int, next int64) {
		f.do(func(tx *store.Tx) (err error) {
			matched, next, err = tx.MarkForDeletion(s, after, n)
			return err
		})
		return matched, next
	}
	if n, _ := marked(store.Selection{UpdatedMax: time.Now().Add(-time.Hour)}, 0, 100); n != 0 {
		f.t.Errorf("%d jobs are older than they are", n)
	}
	if n, _ := marked(store.Selection{Ended: true}, 0, 100); n != 0 {
		f.t.Errorf("%d jobs have ended", n)
	}
	n, next := marked(store.Selection{UpdatedMax: before}, 0, 5)
	f.check()
	if left, err := f.Store.CountMarkedJobs(f.ctx); n != 5 || next == 0 || left != 5 || err != nil {
		f.t.Errorf("%d fit, %d are marked, next %d, %v", n, left, next, err)
	}
	if n, next = marked(store.Selection{UpdatedMax: before}, next, 5); n != 2 || next != 0 {
		f.t.Errorf("then %d fit, next %d", n, next)
	}
	f.check()
	first, err := f.Store.MarkedJobs(f.ctx, 0, 4)
	f.must(err)
	second, err := f.Store.MarkedJobs(f.ctx, first[3].Row, 4)
	f.must(err)
	if len(second) != 3 || second[2].ID != ids[6] {
		f.t.Errorf("the second page is %+v", second)
	}
	old, err := f.Store.HasEndedJobs(f.ctx, before)
	if err != nil || old {
		f.t.Errorf("jobs have ended: %v, %v", old, err)
	}
}

func testUnmarkedStays(f *Farm) {
	id, tasks := f.Submit(tangled())
	f.cancelAll(id)
	for _, do := range []func(tx *store.Tx, j *store.Job) error{
		func(tx *store.Tx, j *store.Job) error { _, err := tx.DeleteSomeTasks(j, 1); return err },
		func(tx *store.Tx, j *store.Job) error { return tx.DeleteJob(j) },
	} {
		err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
			j, err := tx.Job(id)
			if err != nil {
				return err
			}
			return do(tx, j)
		})
		if err == nil {
			f.t.Errorf("a job was deleted that nobody wanted deleted")
		}
	}
	if left := f.taskIDs(id); len(left) != len(tasks) {
		f.t.Errorf("%d of %d tasks are left", len(left), len(tasks))
	}
}
