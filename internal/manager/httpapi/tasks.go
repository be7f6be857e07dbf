// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/pkg/api"
)

func (h *handlers) FetchJobTasks(ctx context.Context, r api.FetchJobTasksRequestObject) (api.FetchJobTasksResponseObject, error) {
	if err := checkID("job_id", r.JobID); err != nil {
		return nil, err
	}
	l := store.TaskList{
		Page:     page(r.Params.Limit, r.Params.After, r.Params.OrderBy, r.Params.Search),
		JobID:    r.JobID,
		StatusIn: statuses[farm.TaskStatus](r.Params.StatusIn),
	}
	if l.Limit == 0 {
		return streamAll(ctx, h.turns, "tasks", h.Store.TaskParts(ctx, l), writeTaskSummary), nil
	}
	read := func() ([]farm.Task, string, error) { return h.Store.Tasks(ctx, l) }
	return streamPage(ctx, h.turns, "tasks", read, writeTaskSummary), nil
}

func (h *handlers) task(ctx context.Context, id string) (farm.Task, error) {
	if err := checkID("task_id", id); err != nil {
		return farm.Task{}, err
	}
	task, err := h.Store.Task(ctx, id)
	return task, named(err, "task", id)
}

func (h *handlers) FetchTask(ctx context.Context, r api.FetchTaskRequestObject) (api.FetchTaskResponseObject, error) {
	task, err := h.task(ctx, r.TaskID)
	if err != nil {
		return nil, err
	}
	tag := etag(task.Revision)
	if matches(r.Params.IfNoneMatch, tag) {
		return api.FetchTask304Response(notModified(tag)), nil
	}
	commands, err := h.Store.TaskCommands(ctx, task.ID)
	if err != nil {
		return nil, err
	}
	failedBy, err := h.Store.FailedBy(ctx, task.ID)
	if err != nil {
		return nil, err
	}
	attempts, err := h.Store.Attempts(ctx, task.ID)
	if err != nil {
		return nil, err
	}
	return api.FetchTask200JSONResponse{
		Body: apiTask(task, commands, failedBy, attempts), Headers: api.FetchTask200ResponseHeaders{ETag: &tag},
	}, nil
}

func (h *handlers) SetTaskStatus(ctx context.Context, r api.SetTaskStatusRequestObject) (api.SetTaskStatusResponseObject, error) {
	task, err := h.task(ctx, r.TaskID)
	if err != nil {
		return nil, err
	}
	unchanged, err := checkIfMatch(r.Params.IfMatch, etag(task.Revision), task.Revision)
	if err != nil {
		return nil, err
	}
	if err := h.Sched.SetTaskStatus(ctx, task.ID, farm.TaskStatus(r.Body.Status), r.Body.Reason, byUser, unchanged...); err != nil {
		return nil, named(err, "task", r.TaskID)
	}
	return api.SetTaskStatus204Response{}, nil
}
