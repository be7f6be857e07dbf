// SPDX-License-Identifier: GPL-3.0-or-later

package flow_test

import (
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
)

func TestAFailedAttemptIsJudged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		f    flow.Failure
		want flow.Verdict
	}{
		{
			"a first failure is soft while one other worker is left",
			flow.Failure{Failures: 1, WorkerFailures: 1, WorkersLeft: 1, TypeWorkersLeft: 1, BlocklistThreshold: 3, SoftFailLimit: 3},
			flow.Verdict{TaskTo: farm.TaskSoftFailed, Reason: "failed by 1 worker, 1 worker left to try it"},
		},
		{
			"two failures are not enough to block or to fail",
			flow.Failure{Failures: 2, WorkerFailures: 2, WorkersLeft: 4, TypeWorkersLeft: 5, BlocklistThreshold: 3, SoftFailLimit: 3},
			flow.Verdict{TaskTo: farm.TaskSoftFailed, Reason: "failed by 2 workers, 4 workers left to try it"},
		},
		{
			"the third worker that fails a task fails it for good",
			flow.Failure{Failures: 3, WorkerFailures: 1, WorkersLeft: 4, TypeWorkersLeft: 5, BlocklistThreshold: 3, SoftFailLimit: 3},
			flow.Verdict{TaskTo: farm.TaskFailed, Reason: "failed by 3 workers, the limit is 3"},
		},
		{
			"the third task that a worker fails blocks it",
			flow.Failure{Failures: 1, WorkerFailures: 3, WorkersLeft: 4, TypeWorkersLeft: 5, BlocklistThreshold: 3, SoftFailLimit: 3},
			flow.Verdict{
				TaskTo: farm.TaskSoftFailed, Block: true,
				Reason: "failed by 1 worker, 4 workers left to try it; this worker failed 3 tasks of this type and is blocked for it in this job",
			},
		},
		{
			"nobody left fails the task for good",
			flow.Failure{Failures: 1, WorkerFailures: 1, WorkersLeft: 0, TypeWorkersLeft: 2, BlocklistThreshold: 3, SoftFailLimit: 3},
			flow.Verdict{TaskTo: farm.TaskFailed, Reason: "failed by 1 worker, and no other worker may try it"},
		},
		{
			"threshold 0 never blocks",
			flow.Failure{Failures: 1, WorkerFailures: 99, WorkersLeft: 1, SoftFailLimit: 3},
			flow.Verdict{TaskTo: farm.TaskSoftFailed, Reason: "failed by 1 worker, 1 worker left to try it"},
		},
	} {
		if got := flow.JudgeFailure(c.f); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestTenPercentFailedTasksFailAJob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		job         flow.Job
		typeBlocked bool
		want        string
	}{
		{"9 of 100", flow.Job{Status: farm.JobActive, Counts: farm.TaskCounts{Failed: 9, Queued: 91}}, false, ""},
		{
			"10 of 100",
			flow.Job{Status: farm.JobActive, Counts: farm.TaskCounts{Failed: 10, Queued: 90}},
			false,
			"job: failed (10 of 100 tasks failed, the limit is 10 %)",
		},
		{"1 of 11", flow.Job{Status: farm.JobActive, Counts: farm.TaskCounts{Failed: 1, Queued: 10}}, false, ""},
		{
			"1 of 1",
			flow.Job{Status: farm.JobQueued, Counts: farm.TaskCounts{Failed: 1}},
			false,
			"job: failed (1 of 1 task failed, the limit is 10 %)",
		},
		{
			"a job being paused",
			flow.Job{Status: farm.JobPauseRequested, Counts: farm.TaskCounts{Failed: 1, Paused: 1}},
			false,
			"job: failed (1 of 2 tasks failed, the limit is 10 %)",
		},
		{
			"no worker left for the type",
			flow.Job{Status: farm.JobActive, Counts: farm.TaskCounts{Failed: 1, Queued: 99}},
			true,
			"job: failed (every worker for one of its task types is blocked after failures)",
		},
		{"a job without tasks", flow.Job{Status: farm.JobActive}, false, ""},
	} {
		if got := describe(flow.AfterFailure(c.job, c.typeBlocked)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAFailureChangesNoJobThatIsOver(t *testing.T) {
	t.Parallel()
	for _, status := range fields[farm.JobStatus](
		"under-construction completed failed cancel-requested canceled paused requeueing") {
		j := flow.Job{Status: status, Counts: farm.TaskCounts{Failed: 5}}
		if s := flow.AfterFailure(j, true); !s.None() {
			t.Errorf("%s: %+v", status, s)
		}
	}
}

func TestALossCountsAsAFailureOnlyAfterTheLimit(t *testing.T) {
	t.Parallel()
	for lost, want := range []bool{false, false, false, true, true} {
		if got := flow.LostIsFailure(lost, 3); got != want {
			t.Errorf("lost %d times before: %v", lost, got)
		}
	}
}

func TestAWaitingTaskThatFailedBeforeIsExhaustedWhenNobodyIsLeft(t *testing.T) {
	t.Parallel()
	for _, task := range farm.TaskStatuses {
		want := task == farm.TaskQueued || task == farm.TaskSoftFailed
		if got := flow.Exhausted(task, 1, 0); got != want {
			t.Errorf("%s: %v", task, got)
		}
		if flow.Exhausted(task, 1, 1) {
			t.Errorf("%s is exhausted although a worker is left", task)
		}
		if flow.Exhausted(task, 0, 0) {
			t.Errorf("%s is exhausted although it never failed", task)
		}
	}
}
