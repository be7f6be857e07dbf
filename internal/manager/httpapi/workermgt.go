// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/pkg/api"
)

func (h *handlers) FetchWorkers(ctx context.Context, r api.FetchWorkersRequestObject) (api.FetchWorkersResponseObject, error) {
	l := store.WorkerList{
		Page:     page(r.Params.Limit, r.Params.After, r.Params.OrderBy, r.Params.Search),
		StatusIn: statuses[farm.WorkerStatus](r.Params.StatusIn),
	}
	if l.Limit == 0 {
		return streamAll(ctx, h.turns, "workers", h.Store.WorkerParts(ctx, l), converted(apiWorkerSummary)), nil
	}
	read := func() ([]farm.Worker, string, error) { return h.Store.Workers(ctx, l) }
	return streamPage(ctx, h.turns, "workers", read, converted(apiWorkerSummary)), nil
}

func (h *handlers) FetchWorker(ctx context.Context, r api.FetchWorkerRequestObject) (api.FetchWorkerResponseObject, error) {
	w, err := h.worker(ctx, r.WorkerID)
	if err != nil {
		return nil, err
	}
	tag := workerETag(w)
	var last *farm.Task
	switch task, err := h.Store.WorkerTask(ctx, w.ID); {
	case err == nil:
		last = &task
		tag = etag(w.Revision, w.LastSeen.UnixMicro(), task.Generation, task.Revision)
	case !farm.IsNotExist(err):
		return nil, err
	}
	if matches(r.Params.IfNoneMatch, tag) {
		return api.FetchWorker304Response(notModified(tag)), nil
	}
	reason, err := h.Store.WorkerStatusReason(ctx, w.ID)
	if err != nil && !farm.IsNotExist(err) {
		return nil, err
	}
	body := apiWorker(w, last)
	body.StatusReason = optional(reason)
	return api.FetchWorker200JSONResponse{Body: body, Headers: api.FetchWorker200ResponseHeaders{ETag: &tag}}, nil
}

func (h *handlers) worker(ctx context.Context, id string) (farm.Worker, error) {
	if err := checkID("worker_id", id); err != nil {
		return farm.Worker{}, err
	}
	w, err := h.Store.Worker(ctx, id)
	return w, named(err, "worker", id)
}

func (h *handlers) DeleteWorker(ctx context.Context, r api.DeleteWorkerRequestObject) (api.DeleteWorkerResponseObject, error) {
	if err := checkID("worker_id", r.WorkerID); err != nil {
		return nil, err
	}
	err := h.Sched.DeleteWorker(ctx, r.WorkerID)
	h.Workers.Forget(r.WorkerID) // in any case: the worker may be gone although what follows failed
	if err != nil {
		return nil, named(err, "worker", r.WorkerID)
	}
	return api.DeleteWorker204Response{}, nil
}

func (h *handlers) RequestWorkerStatusChange(ctx context.Context, r api.RequestWorkerStatusChangeRequestObject) (api.RequestWorkerStatusChangeResponseObject, error) {
	w, err := h.worker(ctx, r.WorkerID)
	if err != nil {
		return nil, err
	}
	unchanged, err := checkIfMatch(r.Params.IfMatch, workerETag(w), w.Revision)
	if err != nil {
		return nil, err
	}
	wanted := farm.StatusRequest{Status: farm.WorkerStatus(r.Body.Status), Lazy: r.Body.IsLazy}
	if err := h.Sched.RequestWorkerStatus(ctx, w.ID, wanted, unchanged...); err != nil {
		return nil, named(err, "worker", r.WorkerID)
	}
	return api.RequestWorkerStatusChange204Response{}, nil
}

func (h *handlers) SetWorkerTags(ctx context.Context, r api.SetWorkerTagsRequestObject) (api.SetWorkerTagsResponseObject, error) {
	if err := checkID("worker_id", r.WorkerID); err != nil {
		return nil, err
	}
	if err := h.Sched.SetWorkerTags(ctx, r.WorkerID, r.Body.TagIDs); err != nil {
		return nil, named(err, "worker", r.WorkerID)
	}
	return api.SetWorkerTags204Response{}, nil
}

