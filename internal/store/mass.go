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
	s := slice{tx: tx, job: j, mass: m, from: from, after: int64(after), n: int64(n), why: why}
	if err := s.look(); err != nil || s.upto == 0 {
		return 0, true, err
	}
	return int(s.upto), false, s.change()
}

// slice is the tasks of a job with an index above after and up to upto, of which up to n change.
type slice struct {
	tx          *Tx
	job         *Job
	mass        Mass
	from        [5]string
	after, upto int64
	n           int64
	tasks       []query.SliceToChangeRow // those that change, counted
	why         Why
}

// look finds the next n tasks to change: the end of the slice, and what is in it.
func (s *slice) look() (err error) {
	s.tasks, err = s.tx.q.SliceToChange(s.tx.ctx, query.SliceToChangeParams{
		JobID: s.job.id, After: s.after, N: s.n, S1: s.from[0], S2: s.from[1], S3: s.from[2], S4: s.from[3], S5: s.from[4],
	})
	for _, t := range s.tasks {
		s.upto = max(s.upto, t.Upto)
	}
	return err
}

func (s *slice) change() error {
	for _, step := range []func() error{s.endAttempts, s.reopenDependants, s.writeHistory, s.update, s.count} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// endAttempts closes what is running in the slice.
func (s *slice) endAttempts() error {
	if s.having(farm.TaskActive) == 0 {
		return nil
	}
	running, err := s.tx.q.SliceActive(s.tx.ctx, query.SliceActiveParams{JobID: s.job.id, After: s.after, Upto: s.upto})
	if err != nil {
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

// reopenDependants makes what depends on completed tasks of the slice wait for them again. Some of it may be in the slice,
// which is looked at anew then.
func (s *slice) reopenDependants() error {
	if s.having(farm.TaskCompleted) == 0 {
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
	if _, err = s.tx.db.ExecContext(s.tx.ctx, sliceReopenDependants, s.job.id, s.after, s.upto); err != nil {
		return err
	}
	return s.look()
}

func (s *slice) writeHistory() error {
	return s.tx.q.SliceHistory(s.tx.ctx, query.SliceHistoryParams{
		ToStatus: string(s.mass.To), ChangedAt: s.tx.stamp(), Who: s.why.Who, Reason: s.why.Reason,
		JobID: s.job.id, After: s.after, Upto: s.upto,
		S1: s.from[0], S2: s.from[1], S3: s.from[2], S4: s.from[3], S5: s.from[4],
	})
}

func (s *slice) update() error {
	return s.tx.q.SliceUpdate(s.tx.ctx, query.SliceUpdateParams{
		ToStatus: string(s.mass.To), Activity: s.mass.Activity, UpdatedAt: s.tx.stamp(),
		ToWaits: s.mass.To.Waiting(), ResetSteps: s.mass.To == farm.TaskQueued,
		JobID: s.job.id, After: s.after, Upto: s.upto,
		S1: s.from[0], S2: s.from[1], S3: s.from[2], S4: s.from[3], S5: s.from[4],
	})
}

// count makes the job's counters follow.
func (s *slice) count() error {
	var counts farm.TaskCounts
	var steps int64
	ready := map[string]int{}
	for _, t := range s.tasks {
		counts.Add(farm.TaskStatus(t.Status), -int(t.N))
		counts.Add(s.mass.To, int(t.N))
		if s.mass.To == farm.TaskQueued {
			steps -= t.Steps
		}
		ready[t.Type] += (b2i(t.Free && s.mass.To.Waiting()) - b2i(t.Ready)) * int(t.N)
	}
	if err := s.tx.addCounts(s.job, counts, steps); err != nil {
		return err
	}
	s.tx.manyTasksChanged(s.job)
	for taskType, n := range ready {
		if err := s.tx.addReady(s.job, taskType, n); err != nil {
			return err
		}
	}
	return nil
}

// having is how many tasks change from a status.
func (s *slice) having(status farm.TaskStatus) (n int64) {
	for _, t := range s.tasks {
		if t.Status == string(status) {
			n += t.N
		}
	}
	return n
}
