// SPDX-License-Identifier: GPL-3.0-or-later

package event

import (
	"context"
	"time"

	"flamenco.farm/internal/farm"
)

// previous is the status before a change, "" if the change does not say.
func previous(c farm.Change) string {
	switch {
	case c.JobNow() != nil:
		return string(c.JobNow().Previous)
	case c.TaskNow() != nil:
		return string(c.TaskNow().Previous)
	case c.WorkerNow() != nil:
		return string(c.WorkerNow().Previous)
	}
	return c.Was
}

// isNew reports whether a change brings something that was not there before.
func isNew(c farm.Change) bool {
	if c.Now == nil {
		return c.Moved && c.Was == "" && (c.Kind == farm.ChangeJob || c.Kind == farm.ChangeWorker)
	}
	return (c.JobNow() != nil && c.JobNow().Previous == "" && !c.JobNow().Deleted) || (c.WorkerNow() != nil && c.WorkerNow().Previous == "")
}

// loadAtOnce is of how many entries the rest is read with one question for each kind.
const loadAtOnce = 1000

// loaded is what a Loader said of the entries of a batch.
type loaded struct {
	from    Loader
	jobs    map[string]farm.Job
	tasks   map[string]farm.Task
	workers map[string]farm.Worker
	errs    map[farm.ChangeKind]error
}

func newLoaded(from Loader) *loaded { return &loaded{from: from} }

// ahead reads what these entries do not say.
func (l *loaded) ahead(ctx context.Context, entries []*entry) {
	ids := map[farm.ChangeKind][]string{}
	for _, e := range entries {
		if e.change.Now == nil {
			ids[e.key.kind] = append(ids[e.key.kind], e.key.id)
		}
	}
	l.jobs, l.tasks, l.workers, l.errs = nil, nil, nil, map[farm.ChangeKind]error{}
	for kind, of := range ids {
		switch kind {
		case farm.ChangeJob:
			l.jobs, l.errs[kind] = l.from.JobsByID(ctx, of)
		case farm.ChangeTask:
			l.tasks, l.errs[kind] = l.from.TasksByID(ctx, of)
		case farm.ChangeWorker:
			l.workers, l.errs[kind] = l.from.WorkersByID(ctx, of)
		}
	}
}

func find[T any](l *loaded, kind farm.ChangeKind, among map[string]T, id string) (T, error) {
	found, ok := among[id]
	if err := l.errs[kind]; err != nil || ok {
		return found, err
	}
	return found, farm.ErrNotExist
}

// complete makes the entry's change say everything. A change that was made while nobody listened, or that had no room,
// names only what changed: that is read as it is now.
func (e *entry) complete(ctx context.Context, load *loaded) error {
	switch e.key.kind {
	case farm.ChangeJob:
		return e.completeJob(load)
	case farm.ChangeTask:
		return e.completeTask(load)
	case farm.ChangeWorker:
		return e.completeWorker(load)
	case farm.ChangeTag:
		return e.completeTag(ctx, load)
	}
	return nil
}

func (e *entry) completeTag(ctx context.Context, load *loaded) error {
	if e.change.TagNow() != nil {
		return nil
	}
	t, err := load.from.Tag(ctx, e.key.id)
	switch {
	case farm.IsNotExist(err):
		e.change.Now = &farm.TagChange{Tag: farm.Tag{ID: e.key.id}, Deleted: true}
	case err != nil:
		return err
	default:
		e.change.Now = &farm.TagChange{Tag: t}
	}
	return nil
}

func (e *entry) completeJob(load *loaded) error {
	if e.change.JobNow() == nil {
		j, err := find(load, farm.ChangeJob, load.jobs, e.key.id)
		switch {
		case farm.IsNotExist(err):
			e.change.Now = &farm.JobChange{ID: e.key.id, Deleted: true}
		case err != nil:
			return err
		default:
			e.change.Now = &farm.JobChange{
				ID: j.ID, Name: j.Name, Type: j.Type, Status: j.Status, Previous: j.Status, Priority: j.Priority,
				Updated: j.Updated, StepsCompleted: j.StepsCompleted, StepsTotal: j.StepsTotal,
				DeleteRequestedAt: j.DeleteRequestedAt, Tasks: j.Tasks,
			}
		}
	}
	now := *e.change.JobNow() // other feeds have the same one
	if now.Deleted {
		return nil
	}
	now.RefreshTasks = e.refresh
	now.Previous = earlier(e, now.Previous)
	e.change.Now = &now
	return nil
}

func (e *entry) completeTask(load *loaded) error {
	if e.change.TaskNow() == nil {
		t, err := find(load, farm.ChangeTask, load.tasks, e.key.id)
		if err != nil {
			return err
		}
		e.change.Now = &farm.TaskChange{
			ID: t.ID, JobID: t.JobID, Name: t.Name, Type: t.Type, IndexInJob: t.IndexInJob, Status: t.Status,
			Previous: t.Status, Activity: t.Activity, StepsCompleted: t.StepsCompleted, StepsTotal: t.StepsTotal,
			Updated: t.Updated,
		}
		if t.Worker != nil {
			read := e.change.TaskNow()
			read.WorkerID, read.WorkerName = t.Worker.ID, t.Worker.Name
		}
	}
	now := *e.change.TaskNow()
	now.Previous = earlier(e, now.Previous)
	e.change.Now = &now
	return nil
}

func (e *entry) completeWorker(load *loaded) error {
	if e.change.WorkerNow() == nil {
		w, err := find(load, farm.ChangeWorker, load.workers, e.key.id)
		switch {
		case farm.IsNotExist(err): // its row stays, but nobody is shown it
			now := time.Now().UTC()
			e.change.Now = &farm.WorkerChange{ID: e.key.id, Status: farm.WorkerOffline, Previous: farm.WorkerOffline, Updated: now, DeletedAt: now}
		case err != nil:
			return err
		default:
			e.change.Now = &farm.WorkerChange{
				ID: w.ID, Name: w.Name, Status: w.Status, Previous: w.Status, Requested: w.Requested, Software: w.Software,
				Updated: w.Updated, LastSeen: w.LastSeen, CanRestart: w.CanRestart,
			}
		}
	}
	now := *e.change.WorkerNow()
	now.Previous = earlier(e, now.Previous)
	e.change.Now = &now
	return nil
}

// earlier is the status before the first change that an entry stands for.
func earlier[S ~string](e *entry, last S) S {
	switch {
	case e.isNew:
		return ""
	case e.since != "":
		return S(e.since)
	}
	return last
}
