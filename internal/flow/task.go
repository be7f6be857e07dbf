// SPDX-License-Identifier: GPL-3.0-or-later

package flow

import (
	"fmt"
	"slices"

	"flamenco.farm/internal/farm"
)

// TaskRule is one line of the table of task transitions: any of From may become any of To when Cause asks.
// A status that stays as it is needs no rule.
type TaskRule struct {
	Cause Cause
	From  []farm.TaskStatus
	To    []farm.TaskStatus
	Note  string
}

var taskTable = []TaskRule{
	{
		Cause: ByPerson,
		From:  []farm.TaskStatus{farm.TaskQueued, farm.TaskActive, farm.TaskSoftFailed, farm.TaskPaused},
		To:    []farm.TaskStatus{farm.TaskCanceled},
		Note:  "Its worker, if any, stops it at its next question.",
	},
	{
		Cause: ByPerson,
		From: []farm.TaskStatus{
			farm.TaskActive, farm.TaskCompleted, farm.TaskSoftFailed, farm.TaskFailed, farm.TaskCanceled, farm.TaskPaused,
		},
		To:   []farm.TaskStatus{farm.TaskQueued},
		Note: "Requeue: its list of failures is cleared, what depends on it is requeued too, and the job runs again.",
	},
	{
		Cause: ByPerson,
		From:  []farm.TaskStatus{farm.TaskQueued, farm.TaskActive, farm.TaskSoftFailed},
		To:    []farm.TaskStatus{farm.TaskFailed},
		Note:  "Failed for good: nobody tries it again.",
	},
	{
		Cause: ByWorker,
		From:  []farm.TaskStatus{farm.TaskActive},
		To:    []farm.TaskStatus{farm.TaskCompleted, farm.TaskSoftFailed, farm.TaskFailed},
		Note:  "The worker says failed; whether that is soft-failed or failed is decided by the failure rules.",
	},
	{
		Cause: ByWorker,
		From:  []farm.TaskStatus{farm.TaskQueued, farm.TaskSoftFailed},
		To:    []farm.TaskStatus{farm.TaskActive, farm.TaskCompleted, farm.TaskSoftFailed, farm.TaskFailed},
		Note:  "Only when the worker's lease is over, it was the last to have the task and nobody else got it since.",
	},
	{
		Cause: ByManager,
		From:  []farm.TaskStatus{farm.TaskQueued, farm.TaskSoftFailed},
		To:    []farm.TaskStatus{farm.TaskActive},
		Note:  "Handed out to a worker.",
	},
	{
		Cause: ByManager,
		From:  []farm.TaskStatus{farm.TaskActive},
		To:    []farm.TaskStatus{farm.TaskQueued, farm.TaskPaused, farm.TaskCanceled},
		Note:  "Given back or lost: expiry, sign-off, sleep, deletion, a new session.",
	},
	{
		Cause: ByManager,
		From:  []farm.TaskStatus{farm.TaskActive},
		To:    []farm.TaskStatus{farm.TaskCompleted, farm.TaskSoftFailed, farm.TaskFailed},
		Note:  "The result of its worker, or lost so often that it counts as a failure.",
	},
	{
		Cause: ByManager,
		From:  []farm.TaskStatus{farm.TaskQueued, farm.TaskSoftFailed},
		To:    []farm.TaskStatus{farm.TaskFailed},
		Note:  "No worker is left that may try it.",
	},
	{
		Cause: ByManager,
		From:  []farm.TaskStatus{farm.TaskQueued, farm.TaskSoftFailed},
		To:    []farm.TaskStatus{farm.TaskCanceled, farm.TaskPaused},
		Note:  "The job is being canceled, has failed, or is being paused.",
	},
	{
		Cause: ByManager,
		From: []farm.TaskStatus{
			farm.TaskCompleted, farm.TaskSoftFailed, farm.TaskFailed, farm.TaskCanceled, farm.TaskPaused,
		},
		To:   []farm.TaskStatus{farm.TaskQueued},
		Note: "The job, or a task that this one depends on, is requeued.",
	},
}

// TaskTable is every change of a task's status that is allowed.
func TaskTable() []TaskRule { return slices.Clone(taskTable) }

// TaskTransition tells whether a task may go from one status to another for that cause. It answers nil, also when the
// status stays as it is, or a *farm.Error with CodeIllegal that names both and says what is allowed.
func TaskTransition(cause Cause, from, to farm.TaskStatus) error {
	if (from == to && from.Valid()) || taskAllows(cause, from, to) {
		return nil
	}
	allowed := among(farm.TaskStatuses, func(s farm.TaskStatus) bool { return taskAllows(cause, from, s) })
	return illegal("a task cannot go from %s to %s: %s may change a task that is %s to %s",
		from, to, cause, from, list(allowed))
}

func taskAllows(cause Cause, from, to farm.TaskStatus) bool {
	return slices.ContainsFunc(taskTable, func(r TaskRule) bool {
		return r.Cause == cause && slices.Contains(r.From, from) && slices.Contains(r.To, to)
	})
}

// Returned is the status of a task that a worker gives back without a result, by the status of its job: it waits,
// is paused or is canceled as the job is.
func Returned(job farm.JobStatus) farm.TaskStatus {
	switch job {
	case farm.JobPauseRequested, farm.JobPaused:
		return farm.TaskPaused
	case farm.JobCancelRequested, farm.JobCanceled, farm.JobFailed:
		return farm.TaskCanceled
	}
	return farm.TaskQueued
}

// LateResult decides about a final result that comes from the last assignment of a task after its lease was over.
// The caller knows that the assignment is still the last one and that expiry ended it; flow knows whether the result
// still fits: the task must be waiting again and its job must still want it. Otherwise reason says why not.
func LateResult(job farm.JobStatus, task farm.TaskStatus) (accept bool, reason string) {
	if !task.Waiting() {
		return false, fmt.Sprintf("the task is %s by now", task)
	}
	if !job.Runnable() && job != farm.JobPauseRequested {
		return false, fmt.Sprintf("the job is %s by now", job)
	}
	return true, ""
}
