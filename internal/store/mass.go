// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"fmt"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// sliceReopenDependants is outside sqlc because sqlc's SQLite grammar knows no UPDATE … FROM; both databases do.
const sliceReopenDependants = `
UPDATE tasks SET open_deps = tasks.open_deps + s.n, ready = FALSE
FROM (SELECT d.task_id, count(*) AS n FROM task_dependencies d JOIN tasks dep ON dep.id = d.dependency_id
    WHERE dep.job_id = $1 AND dep.index_in_job > $2 AND dep.index_in_job <= $3 AND dep.status = 'completed'
    GROUP BY d.task_id) AS s
WHERE tasks.id = s.task_id`

// Mass is a change of many tasks of one job: those whose status is one of From become To.
type Mass struct {
	From     []farm.TaskStatus // at most five
	To       farm.TaskStatus
	Activity string
}

// ChangeSlice changes the next n tasks of a mass change behind the index after, and returns the index to go on from,
// or done when there is none left.
func (tx *Tx) ChangeSlice(j *Job, m Mass, after, n int, why Why) (next int, done bool, err error) {
	if len(m.From) == 0 || len(m.From) > 5 {
		return 0, false, fmt.Errorf("a mass change takes one to five statuses, not %d", len(m.From))
	}
	var from [5]string
	for i := range from {
		from[i] = string(m.From[min(i, len(m.From)-1)])
	}
	upto, err := tx.q.SliceEnd(tx.ctx, query.SliceEndParams{
		JobID: j.id, After: int64(after), N: int64(n), S1: from[0], S2: from[1], S3: from[2], S4: from[3], S5: from[4],
	})
	if err != nil || upto == 0 {
		return 0, true, err
	}
	s := slice{tx: tx, job: j, mass: m, from: from, after: int64(after), upto: upto, why: why}
	return int(upto), false, s.change()
}

// slice is the tasks of a job with an index above after and up to upto.
type slice struct {
	tx          *Tx
	job         *Job
	mass        Mass
	from        [5]string
	after, upto int64
	why         Why
}

func (s slice) change() error {
	for _, step := range []func() error{s.endAttempts, s.reopenDependants, s.writeHistory, s.update} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// endAttempts closes what is running in the slice, if the change takes it from its workers.
func (s slice) endAttempts() error {
	if !s.changes(farm.TaskActive) {
		return nil
	}
	running, err := s.tx.q.SliceActive(s.tx.ctx, query.SliceActiveParams{JobID: s.job.id, After: s.after, Upto: s.upto})
	if err != nil || len(running) == 0 {
		return err
	}
	for _, r := range running {
		s.tx.Changed(farm.Change{Kind: farm.ChangeTask, JobID: s.job.ID, TaskID: r.TaskUuid, WorkerID: r.WorkerUuid, Mass: true})
	}
	err = s.tx.q.SliceCloseSteps(s.tx.ctx, query.SliceCloseStepsParams{
		JobID: s.job.id, After: s.after, Upto: s.upto, EndedAt: s.tx.stamp(),
	})
	if err != nil {
		return err
	}
	closed, err := s.tx.q.SliceCloseAttempts(s.tx.ctx, query.SliceCloseAttemptsParams{
		JobID: s.job.id, After: s.after, Upto: s.upto, EndedAt: s.tx.stamp(),
		Outcome: string(farm.OutcomeCanceled), Reason: s.why.Reason,
	})
	s.tx.done.count(farm.OutcomeCanceled, closed)
	return err
}

func (s slice) reopenDependants() error {
	if !s.changes(farm.TaskCompleted) {
		return nil
	}
	lost, err := s.tx.q.SliceReadyDependants(s.tx.ctx, query.SliceReadyDependantsParams{
		JobID: s.job.id, After: s.after, Upto: s.upto,
	})
	if err != nil {
		return err
	}
	for _, r := range lost {
		if err := s.tx.addReady(s.job, r.Type, -int(r.N)); err != nil {
			return err
		}
	}
	_, err = s.tx.db.ExecContext(s.tx.ctx, sliceReopenDependants, s.job.id, s.after, s.upto)
	return err
}

func (s slice) writeHistory() error {
	return s.tx.q.SliceHistory(s.tx.ctx, query.SliceHistoryParams{
		ToStatus: string(s.mass.To), ChangedAt: s.tx.stamp(), Who: s.why.Who, Reason: s.why.Reason,
		JobID: s.job.id, After: s.after, Upto: s.upto,
		S1: s.from[0], S2: s.from[1], S3: s.from[2], S4: s.from[3], S5: s.from[4],
	})
}

// update changes the tasks and counts them before and after, so that the job's counters follow.
func (s slice) update() error {
	before, err := s.count()
	if err != nil {
		return err
	}
	err = s.tx.q.SliceUpdate(s.tx.ctx, query.SliceUpdateParams{
		ToStatus: string(s.mass.To), Activity: s.mass.Activity, UpdatedAt: s.tx.stamp(),
		ToWaits: s.mass.To.Waiting(), ResetSteps: s.mass.To == farm.TaskQueued,
		JobID: s.job.id, After: s.after, Upto: s.upto,
		S1: s.from[0], S2: s.from[1], S3: s.from[2], S4: s.from[3], S5: s.from[4],
	})
	if err != nil {
		return err
	}
	after, err := s.count()
	if err != nil {
		return err
	}
	var counts farm.TaskCounts
	for _, status := range farm.TaskStatuses {
		counts.Add(status, after.counts.Of(status)-before.counts.Of(status))
	}
	if err := s.tx.addCounts(s.job, counts, after.steps-before.steps); err != nil {
		return err
	}
	s.tx.manyTasksChanged(s.job)
	for taskType := range before.ready {
		if err := s.tx.addReady(s.job, taskType, after.ready[taskType]-before.ready[taskType]); err != nil {
			return err
		}
	}
	return nil
}

type sliceCount struct {
	counts farm.TaskCounts
	ready  map[string]int // by task type; every type of the slice is there
	steps  int64
}

func (s slice) count() (sliceCount, error) {
	c := sliceCount{ready: map[string]int{}}
	rows, err := s.tx.q.SliceCounts(s.tx.ctx, query.SliceCountsParams{JobID: s.job.id, After: s.after, Upto: s.upto})
	for _, r := range rows {
		c.counts.Add(farm.TaskStatus(r.Status), int(r.N))
		c.steps += r.Steps
		if r.Ready {
			c.ready[r.Type] += int(r.N)
		} else {
			c.ready[r.Type] += 0
		}
	}
	return c, err
}

func (s slice) changes(status farm.TaskStatus) bool {
	for _, f := range s.from {
		if f == string(status) {
			return true
		}
	}
	return false
}
