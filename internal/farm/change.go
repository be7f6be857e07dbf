// SPDX-License-Identifier: GPL-3.0-or-later

package farm

import "time"

// Change says what a committed transaction altered, so that whoever waits for it wakes up. What clients are told of it
// is Now, which is nil while nobody listens.
type Change struct {
	Kind      ChangeKind
	JobID     string
	TaskID    string
	WorkerID  string
	TaskTypes []string // of ChangeWork: the types that became ready
	TagID     string   // of ChangeTag; of ChangeWork: the job's tag, "" = any worker

	OperationID string // of ChangeOperation, and of ChangeRefresh if it comes from one
	Job         *Job   // of ChangeJobDeleted: the job as it last was

	// Was is the status that a job, task or worker had before, "" = it is new, or the change does not say.
	Was string
	// Moved says of a job or worker that it is new or gone, or has another status than before.
	Moved bool
	// Mass says of a job that many of its tasks changed at once, and of a task that it is one of them: the change of the
	// job stands for all.
	Mass bool
	// Log says of a task which part was added to the log of its last attempt; nil = none.
	Log *LogPart
	// Remote says that another Manager made the change.
	Remote bool
	// Heard says of ChangeRefresh that the other process came to its end: what it changed was heard of before.
	Heard bool

	// Now is what clients are told: a *JobChange, *TaskChange, *WorkerChange, *TagChange, *LastRendered, TaskLog, Lifecycle
	// or StatusReport, as the kind says.
	Now any
}

// LogPart is a part of the log of an attempt, in bytes.
type LogPart struct {
	Generation int64
	From, To   int64
}

// JobNow is what clients are told of a job, nil if nothing.
func (c Change) JobNow() *JobChange { return now[*JobChange](c) }

// TaskNow is what clients are told of a task, nil if nothing.
func (c Change) TaskNow() *TaskChange { return now[*TaskChange](c) }

// WorkerNow is what clients are told of a worker, nil if nothing.
func (c Change) WorkerNow() *WorkerChange { return now[*WorkerChange](c) }

// TagNow is what clients are told of a tag, nil if nothing.
func (c Change) TagNow() *TagChange { return now[*TagChange](c) }

// LogNow is what was appended to the log of a task.
func (c Change) LogNow() TaskLog { return now[TaskLog](c) }

func now[T any](c Change) T {
	what, _ := c.Now.(T)
	return what
}

// ChangeKind is what a Change is about.
type ChangeKind string

// The kinds of Change. ChangeWork means: there may be a task to claim now that was not there before. ChangeRefresh means:
// another process may have changed the job, or any job if none is named, and its own changes may not all have been heard.
// ChangeMaintenance means: the maintenance mode began, ended, or has another reason. ChangeSchedule means: a worker was given
// a sleep schedule, which clients are not told.
// Of those from ChangeLastRendered on only LastRendered is in the database, for other Managers: it says nothing but the job.
const (
	ChangeJob          ChangeKind = "job"
	ChangeJobDeleted   ChangeKind = "job-deleted"
	ChangeTask         ChangeKind = "task"
	ChangeWorker       ChangeKind = "worker"
	ChangeTag          ChangeKind = "tag"
	ChangeWork         ChangeKind = "work"
	ChangeOperation    ChangeKind = "operation"
	ChangeRefresh      ChangeKind = "refresh"
	ChangeMaintenance  ChangeKind = "maintenance"
	ChangeSchedule     ChangeKind = "schedule"
	ChangeLastRendered ChangeKind = "last-rendered"
	ChangeTaskLog      ChangeKind = "task-log"
	ChangeLifecycle    ChangeKind = "lifecycle"
	ChangeStatus       ChangeKind = "status"
)

// JobChange is a job after a change.
type JobChange struct {
	ID                string
	Name              string
	Type              string
	Status            JobStatus
	Previous          JobStatus // the same as Status if that did not change, "" = the job is new
	Priority          int
	Updated           time.Time
	StepsCompleted    int
	StepsTotal        int
	DeleteRequestedAt time.Time // zero = not requested
	Tasks             TaskCounts
	RefreshTasks      bool // so many tasks changed that none has a change of its own
	Deleted           bool // the job is gone; of the other fields only ID is set
}

// TaskChange is a task after a change.
type TaskChange struct {
	ID             string
	JobID          string
	Name           string
	Type           string
	IndexInJob     int
	Status         TaskStatus
	Previous       TaskStatus // the same as Status if that did not change
	Activity       string
	StepsCompleted int
	StepsTotal     int
	Updated        time.Time
	WorkerID       string // who has it or had it last, "" = nobody yet
	WorkerName     string
}

// WorkerChange is a worker after a change.
type WorkerChange struct {
	ID         string
	Name       string
	Status     WorkerStatus
	Previous   WorkerStatus // the same as Status if that did not change, "" = the worker is new
	Requested  *StatusRequest
	Software   string
	Updated    time.Time
	LastSeen   time.Time
	DeletedAt  time.Time // zero = not deleted
	CanRestart bool
}

// TagChange is a tag after a change.
type TagChange struct {
	Tag
	Deleted bool
}

// LastRendered says where the newest picture of a job is: an address is Base, a slash and one of Suffixes.
type LastRendered struct {
	JobID    string
	Base     string
	Suffixes []string
}

// TaskLog is text that was appended to the log of a task.
type TaskLog string

// Lifecycle is what a Manager says of itself.
type Lifecycle string

// ManagerStartup and ManagerShutdown are said by a Manager that has come up and by one that goes.
const (
	ManagerStartup  Lifecycle = "manager-startup"
	ManagerShutdown Lifecycle = "manager-shutdown"
)

// Status is one word for all jobs and workers together; the values are those of the Flamenco 3 API.
type Status string

// The statuses of a farm.
const (
	StatusActive      Status = "active"      // jobs are being worked on
	StatusIdle        Status = "idle"        // workers are there and have nothing to do
	StatusWaiting     Status = "waiting"     // there is work, and nobody awake to do it
	StatusAsleep      Status = "asleep"      // all workers that are there sleep, and there is no work
	StatusInoperative Status = "inoperative" // no worker can be reached, or the Manager cannot work
	StatusStarting    Status = "starting"    // the Manager has just come up
)

// StatusReport is the status of a farm.
type StatusReport struct {
	Status   Status
	Problems []string // why the Manager hands out no tasks and takes no jobs; nil = it does both
}
