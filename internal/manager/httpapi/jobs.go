// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"errors"
	"runtime"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/store"
	"flamenco.farm/pkg/api"
)

func (h *handlers) FetchJobs(ctx context.Context, r api.FetchJobsRequestObject) (api.FetchJobsResponseObject, error) {
	l := store.JobList{
		Page:     page(r.Params.Limit, r.Params.After, r.Params.OrderBy, r.Params.Search),
		StatusIn: statuses[farm.JobStatus](r.Params.StatusIn),
	}
	convert := func(j store.ListedJob) api.Job { return apiJob(j.Job, j.JobSpec) }
	if l.Limit == 0 {
		return streamAll(ctx, h.turns, "jobs", h.Store.JobParts(ctx, l), converted(convert)), nil
	}
	read := func() ([]store.ListedJob, string, error) { return h.Store.Jobs(ctx, l) }
	return streamPage(ctx, h.turns, "jobs", read, converted(convert)), nil
}

func (h *handlers) SubmitJob(ctx context.Context, r api.SubmitJobRequestObject) (api.SubmitJobResponseObject, error) {
	if err := h.checkCheckout(deref(deref(r.Body.Storage).ShamanCheckoutID)); err != nil {
		return nil, err
	}
	compiled, err := h.compile(ctx, *r.Body)
	if err != nil {
		return nil, err
	}
	job, err := h.Sched.Submit(ctx, compiled)
	if code := farm.CodeOf(err); code == farm.CodeNoSuchTag || code == farm.CodeNotFound {
		return nil, farm.Errorf(farm.CodeInvalid, "worker_tag: there is no tag with ID %q", compiled.TagID)
	}
	if err != nil {
		return nil, err
	}
	return api.SubmitJob200JSONResponse(apiJob(job, compiled.JobSpec)), nil
}

func (h *handlers) SubmitJobCheck(ctx context.Context, r api.SubmitJobCheckRequestObject) (api.SubmitJobCheckResponseObject, error) {
	if _, err := h.compile(ctx, *r.Body); err != nil {
		return nil, err
	}
	return api.SubmitJobCheck204Response{}, nil
}

func (h *handlers) compile(ctx context.Context, s api.SubmittedJob) (farm.NewJob, error) {
	platform := s.SubmitterPlatform
	if platform == "manager" {
		platform = runtime.GOOS
	}
	set := h.Variables()
	submission := jobtype.Submission{
		Name:              s.Name,
		Type:              s.Type,
		TypeETag:          deref(s.TypeEtag),
		Priority:          s.Priority,
		Settings:          set.Inbound(s.Settings, platform),
		Metadata:          set.InboundText(s.Metadata, platform),
		SubmitterPlatform: platform,
		ShamanCheckoutID:  deref(deref(s.Storage).ShamanCheckoutID),
		TagID:             deref(s.WorkerTag),
		InitialStatus:     farm.JobStatus(deref(s.InitialStatus)),
	}
	if submission.TagID != "" {
		if err := checkID("worker_tag", submission.TagID); err != nil {
			return farm.NewJob{}, err
		}
	}
	return h.JobTypes.Compile(ctx, submission)
}

// FetchJob answers at once, or with If-None-Match and Prefer: wait=N when the job changes.
func (h *handlers) FetchJob(ctx context.Context, r api.FetchJobRequestObject) (api.FetchJobResponseObject, error) {
	job, err := h.job(ctx, r.JobID)
	if err != nil {
		return nil, err
	}
	if wait := preferredWait(r.Params.Prefer); wait > 0 && matches(r.Params.IfNoneMatch, etag(job.Revision)) {
		held, cancel := untilStop(ctx)
		defer cancel()
		held, cancelWait := context.WithTimeout(held, wait)
		defer cancelWait()
		if err := h.Sched.WaitJob(held, job.ID, job.Revision); err != nil && held.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		if job, err = h.job(ctx, r.JobID); err != nil {
			return nil, err
		}
	}
	tag := etag(job.Revision)
	if matches(r.Params.IfNoneMatch, tag) {
		return api.FetchJob304Response(notModified(tag)), nil
	}
	spec, err := h.Store.JobSpec(ctx, job.ID)
	if err != nil {
		return nil, named(err, "job", r.JobID)
	}
	return api.FetchJob200JSONResponse{Body: apiJob(job, spec), Headers: api.FetchJob200ResponseHeaders{ETag: &tag}}, nil
}

func (h *handlers) job(ctx context.Context, id string) (farm.Job, error) {
	if err := checkID("job_id", id); err != nil {
		return farm.Job{}, err
	}
	job, err := h.Store.Job(ctx, id)
	return job, named(err, "job", id)
}

