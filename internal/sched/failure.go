// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"fmt"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
	"flamenco.farm/internal/store"
)

// fail takes a failure of a worker: the task is soft-failed or failed, the worker may be blocked, the job may fail.
func (s *Service) fail(tx *store.Tx, j *store.Job, t *store.Task, w *store.Worker, reason string, exitCode *int) error {
	known, err := tx.AddFailure(j, t, w)
	if err != nil {
		return err
	}
	limits := s.limits.Load()
	verdict := flow.JudgeFailure(flow.Failure{
		Failures: known.OfTask, WorkerFailures: known.OfWorker, WorkersLeft: known.WorkersLeft,
		TypeWorkersLeft: known.TypeWorkersLeft, BlocklistThreshold: limits.BlocklistThreshold, SoftFailLimit: limits.SoftFailLimit,
	})
	if err := tx.EndAttempt(t, farm.OutcomeFailed, reason, exitCode); err != nil {
		return err
	}
	t.Status = verdict.TaskTo
	why := store.ByWorker(w.ID, joined(reason, verdict.Reason))
	if err := tx.SaveTask(j, t, why); err != nil {
		return err
	}
	if verdict.Block {
		if err := s.block(tx, j, t, w); err != nil {
			return err
		}
	}
	if t.Status != farm.TaskFailed {
		return nil
	}
	return failedForGood(tx, j, verdict.Block && known.TypeWorkersLeft == 0, why)
}

// block keeps the worker from a task type of the job. Tasks that failed with its help get another chance if somebody is
// left who may try them; tasks that only it could still have tried fail.
func (s *Service) block(tx *store.Tx, j *store.Job, failed *store.Task, w *store.Worker) error {
	if err := tx.Block(j, w, failed.Type); err != nil {
		return err
	}
	s.Log.Warn("worker blocked", "worker", w.Name, "job", j.ID, "task_type", failed.Type)
	others, err := tx.FailedWithHelpOf(j, w, failed.Type)
	if err != nil {
		return err
	}
	for _, t := range others {
		if t.ID == failed.ID {
			continue
		}
		left, err := tx.CanRun(j, t)
		if err != nil {
			return err
		}
		if left > 0 {
			err = requeue(tx, j, t, store.ByManager(fmt.Sprintf("worker %s, which failed it, is blocked now", w.Name)))
		}
		if err != nil {
			return err
		}
	}
	return failHopeless(tx, j)
}

// failHopeless fails the tasks that failed before and that nobody is left to try.
func failHopeless(tx *store.Tx, j *store.Job) error {
	for {
		tasks, err := tx.Hopeless(j, sliceTasks)
		if err != nil || len(tasks) == 0 {
			return err
		}
		why := store.ByManager("no worker is left that may try it")
		for _, t := range tasks {
			t.Status = farm.TaskFailed
			t.Activity = changedTo(string(t.Status), why.Reason)
			if err := tx.SaveTask(j, t, why); err != nil {
				return err
			}
		}
		if err := failedForGood(tx, j, false, why); err != nil {
			return err
		}
	}
}

// failedForGood lets the job fail if too much of it has.
func failedForGood(tx *store.Tx, j *store.Job, typeBlocked bool, why store.Why) error {
	step := flow.AfterFailure(flowJob(j), typeBlocked)
	if step.None() {
		return nil
	}
	return take(tx, j, step, why)
}

// requeue puts a task back to the start.
func requeue(tx *store.Tx, j *store.Job, t *store.Task, why store.Why) error {
	// Also when it was lost before: from now on its old result is not wanted any more.
	if err := tx.EndAttempt(t, farm.OutcomeCanceled, why.Reason, nil); err != nil {
		return err
	}
	t.Status = farm.TaskQueued
	t.StepsCompleted = 0
	t.Activity = changedTo(string(t.Status), why.Reason)
	return tx.SaveTask(j, t, why)
}

// lose takes a task from a worker that gave no result. That counts as no failure, unless the task was lost so often
// that it may be what brings the machines down.
func (s *Service) lose(tx *store.Tx, j *store.Job, t *store.Task, w *store.Worker, reason string) error {
	often := flow.LostIsFailure(t.Lost, s.limits.Load().SoftFailLimit)
	t.Lost++
	t.StepsCompleted = 0
	t.Activity = "Lost: " + reason
	if often {
		return s.fail(tx, j, t, w, fmt.Sprintf("%s (lost %d times)", reason, t.Lost), nil)
	}
	if err := tx.EndAttempt(t, farm.OutcomeLost, reason, nil); err != nil {
		return err
	}
	t.Status = flow.Returned(j.Status)
	return tx.SaveTask(j, t, store.ByManager(reason))
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
