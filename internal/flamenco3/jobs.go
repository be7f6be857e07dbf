// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
	"flamenco.farm/internal/store"
)

var jobColumns = []string{
	"id", "created_at", "updated_at", "uuid", "name", "job_type", "priority", "status", "activity", "settings", "metadata",
	"delete_requested_at", "storage_shaman_checkout_id", "worker_tag_id",
}

func (im *importer) importJobs(ctx context.Context) error {
	total, err := im.old.count(ctx, "jobs")
	if err != nil {
		return err
	}
	if err := im.readLastRendered(ctx); err != nil {
		return err
	}
	done := 0
	return im.old.each(ctx, "jobs", jobColumns, 8, func(r *row) error {
		err := im.importJob(ctx, r)
		if done++; err == nil && im.opts.Progress != nil {
			im.opts.Progress(done, total)
		}
		return err
	})
}

// importJob brings over one job with everything that belongs to it. Files come first: once the job is there, all is.
func (im *importer) importJob(ctx context.Context, r *row) error {
	im.report.Jobs.Found++
	size, err := im.sizeOf(ctx, r)
	if err != nil {
		return err
	}
	im.report.Tasks.Found += size.tasks
	what := r.name("job")
	j, problem := im.readJob(r)
	if problem == "" {
		problem = size.problem()
	}
	if problem == "" {
		present, err := im.known(func(s *store.Store) error {
			_, err := s.Job(ctx, j.ID)
			return err
		})
		if err != nil {
			return err
		}
		if present {
			im.report.Jobs.Present++
			im.report.Tasks.Present += size.tasks
			return nil
		}
		if problem, err = im.readTasks(ctx, r, &j); err != nil {
			return err
		}
	}
	if problem != "" {
		im.leaveOut(what, problem, size.tasks)
		return nil
	}
	im.changed(what, r)
	im.settle(&j, what)
	return im.storeJob(ctx, r, &j, what)
}

func (im *importer) leaveOut(what, problem string, tasks int) {
	im.report.Jobs.LeftOut++
	im.report.Tasks.LeftOut += tasks
	im.report.problem(what, "left out: %s", problem)
}

func (im *importer) storeJob(ctx context.Context, r *row, j *store.ImportedJob, what string) error {
	images, err := im.copyFiles(ctx, j)
	if err != nil {
		return err
	}
	problem, err := im.write(ctx, func(tx *store.Tx) error {
		j.Created = cmpTime(j.Created, tx.Now())
		j.Updated = cmpTime(j.Updated, j.Created)
		for i := range j.Tasks {
			j.Tasks[i].Created = cmpTime(j.Tasks[i].Created, j.Created)
			j.Tasks[i].Updated = cmpTime(j.Tasks[i].Updated, j.Tasks[i].Created)
		}
		if err := tx.ImportJob(*j, imported); err != nil || images == 0 || im.to.Rendered == nil {
			return err
		}
		return im.to.Rendered(tx, j.ID)
	})
	if err != nil {
		return err
	}
	if problem != "" {
		im.leaveOut(what, problem, len(j.Tasks))
		return nil
	}
	im.report.Jobs.Imported++
	im.report.Tasks.Imported += len(j.Tasks)
	if images > 0 && r.key() == im.lastRow {
		im.lastRendered = j.ID
	}
	return nil
}

// readJob reads a job without its tasks; problem says why it cannot be brought over.
func (im *importer) readJob(r *row) (j store.ImportedJob, problem string) {
	id, ok := r.id()
	if !ok {
		return j, "its uuid is not an id"
	}
	if !im.first(id) {
		return j, "its id was there before"
	}
	status := farm.JobStatus(r.text("status"))
	if !status.Valid() {
		return j, fmt.Sprintf("its status %.40q is unknown", status)
	}
	j = store.ImportedJob{
		ID: id, Name: r.short("name", maxName), Type: r.short("job_type", maxName), Priority: r.number("priority", 0, 100),
		Status: status, Activity: r.short("activity", maxText), Created: r.time("created_at"), Updated: r.time("updated_at"),
		DeleteRequested: r.time("delete_requested_at"),
	}
	j.ShamanCheckoutID = r.short("storage_shaman_checkout_id", maxText)
	if err := readJSON(r.text("settings"), &j.Settings); err != nil {
		r.bad("settings", "are not understood and left out: %s", err)
		j.Settings = nil
	}
	var metadata map[string]any
	if err := readJSON(r.text("metadata"), &metadata); err != nil {
		r.bad("metadata", "are not understood and left out: %s", err)
	}
	j.Metadata = asTexts(metadata)
	if tag := r.reference("worker_tag_id"); tag != 0 {
		if j.TagID, ok = im.tags[tag]; !ok {
			// Without its tag it would run on workers that it was kept from.
			return j, "its worker tag is not there"
		}
	}
	return j, ""
}