// checkJob finds the job that is to be changed and refuses when it is not what the client saw.
func (h *handlers) checkJob(ctx context.Context, id string, ifMatch *api.IfMatch) ([]sched.AtRevision, error) {
	job, err := h.job(ctx, id)
	if err != nil {
		return nil, err
	}
	return checkIfMatch(ifMatch, etag(job.Revision), job.Revision)
}

func (h *handlers) SetJobStatus(ctx context.Context, r api.SetJobStatusRequestObject) (api.SetJobStatusResponseObject, error) {
	unchanged, err := h.checkJob(ctx, r.JobID, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.Sched.SetJobStatus(ctx, r.JobID, farm.JobStatus(r.Body.Status), r.Body.Reason, byUser, unchanged...); err != nil {
		return nil, named(err, "job", r.JobID)
	}
	return api.SetJobStatus204Response{}, nil
}

func (h *handlers) SetJobPriority(ctx context.Context, r api.SetJobPriorityRequestObject) (api.SetJobPriorityResponseObject, error) {
	unchanged, err := h.checkJob(ctx, r.JobID, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := h.Sched.SetJobPriority(ctx, r.JobID, r.Body.Priority, unchanged...); err != nil {
		return nil, named(err, "job", r.JobID)
	}
	return api.SetJobPriority204Response{}, nil
}

func (h *handlers) SetJobTag(ctx context.Context, r api.SetJobTagRequestObject) (api.SetJobTagResponseObject, error) {
	unchanged, err := h.checkJob(ctx, r.JobID, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tagID, err := h.wantedTag(ctx, *r.Body)
	if err != nil {
		return nil, err
	}
	if err := h.Sched.SetJobTag(ctx, r.JobID, tagID, unchanged...); err != nil {
		return nil, named(err, "job", r.JobID)
	}
	return api.SetJobTag204Response{}, nil
}

// wantedTag is the id of the tag that is named by id or by name, "" when neither is given.
func (h *handlers) wantedTag(ctx context.Context, change api.JobTagChange) (string, error) {
	id, name := deref(change.ID), deref(change.Name)
	if id == "" && name == "" {
		return "", nil
	}
	find, key := h.Store.Tag, id
	if id == "" {
		find, key = h.Store.TagByName, name
	} else if err := checkID("id", id); err != nil {
		return "", err
	}
	tag, err := find(ctx, key)
	if farm.IsNotExist(err) {
		return "", farm.Errorf(farm.CodeNoSuchTag, "there is no tag %q", key)
	}
	return tag.ID, err
}

func (h *handlers) FetchJobBlocklist(ctx context.Context, r api.FetchJobBlocklistRequestObject) (api.FetchJobBlocklistResponseObject, error) {
	if _, err := h.job(ctx, r.JobID); err != nil {
		return nil, err
	}
	entries, err := h.Store.Blocklist(ctx, r.JobID)
	if err != nil {
		return nil, err
	}
	list := make(api.FetchJobBlocklist200JSONResponse, len(entries))
	for i, e := range entries {
		list[i] = api.JobBlocklistEntry{WorkerID: e.WorkerID, TaskType: e.TaskType, WorkerName: optional(e.WorkerName)}
	}
	return list, nil
}

func (h *handlers) RemoveJobBlocklist(ctx context.Context, r api.RemoveJobBlocklistRequestObject) (api.RemoveJobBlocklistResponseObject, error) {
	if err := checkID("job_id", r.JobID); err != nil {
		return nil, err
	}
	if len(*r.Body) == 0 {
		return nil, farm.Errorf(farm.CodeInvalid, "request body has an error: the list of entries to remove is empty")
	}
	entries := make([]farm.BlocklistEntry, len(*r.Body))
	for i, e := range *r.Body {
		entries[i] = farm.BlocklistEntry{WorkerID: e.WorkerID, TaskType: e.TaskType}
	}
	if err := h.Sched.Unblock(ctx, r.JobID, entries); err != nil {
		return nil, named(err, "job", r.JobID)
	}
	return api.RemoveJobBlocklist204Response{}, nil
}

// byUser is who the history names for changes that come over the API.
const byUser = "user"

// named says what it is that does not exist.
func named(err error, what, id string) error {
	if farm.CodeOf(err) == farm.CodeNotFound {
		return farm.Errorf(farm.CodeNotFound, "there is no %s with ID %q", what, id)
	}
	return err
}

func page(limit *api.Limit, after *api.After, orderBy api.OrderBy, search *api.Search) store.Page {
	return store.Page{Limit: deref(limit), After: deref(after), OrderBy: orderBy, Search: deref(search)}
}
