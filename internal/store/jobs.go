// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// Job is a job inside a transaction: change Status, Activity, Priority or RequeueCompleted, then save it.
type Job struct {
	ID                string
	Name              string
	Type              string
	Status            farm.JobStatus
	Activity          string
	Priority          int
	TagID             string
	Counts            farm.TaskCounts
	Ready             int // tasks that could be handed out now, were the job to run
	StepsCompleted    int
	StepsTotal        int
	RequeueCompleted  bool
	DeleteRequested   bool
	Revision          int64
	id, tag           int64
	first, was        farm.JobStatus
	wasPriority       int
	wasTag            int64
	updated           time.Time
	deleteRequestedAt time.Time
	noted             noted
}

// runnable reports whether tasks of the job are handed out.
func (j *Job) runnable() bool { return j.Status.Runnable() && !j.DeleteRequested }

// Job locks a job.
func (tx *Tx) Job(id string) (*Job, error) {
	if err := tx.lockJob(id); err != nil {
		return nil, err
	}
	if b := tx.batch(); b != nil {
		return b.job(tx.pg, id), nil
	}
	row, ok := use(&tx.seen().job, func(r *query.LockJobRow) bool { return r.Job.Uuid == id })
	if !ok {
		var err error
		if row, err = tx.q.LockJob(tx.ctx, id); err != nil {
			return nil, wrap(err)
		}
	}
	return txJob(row), nil
}

func txJob(row query.LockJobRow) *Job {
	j := row.Job
	return &Job{
		ID: j.Uuid, Name: j.Name, Type: j.Type, Status: farm.JobStatus(j.Status), Activity: j.Activity, Priority: int(j.Priority),
		TagID: row.TagUuid, Counts: taskCounts(j), Ready: int(row.Ready), RequeueCompleted: j.RequeueCompleted,
		StepsCompleted: int(j.StepsCompleted), StepsTotal: int(j.StepsTotal),
		DeleteRequested: !j.DeleteRequestedAt.IsZero(), Revision: j.Revision, updated: j.UpdatedAt.Time, deleteRequestedAt: j.DeleteRequestedAt.Time,
		id: j.ID, tag: j.TagID.Int64, first: farm.JobStatus(j.Status), was: farm.JobStatus(j.Status), wasPriority: int(j.Priority), wasTag: j.TagID.Int64,
	}
}

// again is what reading the job again would give after it was saved.
func (j *Job) again() *Job {
	again := *j
	again.first, again.was, again.wasPriority, again.wasTag, again.noted = j.Status, j.Status, j.Priority, j.tag, 0
	return &again
}

// SetTag gives the job a tag, or none for "". Save the job afterwards.
func (tx *Tx) SetTag(j *Job, tagID string) error {
	if tagID == "" {
		j.TagID, j.tag = "", 0
		return nil
	}
	row, err := tx.q.TagByUUID(tx.ctx, tagID)
	if err != nil {
		return wrap(err)
	}
	j.TagID, j.tag = row.Uuid, row.ID
	return nil
}

// SaveJob stores the job and, if its status changed, a line of history. Tasks are not touched: whether they may be
// handed out, and in which order, is kept in one row per task type.
func (tx *Tx) SaveJob(j *Job, why Why) error {
	err := tx.q.UpdateJob(tx.ctx, query.UpdateJobParams{
		ID: j.id, Status: string(j.Status), Activity: j.Activity, RequeueCompleted: j.RequeueCompleted,
		Priority: int64(j.Priority), TagID: nullID(j.tag), UpdatedAt: tx.stamp(),
	})
	if err != nil {
		return err
	}
	j.updated = tx.now
	tx.jobChanged(j)
	was := j.was
	if was.Runnable() != j.Status.Runnable() || j.wasPriority != j.Priority || j.wasTag != j.tag {
		err := tx.q.SetJobReadyFromJob(tx.ctx, query.SetJobReadyFromJobParams{
			JobID: j.id, Runnable: j.runnable(), Priority: int64(j.Priority), TagID: nullID(j.tag),
		})
		if err != nil {
			return err
		}
		if j.runnable() && j.Ready > 0 {
			tx.workAdded(j, "")
		}
	}
	j.was, j.wasPriority, j.wasTag = j.Status, j.Priority, j.tag
	if was == j.Status {
		return nil
	}
	return tx.changedStatus("job", j.id, j.id, string(was), string(j.Status), why)
}

// workAdded wakes those who wait for a task of this job; taskType "" stands for any type.
func (tx *Tx) workAdded(j *Job, taskType string) {
	c := farm.Change{Kind: farm.ChangeWork, JobID: j.ID, TagID: j.TagID}
	if taskType != "" {
		c.TaskTypes = []string{taskType}
	}
	tx.Changed(c)
}

