// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func submitTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"a job is stored with all that it was submitted with":          storesJobs,
		"ten thousand tasks with dependencies are stored at once":      storesManyTasks,
		"dependencies named twice count once":                          countsDependenciesOnce,
		"nothing is stored of a job that cannot be":                    storesNothingOnErrors,
		"a paused job waits":                                           storesPausedJobs,
		"a new job wakes those who wait for its task types":            wakesOnNewJobs,
		"jobs without settings and tasks without commands can be read": storesEmptyJobs,
		"what is not there is not found":                               findsNothing,
	}
}

func storesJobs(f *Farm) {
	tag := f.tag("gpu")
	job := NewJob("shot 10", NewTask("blender"), NewTask("ffmpeg", 0))
	job.TagID, job.Priority, job.Tasks[1].Priority = tag, 70, 30
	job.JobSpec = farm.JobSpec{
		Settings: map[string]any{"frames": "1-10", "fps": 24.0}, Metadata: map[string]string{"user": "Zoë"},
		ShamanCheckoutID: "2026/shot", SubmitterPlatform: "linux",
	}
	job.Tasks[0].Commands = []farm.Command{
		{Name: "blender-render", Parameters: map[string]any{"exe": "{blender}", "args": []any{"-b", "a b"}}, TotalStepCount: 5},
		{Name: "echo", Parameters: map[string]any{"message": "done"}},
	}
	id, tasks := f.Submit(job)

	got := f.job(id)
	if got.Name != "shot 10" || got.Type != "test" || got.Priority != 70 || got.TagID != tag || got.Status != farm.JobQueued ||
		got.ProjectID != farm.DefaultProject || got.Revision != 1 || got.Tasks != (farm.TaskCounts{Queued: 2}) ||
		got.StepsTotal != 8 || got.StepsCompleted != 0 || got.Created.IsZero() || !got.Created.Equal(got.Updated) {
		f.t.Errorf("stored %+v", got)
	}
	spec, err := f.Store.JobSpec(f.ctx, id)
	f.must(err)
	if !reflect.DeepEqual(spec, job.JobSpec) {
		f.t.Errorf("submitted with %+v, read %+v", job.JobSpec, spec)
	}
	first, second := f.task(tasks[0]), f.task(tasks[1])
	if first.IndexInJob != 1 || first.Type != "blender" || first.StepsTotal != 6 || first.Status != farm.TaskQueued ||
		first.Worker != nil || !first.LastTouched.IsZero() || first.JobID != id || first.Priority != farm.DefaultPriority {
		f.t.Errorf("stored %+v", first)
	}
	if second.IndexInJob != 2 || second.Priority != 30 || second.StepsTotal != 2 {
		f.t.Errorf("stored %+v", second)
	}
	commands, err := f.Store.TaskCommands(f.ctx, tasks[0])
	f.must(err)
	if !reflect.DeepEqual(commands, job.Tasks[0].Commands) {
		f.t.Errorf("stored commands %+v", commands)
	}
	peeked, err := f.Store.PeekTask(f.ctx, tasks[1])
	f.must(err)
	if peeked.OnDisconnect != farm.KeepOnDisconnect || peeked.JobID != id {
		f.t.Errorf("peeked at %+v", peeked)
	}
}

func storesManyTasks(f *Farm) {
	const n = 10_000
	job := NewJob("big")
	for i := range n {
		switch {
		case i%10 == 9:
			job.Tasks = append(job.Tasks, NewTask("ffmpeg", i-9, i-5, i-1))
		default:
			job.Tasks = append(job.Tasks, NewTask("blender"))
		}
	}
	id, tasks := f.Submit(job)
	if len(tasks) != n || f.job(id).Tasks.Queued != n {
		f.t.Fatalf("%d tasks stored", len(tasks))
	}
	if !slices.IsSorted(tasks) {
		f.t.Errorf("the ids of the tasks are not in their order")
	}
	if got := f.count("SELECT count(*) FROM task_dependencies"); got != 3*n/10 {
		f.t.Errorf("%d dependencies stored", got)
	}
	if got := f.count("SELECT count(*) FROM task_specs"); got != n {
		f.t.Errorf("%d tasks have commands", got)
	}
	if got := f.count("SELECT count(*) FROM tasks WHERE ready"); got != n*9/10 {
		f.t.Errorf("%d tasks are ready", got)
	}
}

