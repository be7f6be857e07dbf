// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// EndAttempt closes the last attempt of a task and the commands of it that are still open. A result that is accepted after
// its lease ran out replaces the outcome lost.
func (tx *Tx) EndAttempt(t *Task, outcome farm.Outcome, reason string, exitCode *int) error {
	end := query.CloseAttemptParams{
		TaskID: t.id, Generation: t.Generation, EndedAt: tx.stamp(), Outcome: string(outcome), Reason: reason,
		ExitCode: nullInt(exitCode),
	}
	if err := tx.q.CloseAttempt(tx.ctx, end); err != nil {
		return err
	}
	if t.stored.status == farm.TaskActive || outcome == farm.OutcomeCompleted || outcome == farm.OutcomeFailed {
		tx.done.count(outcome, 1)
	}
	if t.stored.status != farm.TaskActive && outcome != farm.OutcomeLost {
		if err := tx.q.ReopenedAttempt(tx.ctx, query.ReopenedAttemptParams(end)); err != nil {
			return err
		}
	}
	return tx.q.CloseAttemptSteps(tx.ctx, query.CloseAttemptStepsParams{
		TaskID: t.id, Generation: t.Generation, EndedAt: tx.stamp(),
	})
}

// StartStep notes that a command of the last attempt of a task started.
func (tx *Tx) StartStep(t *Task, index int, command string) error {
	return tx.q.StartAttemptStep(tx.ctx, query.StartAttemptStepParams{
		Assignment: t.Assignment, CommandIndex: int64(index), Command: command, StartedAt: tx.stamp(),
	})
}

// EndStep notes that a command of the last attempt of a task ended.
func (tx *Tx) EndStep(t *Task, index int, exitCode *int) error {
	return tx.q.EndAttemptStep(tx.ctx, query.EndAttemptStepParams{
		Assignment: t.Assignment, CommandIndex: int64(index), EndedAt: tx.stamp(), ExitCode: nullInt(exitCode),
	})
}

// Attempts lists every hand-out of a task, oldest first, with the commands that ran.
func (s *Store) Attempts(ctx context.Context, taskID string) ([]farm.Attempt, error) {
	rows, err := s.reads.Attempts(ctx, taskID)
	if err != nil {
		return nil, wrap(err)
	}
	steps, err := s.reads.AttemptSteps(ctx, taskID)
	if err != nil {
		return nil, wrap(err)
	}
	attempts := make([]farm.Attempt, len(rows))
	at := make(map[int64]int, len(rows))
	for i, r := range rows {
		a := r.Attempt
		at[a.ID] = i
		attempts[i] = farm.Attempt{
			TaskID: r.TaskUuid, Generation: a.Generation, AssignmentID: a.Assignment, WorkerID: r.WorkerUuid,
			WorkerName: r.WorkerName, Session: a.Session, Slot: int(a.Slot), Started: a.StartedAt.Time,
			Ended: a.EndedAt.Time, Outcome: farm.Outcome(a.Outcome), Reason: a.Reason, ExitCode: intPtr(a.ExitCode),
		}
	}
	for _, s := range steps {
		i, known := at[s.AttemptID]
		if !known {
			continue // begun between the two reads
		}
		a := &attempts[i]
		a.Steps = append(a.Steps, farm.AttemptStep{
			Index: int(s.CommandIndex), Command: s.Command, Started: s.StartedAt.Time, Ended: s.EndedAt.Time,
			ExitCode: intPtr(s.ExitCode),
		})
	}
	return attempts, nil
}

// JobHistory lists the status changes of a job, oldest first.
func (s *Store) JobHistory(ctx context.Context, jobID string) ([]farm.StatusChange, error) {
	rows, err := s.reads.JobStatusChanges(ctx, jobID)
	changes := make([]farm.StatusChange, len(rows))
	for i, r := range rows {
		changes[i] = statusChange("job", jobID, r.FromStatus, r.ToStatus, r.ChangedAt, r.Who, r.Reason)
	}
	return changes, wrap(err)
}

// TaskHistory lists the status changes of a task, oldest first.
func (s *Store) TaskHistory(ctx context.Context, taskID string) ([]farm.StatusChange, error) {
	rows, err := s.reads.TaskStatusChanges(ctx, taskID)
	changes := make([]farm.StatusChange, len(rows))
	for i, r := range rows {
		changes[i] = statusChange("task", taskID, r.FromStatus, r.ToStatus, r.ChangedAt, r.Who, r.Reason)
	}
	return changes, wrap(err)
}

// WorkerHistory lists the status changes of a worker, oldest first.
func (s *Store) WorkerHistory(ctx context.Context, workerID string) ([]farm.StatusChange, error) {
	rows, err := s.reads.WorkerStatusChanges(ctx, workerID)
	changes := make([]farm.StatusChange, len(rows))
	for i, r := range rows {
		changes[i] = statusChange("worker", workerID, r.FromStatus, r.ToStatus, r.ChangedAt, r.Who, r.Reason)
	}
	return changes, wrap(err)
}

// WorkerStatusReason is why a worker has its present status, ErrNotExist if it never had another.
func (s *Store) WorkerStatusReason(ctx context.Context, workerID string) (string, error) {
	reason, err := s.reads.WorkerStatusReason(ctx, workerID)
	return reason, wrap(err)
}

func statusChange(what, id, from, to string, when micros.Time, who, reason string) farm.StatusChange {
	return farm.StatusChange{What: what, ID: id, From: from, To: to, When: when.Time, Who: who, Reason: reason}
}

// Lost reports whether the last attempt of a task ended without a result, so that a late one may still count.
func (tx *Tx) Lost(t *Task) (bool, error) {
	outcome, err := tx.q.AttemptOutcome(tx.ctx, query.AttemptOutcomeParams{TaskID: t.id, Generation: t.Generation})
	return farm.Outcome(outcome) == farm.OutcomeLost, wrap(err)
}

// ReopenAttempt takes back that the last attempt of a task was lost.
func (tx *Tx) ReopenAttempt(t *Task) error {
	return tx.q.ReopenAttempt(tx.ctx, query.ReopenAttemptParams{TaskID: t.id, Generation: t.Generation})
}