func (h *handlers) FetchWorkerSleepSchedule(ctx context.Context, r api.FetchWorkerSleepScheduleRequestObject) (api.FetchWorkerSleepScheduleResponseObject, error) {
	if err := checkID("worker_id", r.WorkerID); err != nil {
		return nil, err
	}
	plan, err := h.Store.SleepSchedule(ctx, r.WorkerID)
	if farm.IsNotExist(err) || (err == nil && len(plan.Windows) == 0) {
		return api.FetchWorkerSleepSchedule204Response{}, nil
	}
	if err != nil {
		return nil, err
	}
	first := plan.Windows[0]
	answer := api.FetchWorkerSleepSchedule200JSONResponse{
		IsActive: plan.Active, DaysOfWeek: first.Days, StartTime: first.Start, EndTime: first.End,
	}
	for _, w := range plan.Windows {
		answer.Windows = append(answer.Windows, api.SleepWindow{DaysOfWeek: w.Days, StartTime: w.Start, EndTime: w.End})
	}
	return answer, nil
}

func (h *handlers) SetWorkerSleepSchedule(ctx context.Context, r api.SetWorkerSleepScheduleRequestObject) (api.SetWorkerSleepScheduleResponseObject, error) {
	if err := checkID("worker_id", r.WorkerID); err != nil {
		return nil, err
	}
	plan := farm.SleepSchedule{Active: r.Body.IsActive}
	for _, w := range r.Body.Windows {
		plan.Windows = append(plan.Windows, farm.SleepWindow{Days: w.DaysOfWeek, Start: w.StartTime, End: w.EndTime})
	}
	if len(plan.Windows) == 0 {
		plan.Windows = []farm.SleepWindow{{Days: r.Body.DaysOfWeek, Start: r.Body.StartTime, End: r.Body.EndTime}}
	}
	if err := h.Sched.SetSleepSchedule(ctx, r.WorkerID, plan); err != nil {
		return nil, named(err, "worker", r.WorkerID)
	}
	return api.SetWorkerSleepSchedule204Response{}, nil
}

func (h *handlers) FetchWorkerTags(ctx context.Context, _ api.FetchWorkerTagsRequestObject) (api.FetchWorkerTagsResponseObject, error) {
	tags, err := h.Store.Tags(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]api.WorkerTag, len(tags))
	for i, t := range tags {
		list[i] = apiTag(t)
	}
	return api.FetchWorkerTags200JSONResponse{Tags: list}, nil
}

func (h *handlers) CreateWorkerTag(ctx context.Context, r api.CreateWorkerTagRequestObject) (api.CreateWorkerTagResponseObject, error) {
	tag := farm.Tag{ID: deref(r.Body.ID), Name: r.Body.Name, Description: deref(r.Body.Description)}
	if tag.ID != "" {
		if err := checkID("id", tag.ID); err != nil {
			return nil, err
		}
	}
	if err := missing("name", tag.Name == ""); err != nil {
		return nil, err
	}
	created, err := h.Store.CreateTag(ctx, tag)
	if err != nil {
		return nil, err
	}
	return api.CreateWorkerTag200JSONResponse(apiTag(created)), nil
}

func (h *handlers) FetchWorkerTag(ctx context.Context, r api.FetchWorkerTagRequestObject) (api.FetchWorkerTagResponseObject, error) {
	if err := checkID("tag_id", r.TagID); err != nil {
		return nil, err
	}
	tag, err := h.Store.Tag(ctx, r.TagID)
	if err != nil {
		return nil, named(err, "tag", r.TagID)
	}
	return api.FetchWorkerTag200JSONResponse(apiTag(tag)), nil
}

func (h *handlers) UpdateWorkerTag(ctx context.Context, r api.UpdateWorkerTagRequestObject) (api.UpdateWorkerTagResponseObject, error) {
	if err := checkID("tag_id", r.TagID); err != nil {
		return nil, err
	}
	if err := missing("name", r.Body.Name == ""); err != nil {
		return nil, err
	}
	tag := farm.Tag{ID: r.TagID, Name: r.Body.Name, Description: deref(r.Body.Description)}
	if err := h.Store.UpdateTag(ctx, tag); err != nil {
		return nil, named(err, "tag", r.TagID)
	}
	return api.UpdateWorkerTag204Response{}, nil
}

func (h *handlers) DeleteWorkerTag(ctx context.Context, r api.DeleteWorkerTagRequestObject) (api.DeleteWorkerTagResponseObject, error) {
	if err := checkID("tag_id", r.TagID); err != nil {
		return nil, err
	}
	if err := h.Sched.DeleteTag(ctx, r.TagID); err != nil {
		return nil, named(err, "tag", r.TagID)
	}
	return api.DeleteWorkerTag204Response{}, nil
}

// workerETag is that of a worker without a task; edits compare with it.
func workerETag(w farm.Worker) string { return etag(w.Revision, w.LastSeen.UnixMicro()) }
