// SPDX-License-Identifier: GPL-3.0-or-later

package farm

import "time"

// Worker is a machine, or a part of one, that runs tasks.
type Worker struct {
	ID         string
	Name       string
	Address    string
	Platform   string // GOOS name
	Software   string
	Status     WorkerStatus
	Requested  *StatusRequest // nil = none pending
	TaskTypes  []string
	CanRestart bool
	Created    time.Time
	Updated    time.Time
	LastSeen   time.Time // zero = never
	Session    string    // "" = signed on without one, or never
	Tags       []Tag
	Revision   int64
}

// StatusRequest is a status that a person or a schedule wants a worker to take.
type StatusRequest struct {
	Status WorkerStatus
	Lazy   bool // true = after the present task
}

// Tag groups workers; a job with a tag runs on workers that carry it.
type Tag struct {
	ID          string
	Name        string
	Description string
}

// BlocklistEntry keeps a worker from one task type of a job.
type BlocklistEntry struct {
	WorkerID   string
	WorkerName string
	TaskType   string
}

// Change says what a committed transaction altered, so that whoever waits for it wakes up.
type Change struct {
	Kind      ChangeKind
	JobID     string
	TaskID    string
	WorkerID  string
	TaskTypes []string // of ChangeWork: the types that became ready
	TagID     string   // of ChangeWork: the job's tag, "" = any worker

	OperationID string // of ChangeOperation
	Job         *Job   // of ChangeJobDeleted: the job as it last was
}

// ChangeKind is what a Change is about.
type ChangeKind string

// The kinds of Change. ChangeWork means: there may be a task to claim now that was not there before. ChangeRefresh means:
// another process may have changed the job, or any job if none is named, and its own changes may not all have been heard.
const (
	ChangeJob        ChangeKind = "job"
	ChangeJobDeleted ChangeKind = "job-deleted"
	ChangeTask       ChangeKind = "task"
	ChangeWorker     ChangeKind = "worker"
	ChangeWork       ChangeKind = "work"
	ChangeOperation  ChangeKind = "operation"
	ChangeRefresh    ChangeKind = "refresh"
)
