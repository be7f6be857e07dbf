// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"errors"
	"slices"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func changeTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"counters and steps follow every change of a task":       countsChanges,
		"revisions grow with every change":                       growsRevisions,
		"changes are heard after the commit and in their order":  hearsChanges,
		"nothing is heard of a change that failed":               hearsNothingOfFailures,
		"histories tell who changed what and why":                writesHistories,
		"jobs can be counted by status and found when unsettled": findsUnsettledJobs,
		"tags have unique names and can be renamed":              keepsTags,
	}
}

func countsChanges(f *Farm) {
	w := f.Worker("w", "a")
	id, tasks := f.Submit(NewJob("j", NewTask("a"), NewTask("a", 0)))
	for range 2 {
		f.wantClaim(w, tasks[0])
		f.check()
		f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
			t.StepsCompleted = 1
			t.Activity = "half way"
			return tx.SaveTask(j, t, store.ByWorker(w, ""))
		})
		if got := f.job(id); got.StepsCompleted != 1 || got.StepsTotal != 4 || got.Tasks != (farm.TaskCounts{Queued: 1, Active: 1}) {
			f.t.Errorf("half way the job is %+v", got)
		}
		f.End(tasks[0], farm.TaskQueued)
		f.check()
	}
	for _, status := range []farm.TaskStatus{
		farm.TaskPaused, farm.TaskCanceled, farm.TaskSoftFailed, farm.TaskFailed, farm.TaskCompleted, farm.TaskQueued,
		farm.TaskCompleted,
	} {
		f.End(tasks[0], status)
		f.check()
	}
	if got := f.job(id); got.StepsCompleted != 2 || got.Tasks != (farm.TaskCounts{Queued: 1, Completed: 1}) {
		f.t.Errorf("at the end the job is %+v", got)
	}
	f.onTask(tasks[1], func(_ *store.Tx, j *store.Job, _ *store.Task) error {
		if j.Ready != 1 || j.Counts.Completed != 1 || j.Counts.Total() != 2 {
			f.t.Errorf("inside a transaction the job is %+v", j)
		}
		return nil
	})
}

func growsRevisions(f *Farm) {
	w := f.Worker("w", "a")
	id, tasks := f.Submit(NewJob("j", NewTask("a"), NewTask("a")))
	job, task := f.job(id).Revision, f.task(tasks[0]).Revision
	grown := func(what string) {
		f.t.Helper()
		j, t := f.job(id).Revision, f.task(tasks[0]).Revision
		if j <= job || t <= task {
			f.t.Errorf("%s: revision of the job %d, then %d, of the task %d, then %d", what, job, j, task, t)
		}
		job, task = j, t
	}
	f.wantClaim(w, tasks[0])
	grown("a claim")
	f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
		t.StepsCompleted = 1
		return tx.SaveTask(j, t, store.ByManager(""))
	})
	grown("a step")
	f.onJob(id, func(tx *store.Tx, j *store.Job) error {
		_, _, err := tx.ChangeSlice(j, store.Mass{From: []farm.TaskStatus{farm.TaskActive}, To: farm.TaskCanceled}, 0, 10,
			store.ByManager(""))
		return err
	})
	grown("a mass change")
	f.saveJob(id, func(j *store.Job) { j.Activity = "new" })
	if got := f.job(id); got.Revision <= job || got.Activity != "new" {
		f.t.Errorf("saving the job: %+v", got)
	}
	before, err := f.Store.Worker(f.ctx, w)
	f.must(err)
	f.change(w, func(tx *store.Tx, w *store.Worker) error { return tx.SaveWorker(w, store.ByManager("")) })
	if after, err := f.Store.Worker(f.ctx, w); err != nil || after.Revision <= before.Revision {
		f.t.Errorf("saving the worker: %+v, %v", after, err)
	}
}

func hearsChanges(f *Farm) {
	w := f.Worker("w", "a")
	id, tasks := f.Submit(NewJob("j", NewTasks(3, "a")...))
	f.takeChanges()
	for i, task := range tasks {
		f.wantClaim(w, task)
		changes := f.takeChanges()
		if !slices.ContainsFunc(changes, func(c farm.Change) bool {
			return c.Kind == farm.ChangeTask && c.TaskID == task && c.JobID == id && c.WorkerID == w
		}) || !slices.ContainsFunc(changes, func(c farm.Change) bool { return c.Kind == farm.ChangeJob && c.JobID == id }) {
			f.t.Errorf("claim %d: heard %v", i, changes)
		}
		f.End(task, farm.TaskCompleted)
		f.takeChanges()
	}
	f.End(tasks[0], farm.TaskQueued)
	if got := work(f.takeChanges()); len(got) != 1 || got[0].JobID != id || !slices.Equal(got[0].TaskTypes, []string{"a"}) {
		f.t.Errorf("a requeued task says %v", got)
	}
	f.change(w, func(tx *store.Tx, w *store.Worker) error { return tx.SaveWorker(w, store.ByManager("")) })
	if got := f.takeChanges(); len(got) != 1 || got[0].Kind != farm.ChangeWorker || got[0].WorkerID != w {
		f.t.Errorf("a saved worker says %v", got)
	}
}

