// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"time"

	"flamenco.farm/internal/farm"
)

// Caller is a worker as it proved to be: its id, and the session it claims to be in ("" = an upstream Worker).
type Caller struct {
	WorkerID string
	Session  string
}

// Registration is a worker introducing itself. SecretHash is what a password check needs, never the secret.
type Registration struct {
	Name       string
	Address    string
	Platform   string
	SecretHash string
	TaskTypes  []string
}

// SignOn is a worker that starts.
type SignOn struct {
	Name       string
	Address    string
	Software   string
	TaskTypes  []string
	CanRestart bool
	// Session is the ID of the new session, so that the same sign-on heard again is known as such; "" = it gets one.
	Session string
	// Joined is the session that the worker is in already and goes on with at another Manager; "" = one begins.
	Joined string
}

// SignedOn is the answer to a sign-on: the status to take, the new session and how long its lease lasts.
type SignedOn struct {
	Status  farm.WorkerStatus
	Session string
	Lease   time.Duration
}

// ClaimRequest is a worker asking for a task. Running holds the ids of the assignments it still runs.
type ClaimRequest struct {
	Caller
	Slot    int
	Running []string
}

// Claim is the answer to a request for a task: there is an assignment, or a status that is asked for, or neither when there
// was no task in time.
type Claim struct {
	Assignment *farm.Assignment
	Platform   string              // of the Worker, beside an assignment
	Requested  *farm.StatusRequest // the worker must change status first: 423
}

// Update is what a worker reports of a task. Nil pointers are absent. Assignment and Sequence come from our Worker only.
type Update struct {
	Caller
	TaskID     string
	Assignment string // "" = an upstream Worker
	Sequence   int64  // 0 = none; grows by one with each update of an assignment
	Status     *farm.TaskStatus
	Activity   *string
	Log        *string
	Steps      *int
	Command    *CommandUpdate
}

// CommandUpdate says that a command of the task started (ExitCode nil, Ended false) or ended.
type CommandUpdate struct {
	Index    int
	Name     string
	Ended    bool
	ExitCode *int
}

// Permit is the answer to may-i-run.
type Permit struct {
	MayRun          bool
	Reason          string
	StatusRequested bool
}

// TaskLog is where the logs of tasks are kept, one for each attempt; the manager hands in the real one.
type TaskLog interface {
	// AppendChunk appends text unless the bytes after offset since already hold it, and returns the new size.
	AppendChunk(id farm.LogID, since int64, text string) (size int64, err error)
	// AppendLine appends one line of the Manager itself, stamped with the time.
	AppendLine(id farm.LogID, line string) error
	// Ended says that an attempt has ended, so that at most little comes late. It must not block.
	Ended(id farm.LogID)
}
