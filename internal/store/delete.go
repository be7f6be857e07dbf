// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// sliceForgetDependencies takes the dependencies on tasks that are about to be deleted off those that have them. It is
// outside sqlc because sqlc's SQLite grammar knows no UPDATE … FROM; both databases do. Nothing becomes ready by it: it
// is for jobs that are to be deleted, whose waiting tasks are canceled before.
const sliceForgetDependencies = `
UPDATE tasks SET open_deps = tasks.open_deps - s.n
FROM (SELECT d.task_id, count(*) AS n FROM task_dependencies d JOIN tasks dep ON dep.id = d.dependency_id
    WHERE dep.job_id = $1 AND dep.index_in_job <= $2 AND dep.status <> 'completed' GROUP BY d.task_id) AS s
WHERE tasks.id = s.task_id`

// Selection says which jobs are meant.
type Selection struct {
	UpdatedMax time.Time // not updated after this moment; zero = whenever
	Ended      bool      // only those that are completed, failed or canceled
}

// MarkedJob is a job that is to be deleted.
type MarkedJob struct {
	ID               string
	Name             string
	ShamanCheckoutID string // "" = it has none
	Row              int64  // where the next page of them begins
}

// MarkForDeletion marks the next n jobs of a selection behind the row after: from then on nothing of them is handed out.
// It returns how many fit the selection, those marked before included, and the row to go on behind, 0 after the last.
func (tx *Tx) MarkForDeletion(s Selection, after int64, n int) (matched int, next int64, err error) {
	var updatedMax int64
	if !s.UpdatedMax.IsZero() {
		updatedMax = s.UpdatedMax.UnixMicro()
	}
	jobs, err := tx.q.JobsToMark(tx.ctx, query.JobsToMarkParams{After: after, UpdatedMax: updatedMax, Ended: s.Ended, N: int64(n)})
	if err != nil || len(jobs) == 0 {
		return 0, 0, err
	}
	upto := jobs[len(jobs)-1].ID
	err = tx.q.MarkJobs(tx.ctx, query.MarkJobsParams{
		DeleteRequestedAt: tx.stamp(), After: after, Upto: upto, UpdatedMax: updatedMax, Ended: s.Ended,
	})
	if err != nil {
		return 0, 0, err
	}
	for _, j := range jobs {
		if j.DeleteRequestedAt.IsZero() {
			tx.Changed(farm.Change{Kind: farm.ChangeJob, JobID: j.Uuid})
		}
	}
	if len(jobs) == n {
		next = upto
	}
	return len(jobs), next, tx.q.MarkReady(tx.ctx, query.MarkReadyParams{After: after, Upto: upto})
}

// MarkJobForDeletion marks one job. Marking it again changes nothing.
func (tx *Tx) MarkJobForDeletion(j *Job) error {
	if j.DeleteRequested {
		return nil
	}
	j.DeleteRequested, j.deleteRequestedAt = true, tx.now
	tx.jobChanged(j)
	if err := tx.q.MarkJobs(tx.ctx, query.MarkJobsParams{DeleteRequestedAt: tx.stamp(), After: j.id - 1, Upto: j.id}); err != nil {
		return err
	}
	return tx.q.MarkReady(tx.ctx, query.MarkReadyParams{After: j.id - 1, Upto: j.id})
}

// DeleteSomeTasks deletes up to n tasks of a job that is marked, with all that belongs to them. It returns how many
// there were, 0 when none is left. The tasks that wait must have been canceled before.
func (tx *Tx) DeleteSomeTasks(j *Job, n int) (int, error) {
	if !j.DeleteRequested {
		return 0, fmt.Errorf("job %s is not to be deleted", j.ID)
	}
	upto, err := tx.q.DoomedEnd(tx.ctx, query.DoomedEndParams{JobID: j.id, N: int64(n)})
	if err != nil || upto == 0 {
		return 0, err
	}
	if err := tx.discount(j, upto); err != nil {
		return 0, err
	}
	if _, err := tx.db.ExecContext(tx.ctx, sliceForgetDependencies, j.id, upto); err != nil {
		return 0, err
	}
	if err := tx.q.DeleteTaskHistory(tx.ctx, query.DeleteTaskHistoryParams{JobID: j.id, Upto: upto}); err != nil {
		return 0, err
	}
	deleted, err := tx.q.DeleteTasks(tx.ctx, query.DeleteTasksParams{JobID: j.id, Upto: upto})
	return int(deleted), err
}

// discount takes the tasks up to an index out of what their job counts.
func (tx *Tx) discount(j *Job, upto int64) error {
	rows, err := tx.q.DoomedCounts(tx.ctx, query.DoomedCountsParams{JobID: j.id, Upto: upto})
	if err != nil {
		return err
	}
	var counts farm.TaskCounts
	var steps, total int64
	for _, r := range rows {
		counts.Add(farm.TaskStatus(r.Status), -int(r.N))
		steps, total = steps-r.Steps, total+r.StepsTotal
		if r.Ready {
			return fmt.Errorf("job %s still has tasks that could be handed out", j.ID)
		}
	}
	if err := tx.q.ShrinkJob(tx.ctx, query.ShrinkJobParams{ID: j.id, Steps: total}); err != nil {
		return err
	}
	j.StepsTotal -= int(total)
	return tx.addCounts(j, counts, steps)
}

// DeleteJob deletes a job that is marked and whose tasks are deleted.
func (tx *Tx) DeleteJob(j *Job) error {
	if n := j.Counts.Total(); !j.DeleteRequested || n > 0 {
		return fmt.Errorf("job %s has %d tasks, or is not to be deleted", j.ID, n)
	}
	row, err := tx.q.JobByUUID(tx.ctx, j.ID)
	if err != nil {
		return wrap(err)
	}
	last := farmJob(row.Job, row.ProjectUuid, row.TagUuid)
	if err := tx.q.DeleteJobHistory(tx.ctx, j.id); err != nil {
		return err
	}
	tx.Changed(farm.Change{Kind: farm.ChangeJobDeleted, JobID: j.ID, Job: &last})
	return tx.q.DeleteJobRow(tx.ctx, j.id)
}

// MarkedJobs is the next n jobs that are to be deleted, behind a row.
func (s *Store) MarkedJobs(ctx context.Context, after int64, n int) ([]MarkedJob, error) {
	rows, err := s.reads.MarkedJobs(ctx, query.MarkedJobsParams{After: after, N: int64(n)})
	jobs := make([]MarkedJob, len(rows))
	for i, r := range rows {
		jobs[i] = MarkedJob{ID: r.Uuid, Name: r.Name, ShamanCheckoutID: r.ShamanCheckoutID, Row: r.ID}
	}
	return jobs, wrap(err)
}

// CountMarkedJobs is how many jobs are to be deleted.
func (s *Store) CountMarkedJobs(ctx context.Context) (int, error) {
	n, err := s.reads.CountMarkedJobs(ctx)
	return int(n), wrap(err)
}

// CheckoutInUse reports whether a job that is not to be deleted was made from a Shaman checkout.
func (s *Store) CheckoutInUse(ctx context.Context, checkoutID string) (bool, error) {
	n, err := s.reads.CheckoutUsers(ctx, checkoutID)
	return n > 0, wrap(err)
}

// HasEndedJobs reports whether a job has ended that was not updated since.
func (s *Store) HasEndedJobs(ctx context.Context, since time.Time) (bool, error) {
	rows, err := s.reads.JobsToMark(ctx, query.JobsToMarkParams{UpdatedMax: since.UnixMicro(), Ended: true, N: 1})
	return len(rows) > 0, wrap(err)
}