func hearsNothingOfFailures(f *Farm) {
	id, _ := f.Submit(NewJob("j", NewTask("a")))
	f.takeChanges()
	stop := errors.New("stop")
	err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
		j, err := tx.Job(id)
		if err != nil {
			return err
		}
		j.Status = farm.JobFailed
		return errors.Join(tx.SaveJob(j, store.ByManager("")), stop)
	})
	if !errors.Is(err, stop) || len(f.takeChanges()) > 0 || f.job(id).Status != farm.JobQueued {
		f.t.Errorf("a change was undone with %v", err)
	}
}

func writesHistories(f *Farm) {
	w := f.Worker("w", "a")
	id, tasks := f.Submit(NewJob("j", NewTask("a")))
	f.wantClaim(w, tasks[0])
	f.End(tasks[0], farm.TaskCompleted)
	f.saveJob(id, func(j *store.Job) { j.Status = farm.JobCompleted })
	f.change(w, func(tx *store.Tx, w *store.Worker) error {
		w.Status = farm.WorkerAsleep
		return tx.SaveWorker(w, store.Why{Who: "user", Reason: "good night"})
	})
	job, err := f.Store.JobHistory(f.ctx, id)
	f.must(err)
	f.wantHistory(job, farm.StatusChange{What: "job", ID: id, To: "queued", Who: "user", Reason: "submitted"},
		farm.StatusChange{What: "job", ID: id, From: "queued", To: "completed", Who: "manager", Reason: "because"})
	task, err := f.Store.TaskHistory(f.ctx, tasks[0])
	f.must(err)
	f.wantHistory(task,
		farm.StatusChange{What: "task", ID: tasks[0], From: "queued", To: "active", Who: "worker:" + w, Reason: "claimed"},
		farm.StatusChange{What: "task", ID: tasks[0], From: "active", To: "completed", Who: "manager", Reason: "because"})
	worker, err := f.Store.WorkerHistory(f.ctx, w)
	f.must(err)
	f.wantHistory(worker,
		farm.StatusChange{What: "worker", ID: w, From: "awake", To: "asleep", Who: "user", Reason: "good night"})
}

func (f *Farm) wantHistory(got []farm.StatusChange, want ...farm.StatusChange) {
	f.t.Helper()
	for i := range got {
		if time.Since(got[i].When).Abs() > time.Minute {
			f.t.Errorf("a change was made at %v", got[i].When)
		}
		got[i].When = time.Time{}
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("the history is\n%+v, not\n%+v", got, want)
	}
}

func findsUnsettledJobs(f *Farm) {
	ids := map[farm.JobStatus]string{}
	for _, status := range farm.JobStatuses {
		ids[status], _ = f.Submit(NewJob(string(status), NewTask("a")))
		if status != farm.JobQueued {
			f.saveJob(ids[status], func(j *store.Job) { j.Status = status })
		}
	}
	done, tasks := f.Submit(NewJob("done", NewTask("a")))
	f.End(tasks[0], farm.TaskCanceled)
	f.saveJob(done, func(j *store.Job) { j.Status = farm.JobFailed })
	got, err := f.Store.UnsettledJobs(f.ctx)
	f.must(err)
	want := []string{
		ids[farm.JobFailed], ids[farm.JobCancelRequested], ids[farm.JobCanceled], ids[farm.JobPauseRequested],
		ids[farm.JobRequeueing],
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("unsettled are %v, not %v", got, want)
	}
	counts, err := f.Store.JobCounts(f.ctx)
	f.must(err)
	for _, status := range farm.JobStatuses {
		want := 1
		if status == farm.JobFailed {
			want = 2
		}
		if counts[status] != want {
			f.t.Errorf("%d jobs are %s", counts[status], status)
		}
	}
}

func keepsTags(f *Farm) {
	gpu, err := f.Store.CreateTag(f.ctx, farm.Tag{Name: "gpu", Description: "with a card"})
	f.must(err)
	cpu := f.tag("cpu")
	_, err = f.Store.CreateTag(f.ctx, farm.Tag{Name: "gpu"})
	f.wantCode(err, farm.CodeConflict)
	f.wantCode(f.Store.UpdateTag(f.ctx, farm.Tag{ID: cpu, Name: "gpu"}), farm.CodeConflict)
	f.must(f.Store.UpdateTag(f.ctx, farm.Tag{ID: cpu, Name: "aaa", Description: "first"}))
	tags, err := f.Store.Tags(f.ctx)
	f.must(err)
	if !slices.Equal(tags, []farm.Tag{{ID: cpu, Name: "aaa", Description: "first"}, gpu}) {
		f.t.Errorf("the tags are %v", tags)
	}
	one, err := f.Store.Tag(f.ctx, gpu.ID)
	f.must(err)
	named, err := f.Store.TagByName(f.ctx, "gpu")
	if f.must(err); one != gpu || named != gpu {
		f.t.Errorf("the tag is %v by id and %v by name, not %v", one, named, gpu)
	}
	given := farm.Tag{ID: "22222222-2222-4222-8222-222222222222", Name: "mine"}
	if kept, err := f.Store.CreateTag(f.ctx, given); err != nil || kept != given {
		f.t.Errorf("a tag with an id became %v, %v", kept, err)
	}
}
