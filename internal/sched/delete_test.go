// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func TestAJobThatIsToBeDeletedLeavesItsWorkersAtOnce(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(3, "misc")
	w, other := f.worker(), f.worker()
	a := w.claim()
	w.reports(a, 1, farm.TaskActive)
	for range 2 { // asking again changes nothing
		f.must(f.MarkForDeletion(f.ctx(), job))
	}
	if got := f.getJob(job); got.DeleteRequestedAt.IsZero() || got.Tasks.Canceled != 3 {
		t.Fatalf("%+v", got)
	}
	f.lastAttempt(a.Task.ID, farm.OutcomeCanceled)
	other.getsNothing()
	w.getsNothing()
	if p := w.mayRun(a); p.MayRun {
		t.Error("its task may go on")
	}
	f.refused(f.Update(f.ctx(), w.update(a, 2, farm.TaskCompleted)), farm.CodeConflict)
	f.taskIs(a.Task.ID, farm.TaskCanceled)
	for _, status := range []farm.JobStatus{farm.JobQueued, farm.JobRequeueing, farm.JobPaused} {
		f.refused(f.SetJobStatus(f.ctx(), job, status, "", "user"), farm.CodeConflict)
	}
	f.refused(f.SetTaskStatus(f.ctx(), a.Task.ID, farm.TaskQueued, "", "user"), farm.CodeConflict)
	f.refused(f.MarkForDeletion(f.ctx(), "nothing"), farm.CodeNotFound)
}

func TestManyJobsThatAreToBeDeletedAreCanceledInTheBackgroundAlsoAfterACrash(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		f := newFarm(t)
		var jobs []string
		for range 3 {
			jobs = append(jobs, f.job(2, "misc"))
		}
		w := f.worker()
		a := w.claim()
		if !crash {
			f.running()
		}
		n, err := f.MarkManyForDeletion(f.ctx(), store.Selection{UpdatedMax: time.Now().Add(time.Hour)})
		if err != nil || n != 3 {
			t.Fatalf("%d, %v", n, err)
		}
		w2 := f.worker()
		w2.getsNothing()
		if crash {
			f.restart()
			f.running()
		}
		for _, id := range jobs {
			for job := f.getJob(id); job.Tasks.Canceled < 2; job = f.getJob(id) {
				f.must(f.WaitJob(f.ctx(), id, job.Revision))
			}
		}
		f.lastAttempt(a.Task.ID, farm.OutcomeCanceled)
		if n, err := f.MarkManyForDeletion(f.ctx(), store.Selection{UpdatedMax: time.Now().Add(-time.Hour)}); n != 0 || err != nil {
			t.Errorf("%d jobs are older, %v", n, err)
		}
	}
}

func TestAResultOfAJobThatIsToBeDeletedComesTooLateEvenIfItsTaskWasLost(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	job := f.job(1, "misc")
	w := f.worker()
	a := w.claim()
	w.goes(farm.WorkerAsleep) // gives the task back
	f.taskIs(a.Task.ID, farm.TaskQueued)
	f.must(f.store.Do(f.ctx(), func(tx *store.Tx) error { // marked, and not yet canceled
		j, err := tx.Job(job)
		if err != nil {
			return err
		}
		return tx.MarkJobForDeletion(j)
	}))
	f.refused(f.Update(f.ctx(), w.update(a, 1, farm.TaskCompleted)), farm.CodeConflict)
	f.taskIs(a.Task.ID, farm.TaskQueued)
}