func countsDependenciesOnce(f *Farm) {
	_, tasks := f.Submit(NewJob("twice", NewTask("a"), NewTask("b", 0, 0, 0)))
	w := f.Worker("w", "a", "b")
	f.wantClaim(w, tasks[0])
	f.End(tasks[0], farm.TaskCompleted)
	f.wantClaim(w, tasks[1])
}

func storesNothingOnErrors(f *Farm) {
	const missing = "11111111-1111-4111-8111-111111111111"
	unknownTag, unknownProject, far, itself, negative := NewJob("tag", NewTask("a")), NewJob("project", NewTask("a")),
		NewJob("far", NewTask("a"), NewTask("b", 2)), NewJob("itself", NewTask("a", 0)), NewJob("negative", NewTask("a", -1))
	unknownTag.TagID, unknownProject.ProjectID = missing, missing
	for _, job := range []farm.NewJob{unknownTag, unknownProject, far, itself, negative} {
		err := f.Store.DoAlone(f.ctx, func(tx *store.Tx) error {
			_, err := tx.InsertJob(job)
			return err
		})
		f.wantCode(err, farm.CodeInvalid)
	}
	stop := errors.New("changed my mind")
	err := f.Store.DoAlone(f.ctx, func(tx *store.Tx) error {
		if _, err := tx.InsertJob(NewJob("whole", NewTasks(1000, "a")...)); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		f.t.Errorf("the error is %v", err)
	}
	bad := NewJob("settings", NewTask("a"))
	bad.Settings = map[string]any{"callback": func() {}}
	if err := f.Store.Do(f.ctx, func(tx *store.Tx) error { _, err := tx.InsertJob(bad); return err }); err == nil {
		f.t.Errorf("settings that are not JSON were stored")
	}
	for _, table := range []string{"jobs", "job_specs", "tasks", "task_specs", "job_ready", "status_changes"} {
		if n := f.count("SELECT count(*) FROM " + table); n != 0 {
			f.t.Errorf("%d rows in %s", n, table)
		}
	}
	if changes := f.takeChanges(); len(changes) > 0 {
		f.t.Errorf("heard of %v", changes)
	}
}

func storesPausedJobs(f *Farm) {
	w := f.Worker("w", "a")
	job := NewJob("later", NewTask("a"))
	job.InitialStatus = farm.JobPaused
	f.takeChanges()
	id, tasks := f.Submit(job)
	f.wantClaim(w, "")
	if got := work(f.takeChanges()); len(got) > 0 {
		f.t.Errorf("a paused job says that there is work: %v", got)
	}
	f.saveJob(id, func(j *store.Job) { j.Status = farm.JobQueued })
	if got := work(f.takeChanges()); len(got) != 1 || got[0].JobID != id {
		f.t.Errorf("a job that goes on says %v", got)
	}
	f.wantClaim(w, tasks[0])
}

func wakesOnNewJobs(f *Farm) {
	job := NewJob("new", NewTask("a"), NewTask("b"), NewTask("a"))
	job.TagID = f.tag("gpu")
	f.takeChanges()
	id, _ := f.Submit(job)
	got := work(f.takeChanges())
	if len(got) != 1 || got[0].JobID != id || got[0].TagID != job.TagID || !slices.Equal(got[0].TaskTypes, []string{"a", "b"}) {
		f.t.Errorf("heard %+v", got)
	}
}

func storesEmptyJobs(f *Farm) {
	id, tasks := f.Submit(NewJob("empty", farm.NewTask{Name: "nothing", Type: "misc"}))
	spec, err := f.Store.JobSpec(f.ctx, id)
	f.must(err)
	if spec.Settings == nil || spec.Metadata == nil {
		f.t.Errorf("read %+v", spec)
	}
	commands, err := f.Store.TaskCommands(f.ctx, tasks[0])
	f.must(err)
	if commands == nil || len(commands) != 0 || f.task(tasks[0]).StepsTotal != 0 {
		f.t.Errorf("read commands %#v", commands)
	}
}

func findsNothing(f *Farm) {
	const missing = "11111111-1111-4111-8111-111111111111"
	for name, read := range map[string]func() error{
		"Job":          func() error { _, err := f.Store.Job(f.ctx, missing); return err },
		"JobSpec":      func() error { _, err := f.Store.JobSpec(f.ctx, missing); return err },
		"Task":         func() error { _, err := f.Store.Task(f.ctx, missing); return err },
		"PeekTask":     func() error { _, err := f.Store.PeekTask(f.ctx, missing); return err },
		"TaskCommands": func() error { _, err := f.Store.TaskCommands(f.ctx, missing); return err },
		"Worker":       func() error { _, err := f.Store.Worker(f.ctx, missing); return err },
		"WorkerSecret": func() error { _, err := f.Store.WorkerSecret(f.ctx, missing); return err },
		"WorkerTask":   func() error { _, err := f.Store.WorkerTask(f.ctx, missing); return err },
		"Tag":          func() error { _, err := f.Store.Tag(f.ctx, missing); return err },
		"TagByName":    func() error { _, err := f.Store.TagByName(f.ctx, missing); return err },
		"Tx.Job":       f.inTx(func(tx *store.Tx) error { _, err := tx.Job(missing); return err }),
		"Tx.Task":      f.inTx(func(tx *store.Tx) error { _, err := tx.Task(missing); return err }),
		"Tx.Worker":    f.inTx(func(tx *store.Tx) error { _, err := tx.Worker(missing); return err }),
		"Tx.AnyWorker": f.inTx(func(tx *store.Tx) error { _, err := tx.AnyWorker(missing); return err }),
		"Tx.DeleteTag": f.inTx(func(tx *store.Tx) error { return tx.DeleteTag(missing) }),
		"UpdateTag":    func() error { return f.Store.UpdateTag(f.ctx, farm.Tag{ID: missing, Name: "x"}) },
	} {
		if err := read(); !farm.IsNotExist(err) {
			f.t.Errorf("%s answers %v", name, err)
		}
	}
	for name, read := range map[string]func() (int, error){
		"Attempts":      func() (int, error) { l, err := f.Store.Attempts(f.ctx, missing); return len(l), err },
		"JobHistory":    func() (int, error) { l, err := f.Store.JobHistory(f.ctx, missing); return len(l), err },
		"TaskHistory":   func() (int, error) { l, err := f.Store.TaskHistory(f.ctx, missing); return len(l), err },
		"WorkerHistory": func() (int, error) { l, err := f.Store.WorkerHistory(f.ctx, missing); return len(l), err },
		"Blocklist":     func() (int, error) { l, err := f.Store.Blocklist(f.ctx, missing); return len(l), err },
		"FailedBy":      func() (int, error) { l, err := f.Store.FailedBy(f.ctx, missing); return len(l), err },
	} {
		if n, err := read(); n != 0 || err != nil {
			f.t.Errorf("%s answers %d, %v", name, n, err)
		}
	}
}

func (f *Farm) inTx(fn func(*store.Tx) error) func() error {
	return func() error { return f.Store.Do(f.ctx, fn) }
}

func (f *Farm) wantClaim(workerID, taskID string) {
	f.t.Helper()
	if got := f.Claim(workerID); got != taskID {
		f.t.Errorf("worker got %s instead of %s", f.describe(got), f.describe(taskID))
	}
}

func (f *Farm) describe(taskID string) string {
	if taskID == "" {
		return "nothing"
	}
	t := f.task(taskID)
	return fmt.Sprintf("task %d of job %q", t.IndexInJob, f.job(t.JobID).Name)
}
