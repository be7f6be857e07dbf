// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/pkg/api"
)

// idLength is the length of a UUID in text; other spellings of one are refused.
const idLength = 36

// checkID refuses what is no identifier before anything looks for it.
func checkID(what, id string) error {
	if len(id) != idLength || uuid.Validate(id) != nil {
		return farm.Errorf(farm.CodeInvalid, "%s: %q is not a valid ID", what, id)
	}
	return nil
}

// deref is the value behind an optional field, the zero value if it is missing.
func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// optional is a field that is left out when it has no value.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// optionalTime is a time that is left out when there is none.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func apiJob(j farm.Job, spec farm.JobSpec) api.Job {
	job := api.Job{
		ID:                j.ID,
		Name:              j.Name,
		Type:              j.Type,
		Priority:          j.Priority,
		Status:            api.JobStatus(j.Status),
		Activity:          j.Activity,
		Created:           j.Created.UTC(),
		Updated:           j.Updated.UTC(),
		StepsCompleted:    j.StepsCompleted,
		StepsTotal:        j.StepsTotal,
		DeleteRequestedAt: optionalTime(j.DeleteRequestedAt),
		TaskCounts:        apiTaskCounts(j.Tasks),
		Project:           optional(j.ProjectID),
		WorkerTag:         optional(j.TagID),
		SubmitterPlatform: spec.SubmitterPlatform,
		Settings:          spec.Settings,
		Metadata:          spec.Metadata,
	}
	if spec.ShamanCheckoutID != "" {
		job.Storage = &api.JobStorageInfo{ShamanCheckoutID: &spec.ShamanCheckoutID}
	}
	return job
}

func apiTaskCounts(c farm.TaskCounts) *api.TaskCounts {
	return &api.TaskCounts{
		Queued: c.Queued, Active: c.Active, Completed: c.Completed, SoftFailed: c.SoftFailed, Failed: c.Failed,
		Canceled: c.Canceled, Paused: c.Paused,
	}
}

func apiTaskSummary(t farm.Task) api.TaskSummary {
	return api.TaskSummary{
		ID:             t.ID,
		Name:           t.Name,
		Status:         api.TaskStatus(t.Status),
		IndexInJob:     t.IndexInJob,
		Priority:       t.Priority,
		TaskType:       t.Type,
		Updated:        t.Updated.UTC(),
		StepsCompleted: t.StepsCompleted,
		StepsTotal:     t.StepsTotal,
		Worker:         apiWorkerOf(t),
	}
}

func apiWorkerTask(t farm.Task) *api.WorkerTask {
	s := apiTaskSummary(t)
	return &api.WorkerTask{
		ID: s.ID, JobID: t.JobID, Name: s.Name, Status: s.Status, IndexInJob: s.IndexInJob, Priority: s.Priority,
		TaskType: s.TaskType, Updated: s.Updated, StepsCompleted: s.StepsCompleted, StepsTotal: s.StepsTotal,
	}
}

// apiWorkerOf is empty for a task that nobody had yet: clients read its fields without asking.
func apiWorkerOf(t farm.Task) *api.TaskWorker {
	worker := apiTaskWorker(deref(t.Worker))
	return &worker
}

func apiTaskWorker(w farm.TaskWorker) api.TaskWorker {
	return api.TaskWorker{ID: w.ID, Name: w.Name, Address: w.Address}
}

func apiTask(t farm.Task, commands []farm.Command, failedBy []farm.TaskWorker, attempts []farm.Attempt) api.Task {
	task := api.Task{
		ID:             t.ID,
		JobID:          t.JobID,
		IndexInJob:     t.IndexInJob,
		Name:           t.Name,
		Status:         api.TaskStatus(t.Status),
		Priority:       t.Priority,
		TaskType:       t.Type,
		Activity:       t.Activity,
		Created:        t.Created.UTC(),
		Updated:        t.Updated.UTC(),
		LastTouched:    optionalTime(t.LastTouched),
		StepsCompleted: t.StepsCompleted,
		StepsTotal:     t.StepsTotal,
		Commands:       apiCommands(commands),
		Lost:           optional(t.Lost),
		Worker:         apiWorkerOf(t),
	}
	for _, w := range failedBy {
		task.FailedByWorkers = append(task.FailedByWorkers, apiTaskWorker(w))
	}
	for _, a := range attempts {
		task.Attempts = append(task.Attempts, apiAttempt(a))
	}
	return task
}

func apiAttempt(a farm.Attempt) api.TaskAttempt {
	attempt := api.TaskAttempt{
		Generation: a.Generation,
		Worker:     api.TaskWorker{ID: a.WorkerID, Name: a.WorkerName},
		Started:    a.Started.UTC(),
		Ended:      optionalTime(a.Ended),
		Outcome:    optional(api.AttemptOutcome(a.Outcome)),
		Reason:     optional(a.Reason),
		ExitCode:   a.ExitCode,
		Steps:      make([]api.AttemptStep, 0, len(a.Steps)),
	}
	for _, s := range a.Steps {
		attempt.Steps = append(attempt.Steps, api.AttemptStep{
			Index: s.Index, Command: s.Command, Started: s.Started.UTC(), Ended: optionalTime(s.Ended), ExitCode: s.ExitCode,
		})
	}
	return attempt
}

func apiCommands(commands []farm.Command) []api.Command {
	converted := make([]api.Command, len(commands))
	for i, c := range commands {
		converted[i] = api.Command{Name: c.Name, Parameters: c.Parameters, TotalStepCount: c.TotalStepCount}
	}
	return converted
}

func apiWorkerSummary(w farm.Worker) api.WorkerSummary {
	return api.WorkerSummary{
		ID:           w.ID,
		Name:         w.Name,
		Status:       api.WorkerStatus(w.Status),
		StatusChange: apiStatusRequest(w.Requested),
		LastSeen:     optionalTime(w.LastSeen),
		Version:      w.Software,
		CanRestart:   w.CanRestart,
	}
}

func apiWorker(w farm.Worker, task *farm.Task) api.Worker {
	s := apiWorkerSummary(w)
	worker := api.Worker{
		ID: s.ID, Name: s.Name, Status: s.Status, StatusChange: s.StatusChange, LastSeen: s.LastSeen, Version: s.Version,
		CanRestart: s.CanRestart, IPAddress: w.Address, Platform: w.Platform, SupportedTaskTypes: w.TaskTypes,
	}
	for _, t := range w.Tags {
		worker.Tags = append(worker.Tags, apiTag(t))
	}
	if task != nil {
		worker.Task = apiWorkerTask(*task)
	}
	return worker
}

func apiStatusRequest(r *farm.StatusRequest) *api.WorkerStatusChangeRequest {
	if r == nil {
		return nil
	}
	return &api.WorkerStatusChangeRequest{Status: api.WorkerStatus(r.Status), IsLazy: r.Lazy}
}

func apiTag(t farm.Tag) api.WorkerTag {
	return api.WorkerTag{ID: &t.ID, Name: t.Name, Description: optional(t.Description)}
}

// statuses converts a filter by status.
func statuses[To, From ~string](from []From) []To {
	to := make([]To, len(from))
	for i, s := range from {
		to[i] = To(s)
	}
	return to
}