// first remembers an id and reports whether it is the first time that it came.
func (im *importer) first(id string) bool {
	_, seen := im.seen[id]
	im.seen[id] = struct{}{}
	return !seen
}

// readJSON reads one value; numbers keep all their digits. No text is no value.
func readJSON(text string, into any) error {
	if text == "" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("there is more behind the value")
	}
	return nil
}

func asTexts(values map[string]any) map[string]string {
	texts := make(map[string]string, len(values))
	for k, v := range values {
		if text, ok := v.(string); ok {
			texts[k] = text
			continue
		}
		text, err := json.Marshal(v)
		if err == nil {
			texts[k] = string(text)
		}
	}
	return texts
}

// settle lets a job that was on its way to a status arrive there, as the Manager would have, because nothing of it runs
// any more; and it keeps one that a person ended from running again.
func (im *importer) settle(j *store.ImportedJob, what string) {
	was := j.Status
	switch {
	case was == farm.JobUnderConstruction:
		j.Status, j.Activity = farm.JobFailed, "It was still being made when it was imported."
		im.report.problem(what, "was still being made, it is failed now")
	case was == farm.JobCompleted && slices.ContainsFunc(j.Tasks, unfinished):
		j.Status, j.Activity = farm.JobCancelRequested, "Imported as canceled: it was set to completed before all of its tasks were."
		im.report.problem(what, "was completed with tasks that were not, it is canceled now")
	case was == farm.JobCompleted:
		return
	case was == farm.JobRequeueing:
		j.Blocklist = nil
		for i := range j.Tasks {
			j.Tasks[i].FailedBy = nil
		}
	}
	for {
		step := flow.NextStep(snapshot(j))
		switch {
		case step.None():
			return
		case len(step.Tasks) > 0:
			for i := range j.Tasks {
				if t := &j.Tasks[i]; slices.Contains(step.Tasks, t.Status) {
					setStatus(t, step.TasksTo)
				}
			}
		default:
			j.Status = step.Status
			if j.Activity == "" || step.Reason != "" {
				j.Activity = fmt.Sprintf("Changed to status %s: imported while it was %s. %s", step.Status, was, step.Reason)
			}
		}
	}
}

func unfinished(t store.ImportedTask) bool { return t.Status.Waiting() || t.Status == farm.TaskPaused }

// snapshot is what decisions about a job need.
func snapshot(j *store.ImportedJob) flow.Job {
	s := flow.Job{Status: j.Status}
	for _, t := range j.Tasks {
		s.Counts.Add(t.Status, 1)
		open := slices.ContainsFunc(t.Dependencies, func(d int) bool { return j.Tasks[d].Status != farm.TaskCompleted })
		if t.Status.Waiting() && !open {
			s.Ready++
		}
	}
	return s
}

// setStatus gives a task a status, and the steps that go with it.
func setStatus(t *store.ImportedTask, status farm.TaskStatus) {
	t.Status = status
	switch status {
	case farm.TaskQueued:
		t.StepsCompleted = 0
	case farm.TaskCompleted:
		t.StepsCompleted = t.StepsTotal
	}
	t.StepsCompleted = min(t.StepsCompleted, t.StepsTotal)
}

// readLastRendered finds the job whose images are the newest of the old farm.
func (im *importer) readLastRendered(ctx context.Context) error {
	rows, err := im.old.rows(ctx, "last_rendereds", []string{"job_id"}, "LIMIT 1")
	if err == nil && len(rows) > 0 {
		im.lastRow = rows[0].reference("job_id")
	}
	return err
}

// noteLastRendered comes last, because every job with images was the newest when it was stored.
func (im *importer) noteLastRendered(ctx context.Context) error {
	if im.lastRendered == "" || im.to.Rendered == nil {
		return nil
	}
	_, err := im.write(ctx, func(tx *store.Tx) error { return im.to.Rendered(tx, im.lastRendered) })
	return err
}
