// SPDX-License-Identifier: GPL-3.0-or-later

package store_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// listener hears what a store commits.
type listener struct {
	t       *testing.T
	store   *store.Store
	changes []farm.Change
}

func listen(t *testing.T, wanted func(farm.ChangeKind) bool) *listener {
	t.Helper()
	l := &listener{t: t}
	st, err := store.Open(t.Context(), store.Options{
		Database: filepath.Join(t.TempDir(), "farm.sqlite"), Durability: store.DurabilityNormal,
		Log: slog.New(slog.DiscardHandler), Wanted: wanted,
		OnCommit: func(c []farm.Change) { l.changes = append(l.changes, c...) }, // a test makes one commit after the other
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	l.store = st
	return l
}

func everyKind(farm.ChangeKind) bool { return true }

// do commits a change and checks that what was told of it is what a reader finds now.
func (l *listener) do(fn func(*store.Tx) error) []farm.Change {
	l.t.Helper()
	l.changes = nil
	if err := l.store.DoAlone(l.t.Context(), fn); err != nil {
		l.t.Fatal(err)
	}
	for _, c := range l.changes {
		l.compare(c)
	}
	return l.changes
}

func (l *listener) compare(c farm.Change) {
	l.t.Helper()
	var told, found any
	switch {
	case c.JobNow() != nil:
		j, err := l.store.Job(l.t.Context(), c.JobID)
		if err != nil {
			l.t.Fatal(err)
		}
		told, found = *c.JobNow(), farm.JobChange{
			ID: j.ID, Name: j.Name, Type: j.Type, Status: j.Status, Previous: c.JobNow().Previous, Priority: j.Priority,
			Updated: j.Updated, StepsCompleted: j.StepsCompleted, StepsTotal: j.StepsTotal,
			DeleteRequestedAt: j.DeleteRequestedAt, Tasks: j.Tasks,
		}
	case c.TaskNow() != nil:
		t, err := l.store.Task(l.t.Context(), c.TaskID)
		if err != nil {
			l.t.Fatal(err)
		}
		now := farm.TaskChange{
			ID: t.ID, JobID: t.JobID, Name: t.Name, Type: t.Type, IndexInJob: t.IndexInJob, Status: t.Status,
			Previous: c.TaskNow().Previous, Activity: t.Activity, StepsCompleted: t.StepsCompleted,
			StepsTotal: t.StepsTotal, Updated: t.Updated,
		}
		if t.Worker != nil {
			now.WorkerID, now.WorkerName = t.Worker.ID, t.Worker.Name
		}
		told, found = *c.TaskNow(), now
	case c.WorkerNow() != nil && c.WorkerNow().DeletedAt.IsZero():
		w, err := l.store.Worker(l.t.Context(), c.WorkerID)
		if err != nil {
			l.t.Fatal(err)
		}
		told, found = *c.WorkerNow(), farm.WorkerChange{
			ID: w.ID, Name: w.Name, Status: w.Status, Previous: c.WorkerNow().Previous, Requested: w.Requested,
			Software: w.Software, Updated: w.Updated, LastSeen: w.LastSeen, CanRestart: w.CanRestart,
		}
	}
	if diff := cmp.Diff(found, told); diff != "" {
		l.t.Errorf("a change of a %s (-what a reader finds +what was told):\n%s", c.Kind, diff)
	}
}

// only is the one change of a kind.
func only(t *testing.T, changes []farm.Change, kind farm.ChangeKind) farm.Change {
	t.Helper()
	var found []farm.Change
	for _, c := range changes {
		if c.Kind == kind {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d changes of kind %s, want one: %+v", len(found), kind, changes)
	}
	return found[0]
}

func TestAChangeSaysWhatAReaderWouldFind(t *testing.T) {
	t.Parallel()
	l := listen(t, everyKind)
	var worker, job string
	c := only(t, l.do(func(tx *store.Tx) error {
		w, err := tx.InsertWorker(farm.Worker{Name: "w", Status: farm.WorkerOffline, TaskTypes: []string{"a"}}, "hash")
		worker = w.ID
		return err
	}), farm.ChangeWorker)
	if !c.Moved || c.WorkerNow().Previous != "" {
		t.Errorf("a new worker: %+v", c)
	}
	c = only(t, l.do(func(tx *store.Tx) error {
		w, err := tx.Worker(worker)
		if err != nil {
			return err
		}
		w.Status, w.Software, w.CanRestart, w.LastSeen = farm.WorkerAwake, "4.0", true, tx.Now()
		w.Requested = &farm.StatusRequest{Status: farm.WorkerAsleep, Lazy: true}
		return tx.SaveWorker(w, store.ByManager(""))
	}), farm.ChangeWorker)
	if !c.Moved || c.WorkerNow().Previous != farm.WorkerOffline {
		t.Errorf("a worker that woke up: %+v", c.WorkerNow())
	}
	c = only(t, l.do(func(tx *store.Tx) (err error) {
		job, err = tx.InsertJob(storetest.NewJob("j", storetest.NewTasks(3, "a")...))
		return err
	}), farm.ChangeJob)
	if !c.Moved || c.JobNow().Previous != "" || c.JobNow().StepsTotal != 6 {
		t.Errorf("a new job: %+v", c.JobNow())
	}

	var task string
	changes := l.do(func(tx *store.Tx) error {
		w, err := tx.Worker(worker)
		if err != nil {
			return err
		}
		next, err := tx.NextTask(w)
		if err != nil {
			return err
		}
		task = next.ID
		j, err := tx.Job(job)
		if err != nil {
			return err
		}
		if err := tx.Assign(next, w, 0); err != nil {
			return err
		}
		next.Status = farm.TaskActive
		if err := tx.SaveTask(j, next, store.ByManager("")); err != nil {
			return err
		}
		j.Status = farm.JobActive
		tx.WorkerChanged(w)
		return tx.SaveJob(j, store.ByManager(""))
	})
	if c := only(t, changes, farm.ChangeTask); c.TaskNow().Previous != farm.TaskQueued || c.TaskNow().WorkerName != "w" {
		t.Errorf("a task that was handed out: %+v", c.TaskNow())
	}
	if c := only(t, changes, farm.ChangeJob); !c.Moved || c.JobNow().Previous != farm.JobQueued || c.Mass {
		t.Errorf("its job: %+v", c.JobNow())
	}
	only(t, changes, farm.ChangeWorker)

	changes = l.do(func(tx *store.Tx) error {
		j, err := tx.Job(job)
		if err != nil {
			return err
		}
		current, err := tx.Task(task)
		if err != nil {
			return err
		}
		current.Activity, current.StepsCompleted = "Rendering", 1
		return tx.SaveTask(j, current, store.ByManager(""))
	})
	if c := only(t, changes, farm.ChangeTask); c.TaskNow().Previous != farm.TaskActive || c.TaskNow().Activity != "Rendering" {
		t.Errorf("a task with an activity: %+v", c.TaskNow())
	}
	if c := only(t, changes, farm.ChangeJob); c.Moved || c.JobNow().StepsCompleted != 1 {
		t.Errorf("its job, whose status is the same: %+v", c)
	}

	changes = l.do(func(tx *store.Tx) error {
		j, err := tx.Job(job)
		if err != nil {
			return err
		}
		m := store.Mass{From: []farm.TaskStatus{farm.TaskActive, farm.TaskQueued}, To: farm.TaskCanceled}
		_, _, err = tx.ChangeSlice(j, m, 0, 100, store.ByManager(""))
		return err
	})
	if c := only(t, changes, farm.ChangeJob); !c.Mass || c.JobNow().Tasks.Canceled != 3 {
		t.Errorf("a job with many changed tasks: %+v", c.JobNow())
	}
	if c := only(t, changes, farm.ChangeTask); !c.Mass || c.TaskNow() != nil {
		t.Errorf("one of many tasks: %+v", c)
	}

	c = only(t, l.do(func(tx *store.Tx) error {
		j, err := tx.Job(job)
		if err != nil {
			return err
		}
		return tx.MarkJobForDeletion(j)
	}), farm.ChangeJob)
	if c.JobNow().DeleteRequestedAt.IsZero() {
		t.Errorf("a job that is to be deleted: %+v", c.JobNow())
	}
	c = only(t, l.do(func(tx *store.Tx) error {
		j, err := tx.Job(job)
		if err != nil {
			return err
		}
		_, err = tx.DeleteSomeTasks(j, 2)
		return err
	}), farm.ChangeJob)
	if now := c.JobNow(); now.StepsTotal != 2 || now.Tasks.Canceled != 1 {
		t.Errorf("a job that lost two of its three tasks: %+v", now)
	}
	c = only(t, l.do(func(tx *store.Tx) error {
		w, err := tx.Worker(worker)
		if err != nil {
			return err
		}
		w.Deleted = true
		return tx.SaveWorker(w, store.ByManager(""))
	}), farm.ChangeWorker)
	if !c.Moved || time.Since(c.WorkerNow().DeletedAt) > time.Hour {
		t.Errorf("a deleted worker: %+v", c.WorkerNow())
	}
}

func TestTagsAreTold(t *testing.T) {
	t.Parallel()
	l := listen(t, everyKind)
	told := func() farm.TagChange {
		t.Helper()
		c := only(t, l.changes, farm.ChangeTag)
		l.changes = nil
		return *c.TagNow()
	}
	tag, err := l.store.CreateTag(t.Context(), farm.Tag{Name: "gpu", Description: "has one"})
	if err != nil {
		t.Fatal(err)
	}
	if got := told(); got != (farm.TagChange{Tag: tag}) {
		t.Errorf("a new tag: %+v", got)
	}
	if _, err := l.store.CreateTag(t.Context(), farm.Tag{Name: "gpu"}); err == nil || len(l.changes) > 0 {
		t.Errorf("a tag that could not be made: %v, %+v", err, l.changes)
	}
	tag.Name = "cpu"
	if err := l.store.UpdateTag(t.Context(), tag); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != (farm.TagChange{Tag: tag}) {
		t.Errorf("a changed tag: %+v", got)
	}
	l.do(func(tx *store.Tx) error { return tx.DeleteTag(tag.ID) })
	if got := told(); got != (farm.TagChange{Tag: tag, Deleted: true}) {
		t.Errorf("a deleted tag: %+v", got)
	}
}

func TestNothingIsSaidWhileNobodyListens(t *testing.T) {
	t.Parallel()
	l := listen(t, nil)
	c := only(t, l.do(func(tx *store.Tx) error {
		_, err := tx.InsertJob(storetest.NewJob("j", storetest.NewTasks(1, "a")...))
		return err
	}), farm.ChangeJob)
	if c.JobNow() != nil || !c.Moved {
		t.Errorf("%+v", c)
	}
}
