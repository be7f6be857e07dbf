// SPDX-License-Identifier: GPL-3.0-or-later

package farm

import "time"

// Task is what a list shows of a task. IndexInJob counts from 1.
type Task struct {
	ID             string
	JobID          string
	IndexInJob     int
	Name           string
	Type           string
	Status         TaskStatus
	Priority       int
	Activity       string
	Created        time.Time
	Updated        time.Time
	LastTouched    time.Time // zero = never handed out
	StepsCompleted int
	StepsTotal     int
	Worker         *TaskWorker // the worker that has it, or had it last
	Lost           int         // attempts that ended without a result: expiry, sign-off, sleep
	Generation     int64
	Revision       int64
}

// TaskWorker names a worker beside a task.
type TaskWorker struct {
	ID      string
	Name    string
	Address string
}

// Assignment is a task in the hands of one worker: what the worker gets when it asks for work.
type Assignment struct {
	ID           string // random; every later message about this attempt names it
	Generation   int64  // grows with each hand-out of the task
	OnDisconnect OnDisconnect
	Task         Task
	JobPriority  int
	JobType      string
	Commands     []Command // as stored: variables not yet expanded
}

// Attempt is one hand-out of a task, kept as history.
type Attempt struct {
	TaskID       string
	Generation   int64
	AssignmentID string
	WorkerID     string
	WorkerName   string
	Session      string
	Slot         int
	Started      time.Time
	Ended        time.Time // zero = still running
	Outcome      Outcome
	Reason       string
	ExitCode     *int
	Steps        []AttemptStep
}

// AttemptStep is one command of an attempt.
type AttemptStep struct {
	Index    int
	Command  string
	Started  time.Time
	Ended    time.Time // zero = still running
	ExitCode *int
}

// Outcome says how an attempt ended.
type Outcome string

// How an attempt ends. "" means that it has not.
const (
	OutcomeCompleted Outcome = "completed"
	OutcomeFailed    Outcome = "failed"
	OutcomeLost      Outcome = "lost"     // expired, signed off, fell asleep, deleted, new session
	OutcomeCanceled  Outcome = "canceled" // a person or the job took the task away
)

// StatusChange is one line of the history of a job, task or worker.
type StatusChange struct {
	What   string // job, task or worker
	ID     string
	From   string
	To     string
	When   time.Time
	Who    string // worker:<id>, user or manager
	Reason string
}

// LogID names the log of one attempt. Generation 0 is what was logged before the first one.
type LogID struct {
	JobID      string
	TaskID     string
	Generation int64
}
