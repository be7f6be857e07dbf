// SPDX-License-Identifier: GPL-3.0-or-later

package flow

import (
	"fmt"

	"flamenco.farm/internal/farm"
)

// FailedPercent is the share of failed tasks, in percent of all tasks of a job, that makes the job fail.
const FailedPercent = 10

// Failure is what is known when an attempt of a task failed. "This one" is the worker or the task that just failed.
type Failure struct {
	Failures           int // distinct workers that failed this task, this one included
	WorkerFailures     int // tasks of this job and type that this worker failed, this one included, cleared ones not
	WorkersLeft        int // workers that may still run this task, this one excluded
	TypeWorkersLeft    int // workers not blocked for this job and task type, this one excluded
	BlocklistThreshold int // WorkerFailures that block a worker; 0 = never
	SoftFailLimit      int // Failures that make a task failed for good
}

// Verdict is what follows from a Failure.
type Verdict struct {
	TaskTo farm.TaskStatus // soft-failed: another worker may try; failed: for good
	Block  bool            // the worker gets no more tasks of this type of this job
	Reason string          // one line for the activity of the task and its log
}

// JudgeFailure decides about a failed attempt. A caller that blocks the worker while TypeWorkersLeft is 0 passes
// typeBlocked to AfterFailure.
func JudgeFailure(f Failure) Verdict {
	v := Verdict{
		TaskTo: farm.TaskSoftFailed,
		Block:  f.BlocklistThreshold > 0 && f.WorkerFailures >= f.BlocklistThreshold,
	}
	switch {
	case f.Failures >= f.SoftFailLimit:
		v.TaskTo = farm.TaskFailed
		v.Reason = fmt.Sprintf("failed by %s, the limit is %d", count(f.Failures, "worker"), f.SoftFailLimit)
	case f.WorkersLeft == 0:
		v.TaskTo = farm.TaskFailed
		v.Reason = fmt.Sprintf("failed by %s, and no other worker may try it", count(f.Failures, "worker"))
	default:
		v.Reason = fmt.Sprintf("failed by %s, %s left to try it", count(f.Failures, "worker"), count(f.WorkersLeft, "worker"))
	}
	if v.Block {
		v.Reason += fmt.Sprintf("; this worker failed %s of this type and is blocked for it in this job",
			count(f.WorkerFailures, "task"))
	}
	return v
}

// Exhausted tells whether a waiting task that failed before has nobody left who may try it, so that it must become
// failed. Ask it for the waiting tasks of a job whenever one of its workers is blocked or deleted or loses a task type
// or tag. A task that never failed waits for a worker to come.
func Exhausted(task farm.TaskStatus, failures, workersLeft int) bool {
	return task.Waiting() && failures > 0 && workersLeft == 0
}

// LostIsFailure tells whether a lost attempt counts as a failure of its worker, because the task was lost so often
// before (lost times, this one not counted) that it may be what brings the machines down.
func LostIsFailure(lost, softFailLimit int) bool { return lost >= softFailLimit }

// AfterFailure is what a job does after one of its tasks became failed for good (j counts it already). typeBlocked says
// that every worker for the type of that task is blocked in this job. The share of failed tasks is looked at only here,
// when a task fails, so that a job whose tasks are requeued one by one does not fail again at once.
func AfterFailure(j Job, typeBlocked bool) Step {
	if !j.Status.Runnable() && j.Status != farm.JobPauseRequested {
		return Step{}
	}
	failed, total := j.Counts.Failed, j.Counts.Total()
	switch {
	case typeBlocked:
		return Step{Status: farm.JobFailed, Reason: "every worker for one of its task types is blocked after failures"}
	case total > 0 && failed*100/total >= FailedPercent:
		return Step{Status: farm.JobFailed, Reason: fmt.Sprintf("%d of %s failed, the limit is %d %%",
			failed, count(total, "task"), FailedPercent)}
	}
	return Step{}
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
