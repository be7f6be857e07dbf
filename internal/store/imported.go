// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// ImportedWorker is a worker of another farm. Its secret is already a hash.
type ImportedWorker struct {
	farm.Worker
	SecretHash string
	Deleted    time.Time // zero = it is not
}

// ImportedJob is a job of another farm with what became of it there. Nothing of it is running.
type ImportedJob struct {
	ID              string
	Name            string
	Type            string
	Priority        int
	Status          farm.JobStatus
	Activity        string
	TagID           string
	Created         time.Time
	Updated         time.Time
	DeleteRequested time.Time
	farm.JobSpec
	Tasks []ImportedTask
	// Blocklist names workers that are in the database.
	Blocklist []ImportedBlock
}

// ImportedTask is a task of an ImportedJob, in the order of the job.
type ImportedTask struct {
	farm.NewTask
	Status         farm.TaskStatus
	Activity       string
	WorkerID       string // who had it last, "" = nobody
	StepsCompleted int
	StepsTotal     int
	Created        time.Time
	Updated        time.Time
	Touched        time.Time
	Outcome        farm.Outcome // how it ended with that worker
	LogSize        int64        // how long its log is
	FailedBy       []ImportedFailure
}

// ImportedFailure is a worker that failed a task.
type ImportedFailure struct {
	WorkerID string
	Created  time.Time
}

// ImportedBlock keeps a worker from a task type of a job.
type ImportedBlock struct {
	WorkerID string
	TaskType string
	Created  time.Time
}

// HasWorker reports whether a worker is known, deleted ones included.
func (s *Store) HasWorker(ctx context.Context, id string) (bool, error) {
	_, err := s.reads.AnyWorkerByUUID(ctx, id)
	if err = wrap(err); farm.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

// ImportTag stores a tag with its id and time.
func (tx *Tx) ImportTag(t farm.Tag, created time.Time) error {
	_, err := tx.q.InsertTag(tx.ctx, query.InsertTagParams{
		Uuid: t.ID, Name: t.Name, Description: t.Description, CreatedAt: micros.Of(created),
	})
	return nameTaken(t.Name, err)
}

// ImportWorker stores a worker with all that is known of it, its tags included.
func (tx *Tx) ImportWorker(w ImportedWorker) error {
	p := query.InsertImportedWorkerParams{
		Uuid: w.ID, Secret: w.SecretHash, Name: w.Name, Address: w.Address, Platform: w.Platform, Software: w.Software,
		Status: string(w.Status), CanRestart: w.CanRestart, LastSeenAt: micros.Of(w.LastSeen),
		CreatedAt: micros.Of(w.Created), UpdatedAt: micros.Of(w.Updated), DeletedAt: micros.Of(w.Deleted),
	}
	if w.Requested != nil {
		p.StatusRequested, p.LazyRequest = string(w.Requested.Status), w.Requested.Lazy
	}
	id, err := tx.q.InsertImportedWorker(tx.ctx, p)
	if err != nil {
		return taken(err)
	}
	stored := &Worker{Worker: w.Worker, id: id, was: w.Status}
	if err := tx.SetTaskTypes(stored, w.TaskTypes); err != nil {
		return err
	}
	tags := make([]string, len(w.Tags))
	for i, t := range w.Tags {
		tags[i] = t.ID
	}
	return tx.SetTags(stored, tags)
}

// taken says that something with that id is there already.
func taken(err error) error {
	if isUnique(err) {
		return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeConflict, "its id is taken"), err)
	}
	return err
}

// ImportJob stores a job with its tasks as they were in another farm. What is computed on write is computed here, and
// the history begins with why.
func (tx *Tx) ImportJob(j ImportedJob, why Why) error {
	rows, totals, err := tx.importedRows(j)
	if err != nil {
		return err
	}
	id, tag, err := tx.importJobRow(j, totals)
	if err != nil {
		return err
	}
	if err := tx.insertSpec(id, j.JobSpec); err != nil {
		return err
	}
	ids, err := tx.insertTaskRows(id, rows)
	if err != nil {
		return taken(err)
	}
	if err := tx.importAttempts(j, rows, ids); err != nil {
		return err
	}
	runnable := j.Status.Runnable() && j.DeleteRequested.IsZero()
	if err := tx.insertReady(id, tag, j.Priority, runnable, totals.ready); err != nil {
		return err
	}
	if err := tx.importFailures(id, j, ids); err != nil {
		return err
	}
	if err := tx.changedStatus("job", id, id, "", string(j.Status), why); err != nil {
		return err
	}
	return tx.importHistory(id, rows, ids, why)
}

// importTotals is what the row of a job says of its tasks.
type importTotals struct {
	counts           farm.TaskCounts
	steps, stepsDone int
	ready            map[string]int
}

