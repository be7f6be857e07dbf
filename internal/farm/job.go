// SPDX-License-Identifier: GPL-3.0-or-later

package farm

import "time"

// DefaultProject is the id of the project of jobs that name none.
const DefaultProject = "00000000-0000-4000-8000-000000000001"

// DefaultPriority is the priority of jobs and tasks that name none; the range is 0 to 100, higher first.
const DefaultPriority = 50

// Project is what people keep: its jobs and, later, notes, operators and backups.
type Project struct {
	ID      string
	Name    string
	Created time.Time
}

// Job is what a list shows of a job. StepsCompleted and StepsTotal are sums over its tasks.
type Job struct {
	ID                string
	ProjectID         string
	Name              string
	Type              string
	Priority          int
	Status            JobStatus
	Activity          string
	Created           time.Time
	Updated           time.Time
	TagID             string // "" = any worker
	Tasks             TaskCounts
	StepsCompleted    int
	StepsTotal        int
	DeleteRequestedAt time.Time // zero = not requested
	Revision          int64
}

// JobSpec is what a job was submitted with; it never changes after submission.
type JobSpec struct {
	Settings          map[string]any
	Metadata          map[string]string
	ShamanCheckoutID  string
	SubmitterPlatform string
}

// NewJob is a compiled job, ready to be stored in one transaction.
type NewJob struct {
	ID            string // "" = the store chooses
	ProjectID     string // "" = DefaultProject
	Name          string
	Type          string
	Priority      int
	InitialStatus JobStatus // "" = queued; the only other choice is paused
	TagID         string
	JobSpec
	Tasks []NewTask
}

// NewTask is a task of a NewJob. Dependencies are indexes into NewJob.Tasks.
type NewTask struct {
	ID           string // "" = the store chooses
	Name         string
	Type         string
	Priority     int
	Commands     []Command
	Dependencies []int
	OnDisconnect OnDisconnect // "" = by task type, see DefaultOnDisconnect
}

// Command is one step of a task that a Worker runs.
type Command struct {
	Name           string         `json:"name"`
	Parameters     map[string]any `json:"parameters"`
	TotalStepCount int            `json:"total_step_count"`
}

// OnDisconnect says what a Worker does with a running task when it loses the Manager.
type OnDisconnect string

// What a Worker does when it loses the Manager: keep the task running, or stop it before somebody else gets it.
const (
	KeepOnDisconnect OnDisconnect = "keep"
	StopOnDisconnect OnDisconnect = "stop"
)

// DefaultOnDisconnect is keep for renders and videos, whose output is overwritten harmlessly, and stop for all else.
func DefaultOnDisconnect(taskType string) OnDisconnect {
	switch taskType {
	case "blender", "ffmpeg":
		return KeepOnDisconnect
	}
	return StopOnDisconnect
}

// Steps is the number of steps of the task: those of its commands, where a command that names none counts as one.
func (t NewTask) Steps() int {
	steps := 0
	for _, c := range t.Commands {
		steps += max(1, c.TotalStepCount)
	}
	return steps
}

// FinishedJob is a job that has ended, as it was seen.
type FinishedJob struct {
	ID       string
	Revision int64
}
