// SPDX-License-Identifier: GPL-3.0-or-later

package flow

import (
	"fmt"
	"slices"

	"flamenco.farm/internal/farm"
)

// Job is the part of a job that decisions need.
type Job struct {
	Status           farm.JobStatus
	Counts           farm.TaskCounts
	Ready            int  // tasks that could be handed out now: queued or soft-failed, no open dependency
	RequeueCompleted bool // while requeueing: completed tasks run again too, because the whole job was completed
}

// done reports whether every task is completed, which is also true of a job without tasks.
func (j Job) done() bool { return j.Counts.Completed == j.Counts.Total() }

// stuck reports whether no task runs and none could be handed out to anybody.
func (j Job) stuck() bool { return j.Counts.Active == 0 && j.Ready == 0 }

// Step is what has to happen next so that a job comes to rest: either all tasks that are one of Tasks become TasksTo
// (a mass change, which the caller does in slices, asking again after each), or the job becomes Status.
// The zero Step means that the job is at rest.
type Step struct {
	Tasks   []farm.TaskStatus
	TasksTo farm.TaskStatus
	Status  farm.JobStatus
	Reason  string // why, for the activity of the tasks or the job; "" when the status says it all
}

// None reports whether nothing has to happen.
func (s Step) None() bool { return len(s.Tasks) == 0 && s.Status == "" }

// StepRule is one line of the table of what follows from the status of a job: first every task that is one of Tasks
// becomes TasksTo, then the job becomes one of To or stays, as Then says.
type StepRule struct {
	Status  farm.JobStatus
	Tasks   []farm.TaskStatus
	TasksTo farm.TaskStatus
	To      []farm.JobStatus
	Then    string
	next    func(Job) Step // nil = at rest
}

var stepTable = []StepRule{
	{Status: farm.JobUnderConstruction, Then: "stays until the Manager has made its tasks"},
	{
		Status: farm.JobQueued, next: nextQueued,
		To:   []farm.JobStatus{farm.JobActive, farm.JobCompleted, farm.JobFailed, farm.JobCancelRequested, farm.JobPauseRequested},
		Then: "active as soon as a task is; otherwise ends as an active job does",
	},
	{
		Status: farm.JobActive, next: nextRunning,
		To:   []farm.JobStatus{farm.JobCompleted, farm.JobFailed, farm.JobCancelRequested, farm.JobPauseRequested},
		Then: "completed when every task is; failed, canceled or paused when nothing is left that can run",
	},
	{
		Status: farm.JobCompleted, next: nextCompleted, To: []farm.JobStatus{farm.JobQueued},
		Then: "stays; queued if one of its tasks is not completed any more",
	},
	{
		Status: farm.JobFailed, Tasks: unfinished, TasksTo: farm.TaskCanceled,
		Then: "stays until a person requeues it or one of its tasks",
	},
	{
		Status: farm.JobCancelRequested, Tasks: unfinished, TasksTo: farm.TaskCanceled,
		next: to(farm.JobCanceled), To: []farm.JobStatus{farm.JobCanceled},
		Then: "canceled; paused and failed tasks keep their status",
	},
	{
		Status: farm.JobCanceled, Tasks: unfinished, TasksTo: farm.TaskCanceled,
		Then: "stays until a person requeues it or one of its tasks",
	},
	{
		Status: farm.JobPauseRequested, next: nextPausing,
		Tasks: []farm.TaskStatus{farm.TaskQueued, farm.TaskSoftFailed}, TasksTo: farm.TaskPaused,
		To:   []farm.JobStatus{farm.JobPaused, farm.JobCompleted},
		Then: "its running tasks go on; paused after the last of them, or completed if every task is",
	},
	{Status: farm.JobPaused, Then: "stays until a person requeues or cancels it"},
	{
		Status: farm.JobRequeueing, next: to(farm.JobQueued), To: []farm.JobStatus{farm.JobQueued}, TasksTo: farm.TaskQueued,
		Tasks: []farm.TaskStatus{farm.TaskSoftFailed, farm.TaskFailed, farm.TaskCanceled, farm.TaskPaused},
		Then:  "queued; if the whole job was completed, its completed tasks are queued too",
	},
}

// unfinished are the tasks that a job takes along when it ends.
var unfinished = []farm.TaskStatus{farm.TaskQueued, farm.TaskActive, farm.TaskSoftFailed}

// StepTable is what follows from each status of a job.
func StepTable() []StepRule { return slices.Clone(stepTable) }

// NextStep is what has to happen next so that the job comes to rest. Ask it after every change of a job or of its
// tasks, do what it says, and ask again until the answer is None; that takes few steps whatever the job's state.
func NextStep(j Job) Step {
	i := slices.IndexFunc(stepTable, func(r StepRule) bool { return r.Status == j.Status })
	if i < 0 {
		return Step{}
	}
	r := stepTable[i]
	if s := sweep(j, r); !s.None() {
		return s
	}
	if r.next == nil {
		return Step{}
	}
	return r.next(j)
}

// DeletionStep is NextStep for a job that is to be deleted: what could still run is canceled, and its status stays.
func DeletionStep(j Job) Step {
	j.RequeueCompleted = false
	step := sweep(j, StepRule{Tasks: unfinished, TasksTo: farm.TaskCanceled})
	if !step.None() {
		step.Reason = "the job is being deleted"
	}
	return step
}

// sweep is the mass change of a rule, or none if no task is left to change.
func sweep(j Job, r StepRule) Step {
	tasks := slices.Clone(r.Tasks)
	if j.Status == farm.JobRequeueing && j.RequeueCompleted {
		tasks = append(tasks, farm.TaskCompleted)
	}
	if !slices.ContainsFunc(tasks, func(s farm.TaskStatus) bool { return j.Counts.Of(s) > 0 }) {
		return Step{}
	}
	return Step{Tasks: tasks, TasksTo: r.TasksTo, Reason: fmt.Sprintf("the job is %s", j.Status)}
}

func to(status farm.JobStatus) func(Job) Step {
	return func(Job) Step { return Step{Status: status} }
}

func nextQueued(j Job) Step {
	if s := nextRunning(j); !s.None() {
		return s
	}
	if j.Counts.Active > 0 {
		return Step{Status: farm.JobActive}
	}
	return Step{}
}

// nextRunning ends a job whose tasks are all completed, and one that would otherwise wait for ever: tasks that depend
// on one that failed, was canceled or is paused are never handed out.
func nextRunning(j Job) Step {
	const nothing = "nothing is left that can run: "
	c := j.Counts
	switch {
	case j.done():
		return Step{Status: farm.JobCompleted}
	case !j.stuck():
		return Step{}
	case c.Failed > 0:
		return Step{Status: farm.JobFailed, Reason: nothing + count(c.Failed, "task") + " failed"}
	case c.Canceled > 0:
		return Step{Status: farm.JobCancelRequested, Reason: nothing + count(c.Canceled, "task") + " canceled"}
	case c.Paused > 0:
		return Step{Status: farm.JobPauseRequested, Reason: nothing + count(c.Paused, "task") + " paused"}
	}
	return Step{Status: farm.JobFailed, Reason: nothing + "its tasks wait for one another"}
}

func nextCompleted(j Job) Step {
	if j.done() {
		return Step{}
	}
	return Step{Status: farm.JobQueued}
}

func nextPausing(j Job) Step {
	switch {
	case j.Counts.Active > 0:
		return Step{}
	case j.done():
		return Step{Status: farm.JobCompleted}
	}
	return Step{Status: farm.JobPaused}
}
