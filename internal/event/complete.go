// SPDX-License-Identifier: GPL-3.0-or-later

package event

import (
	"context"

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

// complete makes the entry's change say everything. A change that was made while nobody listened, or that had no room,
// names only what changed: that is read as it is now.
func (e *entry) complete(ctx context.Context, load Loader) error {
	switch e.key.kind {
	case farm.ChangeJob:
		return e.completeJob(ctx, load)
	case farm.ChangeTask:
		return e.completeTask(ctx, load)
	case farm.ChangeWorker:
		return e.completeWorker(ctx, load)
	case farm.ChangeTag:
		return e.completeTag(ctx, load)
	}
	return nil
}

func (e *entry) completeTag(ctx context.Context, load Loader) error {
	if e.change.TagNow() != nil {
		return nil
	}
	t, err := load.Tag(ctx, e.key.id)
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

func (e *entry) completeJob(ctx context.Context, load Loader) error {
	if e.change.JobNow() == nil {
		j, err := load.Job(ctx, e.key.id)
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

func (e *entry) completeTask(ctx context.Context, load Loader) error {
	if e.change.TaskNow() == nil {
		t, err := load.Task(ctx, e.key.id)
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

func (e *entry) completeWorker(ctx context.Context, load Loader) error {
	if e.change.WorkerNow() == nil {
		w, err := load.Worker(ctx, e.key.id)
		if err != nil {
			return err
		}
		e.change.Now = &farm.WorkerChange{
			ID: w.ID, Name: w.Name, Status: w.Status, Previous: w.Status, Requested: w.Requested, Software: w.Software,
			Updated: w.Updated, LastSeen: w.LastSeen, CanRestart: w.CanRestart,
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