func (tx *Tx) importedRows(j ImportedJob) ([]taskRow, importTotals, error) {
	totals := importTotals{ready: map[string]int{}}
	tasks := make([]farm.NewTask, len(j.Tasks))
	for i, t := range j.Tasks {
		tasks[i] = t.NewTask
	}
	if err := checkDependencies(tasks); err != nil {
		return nil, totals, err
	}
	workers := map[string]int64{}
	rows := make([]taskRow, len(j.Tasks))
	for i, t := range j.Tasks {
		worker, err := tx.workerRow(workers, t.WorkerID)
		if err != nil {
			return nil, totals, err
		}
		open := 0
		for _, d := range distinct(t.Dependencies) {
			open += b2i(j.Tasks[d].Status != farm.TaskCompleted)
		}
		rows[i] = taskRow{
			NewTask: t.NewTask, status: t.Status, activity: t.Activity, open: open, ready: t.Status.Waiting() && open == 0,
			worker: nullID(worker), stepsCompleted: t.StepsCompleted, stepsTotal: t.StepsTotal,
			logSize: t.LogSize, created: micros.Of(t.Created), updated: micros.Of(t.Updated), touched: micros.Of(t.Touched),
		}
		if worker != 0 {
			rows[i].generation, rows[i].assignment = 1, uuid.NewString()
		}
		totals.counts.Add(t.Status, 1)
		totals.steps += t.StepsTotal
		totals.stepsDone += t.StepsCompleted
		totals.ready[t.Type] += b2i(rows[i].ready)
	}
	if n := totals.counts.Active; n > 0 {
		return nil, totals, fmt.Errorf("%d tasks are active, and nothing imported can be", n)
	}
	return rows, totals, nil
}

// workerRow is the row of a worker, 0 for none; those found are kept in known.
func (tx *Tx) workerRow(known map[string]int64, id string) (int64, error) {
	if row, ok := known[id]; ok || id == "" {
		return row, nil
	}
	w, err := tx.q.AnyWorkerByUUID(tx.ctx, id)
	if err != nil {
		return 0, missing(err, farm.CodeInvalid, "there is no worker %s", id)
	}
	known[id] = w.ID
	return w.ID, nil
}

func (tx *Tx) importJobRow(j ImportedJob, t importTotals) (id, tag int64, err error) {
	project, err := tx.q.ProjectByUUID(tx.ctx, farm.DefaultProject)
	if err != nil {
		return 0, 0, wrap(err)
	}
	if j.TagID != "" {
		row, err := tx.q.TagByUUID(tx.ctx, j.TagID)
		if err != nil {
			return 0, 0, missing(err, farm.CodeInvalid, "there is no worker tag %s", j.TagID)
		}
		tag = row.ID
	}
	id, err = tx.q.InsertImportedJob(tx.ctx, query.InsertImportedJobParams{
		Uuid: j.ID, ProjectID: project.ID, Name: j.Name, Type: j.Type, Priority: int64(j.Priority), Status: string(j.Status),
		Activity: j.Activity, TagID: nullID(tag), NQueued: int64(t.counts.Queued), NCompleted: int64(t.counts.Completed),
		NSoftFailed: int64(t.counts.SoftFailed), NFailed: int64(t.counts.Failed), NCanceled: int64(t.counts.Canceled),
		NPaused: int64(t.counts.Paused), StepsCompleted: int64(t.stepsDone), StepsTotal: int64(t.steps),
		CreatedAt: micros.Of(j.Created), UpdatedAt: micros.Of(j.Updated), DeleteRequestedAt: micros.Of(j.DeleteRequested),
	})
	return id, tag, taken(err)
}

// importAttempts writes for each task that a worker had the attempt of which something is known: the last one. A report
// that comes from that worker later is then treated like any late one.
func (tx *Tx) importAttempts(j ImportedJob, rows []taskRow, ids []int64) error {
	attempts := newBulk(tx, "attempts", `task_id, generation, assignment, worker_id, session, slot, started_at, ended_at, outcome,
        reason`)
	for i, t := range rows {
		if t.generation == 0 {
			continue
		}
		began := t.touched
		if began.IsZero() || began.After(t.updated.Time) {
			began = t.updated
		}
		err := attempts.add(ids[i], t.generation, t.assignment, t.worker, "", 0, began, t.updated, string(j.Tasks[i].Outcome), imported)
		if err != nil {
			return err
		}
	}
	return attempts.flush()
}

// imported is the reason of attempts that ended in another farm.
const imported = "imported"

func (tx *Tx) importFailures(job int64, j ImportedJob, ids []int64) error {
	workers := map[string]int64{}
	failures := newBulk(tx, "task_failures", "task_id, worker_id, job_id, created_at")
	for i, t := range j.Tasks {
		for _, f := range t.FailedBy {
			worker, err := tx.workerRow(workers, f.WorkerID)
			if err != nil {
				return err
			}
			if err := failures.add(ids[i], worker, job, micros.Of(f.Created)); err != nil {
				return err
			}
		}
	}
	if err := failures.flush(); err != nil {
		return err
	}
	for _, b := range j.Blocklist {
		worker, err := tx.workerRow(workers, b.WorkerID)
		if err != nil {
			return err
		}
		err = tx.q.InsertBlock(tx.ctx, query.InsertBlockParams{
			JobID: job, WorkerID: worker, TaskType: b.TaskType, CreatedAt: micros.Of(b.Created),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// importHistory writes how tasks came to be what they are: a history begins with queued.
func (tx *Tx) importHistory(job int64, rows []taskRow, ids []int64, why Why) error {
	lines := newBulk(tx, "status_changes", "what, object_id, job_id, from_status, to_status, changed_at, who, reason")
	for i, t := range rows {
		if t.status == farm.TaskQueued {
			continue
		}
		err := lines.add("task", ids[i], job, string(farm.TaskQueued), string(t.status), t.updated, why.Who, why.Reason)
		if err != nil {
			return err
		}
	}
	return lines.flush()
}