// addReady counts tasks of a type that became ready (n > 0) or are not any more (n < 0).
func (tx *Tx) addReady(j *Job, taskType string, n int) error {
	if n == 0 {
		return nil
	}
	j.Ready += n
	if n > 0 && j.runnable() {
		tx.workAdded(j, taskType)
	}
	add := query.AddReadyParams{JobID: j.id, TaskType: taskType, N: int64(n)}
	if tx.batch() != nil {
		tx.pg.later.ready = append(tx.pg.later.ready, add)
		return nil
	}
	return tx.q.AddReady(tx.ctx, add)
}

// addCounts brings the job's counters in line with moved tasks.
func (tx *Tx) addCounts(j *Job, delta farm.TaskCounts, steps int64) error {
	for _, s := range farm.TaskStatuses {
		j.Counts.Add(s, delta.Of(s))
	}
	j.StepsCompleted += int(steps)
	j.updated = tx.now
	tx.jobChanged(j)
	add := query.AddJobCountsParams{
		ID: j.id, Queued: int64(delta.Queued), Active: int64(delta.Active), Completed: int64(delta.Completed),
		SoftFailed: int64(delta.SoftFailed), Failed: int64(delta.Failed), Canceled: int64(delta.Canceled),
		Paused: int64(delta.Paused), Steps: steps, UpdatedAt: tx.stamp(),
	}
	if tx.batch() != nil {
		tx.pg.later.counts = append(tx.pg.later.counts, add)
		return nil
	}
	return tx.q.AddJobCounts(tx.ctx, add)
}

// Job is what a list shows of a job.
func (s *Store) Job(ctx context.Context, id string) (farm.Job, error) {
	row, err := s.reads.JobByUUID(ctx, id)
	if err != nil {
		return farm.Job{}, wrap(err)
	}
	return farmJob(row.Job, row.ProjectUuid, row.TagUuid), nil
}

// JobSpec is what a job was submitted with.
func (s *Store) JobSpec(ctx context.Context, id string) (farm.JobSpec, error) {
	row, err := s.reads.JobSpec(ctx, id)
	if err != nil {
		return farm.JobSpec{}, wrap(err)
	}
	return farmJobSpec(row)
}

// UnsettledJobs lists jobs that are on their way to a status, as after a crash in the middle of a mass change.
func (s *Store) UnsettledJobs(ctx context.Context) ([]string, error) {
	ids, err := s.reads.UnsettledJobs(ctx)
	return ids, wrap(err)
}

// JobsWithFailures lists running jobs that have waiting tasks which failed before.
func (s *Store) JobsWithFailures(ctx context.Context) ([]string, error) {
	ids, err := s.reads.JobsWithFailures(ctx)
	return ids, wrap(err)
}

// JobCounts is how many jobs have each status.
func (s *Store) JobCounts(ctx context.Context) (map[farm.JobStatus]int, error) {
	rows, err := s.reads.CountJobsByStatus(ctx)
	counts := make(map[farm.JobStatus]int, len(rows))
	for _, r := range rows {
		counts[farm.JobStatus(r.Status)] = int(r.N)
	}
	return counts, wrap(err)
}

func farmJob(row query.Job, projectID, tagID string) farm.Job {
	return farm.Job{
		ID: row.Uuid, ProjectID: projectID, Name: row.Name, Type: row.Type, Priority: int(row.Priority),
		Status: farm.JobStatus(row.Status), Activity: row.Activity, Created: row.CreatedAt.Time,
		Updated: row.UpdatedAt.Time, TagID: tagID, Tasks: taskCounts(row), StepsCompleted: int(row.StepsCompleted),
		StepsTotal: int(row.StepsTotal), DeleteRequestedAt: row.DeleteRequestedAt.Time, Revision: row.Revision,
	}
}

func farmJobSpec(row query.JobSpec) (farm.JobSpec, error) {
	spec := farm.JobSpec{ShamanCheckoutID: row.ShamanCheckoutID, SubmitterPlatform: row.SubmitterPlatform}
	if err := json.Unmarshal([]byte(row.Settings), &spec.Settings); err != nil {
		return spec, fmt.Errorf("settings of a job in the database: %w", err)
	}
	if err := json.Unmarshal([]byte(row.Metadata), &spec.Metadata); err != nil {
		return spec, fmt.Errorf("metadata of a job in the database: %w", err)
	}
	return spec, nil
}

func taskCounts(row query.Job) farm.TaskCounts {
	return farm.TaskCounts{
		Queued: int(row.NQueued), Active: int(row.NActive), Completed: int(row.NCompleted),
		SoftFailed: int(row.NSoftFailed), Failed: int(row.NFailed), Canceled: int(row.NCanceled), Paused: int(row.NPaused),
	}
}
