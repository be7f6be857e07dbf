// SPDX-License-Identifier: GPL-3.0-or-later

package farm

import "slices"

// JobStatus is where a job stands; the values are those of the Flamenco 3 API.
type JobStatus string

// The statuses of a job. Those ending in "ing" or "-requested" are passed through, never stayed in.
const (
	JobActive            JobStatus = "active"
	JobCanceled          JobStatus = "canceled"
	JobCompleted         JobStatus = "completed"
	JobFailed            JobStatus = "failed"
	JobPaused            JobStatus = "paused"
	JobPauseRequested    JobStatus = "pause-requested"
	JobQueued            JobStatus = "queued"
	JobCancelRequested   JobStatus = "cancel-requested"
	JobRequeueing        JobStatus = "requeueing"
	JobUnderConstruction JobStatus = "under-construction"
)

// JobStatuses lists every status of a job, in the order documentation shows them.
var JobStatuses = []JobStatus{
	JobUnderConstruction, JobQueued, JobActive, JobCompleted, JobFailed, JobCancelRequested, JobCanceled,
	JobPauseRequested, JobPaused, JobRequeueing,
}

// Valid reports whether s is one of JobStatuses.
func (s JobStatus) Valid() bool { return slices.Contains(JobStatuses, s) }

// Runnable reports whether tasks of a job with this status are handed out.
func (s JobStatus) Runnable() bool { return s == JobQueued || s == JobActive }

// Ended reports whether nothing more happens to the job until a person acts.
func (s JobStatus) Ended() bool { return s == JobCompleted || s == JobFailed || s == JobCanceled }

// TaskStatus is where a task stands; the values are those of the Flamenco 3 API.
type TaskStatus string

// The statuses of a task.
const (
	TaskActive     TaskStatus = "active"
	TaskCanceled   TaskStatus = "canceled"
	TaskCompleted  TaskStatus = "completed"
	TaskFailed     TaskStatus = "failed"
	TaskQueued     TaskStatus = "queued"
	TaskSoftFailed TaskStatus = "soft-failed"
	TaskPaused     TaskStatus = "paused"
)

// TaskStatuses lists every status of a task, in the order documentation shows them.
var TaskStatuses = []TaskStatus{
	TaskQueued, TaskActive, TaskCompleted, TaskSoftFailed, TaskFailed, TaskCanceled, TaskPaused,
}

// Valid reports whether s is one of TaskStatuses.
func (s TaskStatus) Valid() bool { return slices.Contains(TaskStatuses, s) }

// Waiting reports whether the task would be handed out once its dependencies are completed.
func (s TaskStatus) Waiting() bool { return s == TaskQueued || s == TaskSoftFailed }

// Final reports whether a Worker's update may end an attempt with this status.
func (s TaskStatus) Final() bool { return s == TaskCompleted || s == TaskFailed }

// WorkerStatus is where a worker stands; the values are those of the Flamenco 3 API.
type WorkerStatus string

// The statuses of a worker.
const (
	WorkerStarting WorkerStatus = "starting"
	WorkerAwake    WorkerStatus = "awake"
	WorkerAsleep   WorkerStatus = "asleep"
	WorkerError    WorkerStatus = "error"
	WorkerTesting  WorkerStatus = "testing"
	WorkerOffline  WorkerStatus = "offline"
	WorkerRestart  WorkerStatus = "restart"
)

// WorkerStatuses lists every status of a worker, in the order documentation shows them.
var WorkerStatuses = []WorkerStatus{
	WorkerStarting, WorkerAwake, WorkerAsleep, WorkerTesting, WorkerError, WorkerRestart, WorkerOffline,
}

// Valid reports whether s is one of WorkerStatuses.
func (s WorkerStatus) Valid() bool { return slices.Contains(WorkerStatuses, s) }

// TaskCounts is how many tasks of a job have each status.
type TaskCounts struct {
	Queued, Active, Completed, SoftFailed, Failed, Canceled, Paused int
}

// Total is the number of tasks of the job.
func (c TaskCounts) Total() int {
	return c.Queued + c.Active + c.Completed + c.SoftFailed + c.Failed + c.Canceled + c.Paused
}

// Of is the number of tasks with status s.
func (c TaskCounts) Of(s TaskStatus) int { return *c.at(s) }

// Add changes the number of tasks with status s by n.
func (c *TaskCounts) Add(s TaskStatus, n int) { *c.at(s) += n }

// Move counts one task over from one status to another.
func (c *TaskCounts) Move(from, to TaskStatus) {
	c.Add(from, -1)
	c.Add(to, 1)
}

func (c *TaskCounts) at(s TaskStatus) *int {
	switch s {
	case TaskQueued:
		return &c.Queued
	case TaskActive:
		return &c.Active
	case TaskCompleted:
		return &c.Completed
	case TaskSoftFailed:
		return &c.SoftFailed
	case TaskFailed:
		return &c.Failed
	case TaskCanceled:
		return &c.Canceled
	case TaskPaused:
		return &c.Paused
	}
	panic("farm: no such task status: " + string(s))
}
