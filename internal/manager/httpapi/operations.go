// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/pkg/api"
)

func (h *handlers) FetchOperations(ctx context.Context, r api.FetchOperationsRequestObject) (api.FetchOperationsResponseObject, error) {
	operations, next, err := h.Operations.List(ctx, store.OperationList{
		Page:     store.Page{Limit: deref(r.Params.Limit), After: deref(r.Params.After)},
		StatusIn: statuses[farm.OperationStatus](r.Params.StatusIn),
		Kind:     deref(r.Params.Kind),
	})
	if err != nil {
		return nil, err
	}
	list := make([]api.Operation, len(operations))
	for i, o := range operations {
		if list[i], err = apiOperation(o); err != nil {
			return nil, err
		}
	}
	return api.FetchOperations200JSONResponse{
		Body: api.OperationList{Operations: list}, Headers: api.FetchOperations200ResponseHeaders{XFlamencoNext: optional(next)},
	}, nil
}

func (h *handlers) StartOperation(ctx context.Context, r api.StartOperationRequestObject) (api.StartOperationResponseObject, error) {
	params, err := json.Marshal(api.Object(r.Body.Params))
	if err != nil {
		return nil, err
	}
	started, err := h.Operations.Start(ctx, r.Body.Kind, params, byUser)
	if err != nil {
		return nil, err
	}
	o, err := apiOperation(started)
	return api.StartOperation202JSONResponse(o), err
}

// FetchOperation answers at once, or with If-None-Match and Prefer: wait=N when the operation changes.
func (h *handlers) FetchOperation(ctx context.Context, r api.FetchOperationRequestObject) (api.FetchOperationResponseObject, error) {
	found, err := h.operation(ctx, r.OperationID)
	if err != nil {
		return nil, err
	}
	if wait := preferredWait(r.Params.Prefer); wait > 0 && matches(r.Params.IfNoneMatch, etag(found.Revision)) {
		held, cancel := untilStop(ctx)
		defer cancel()
		held, cancelWait := context.WithTimeout(held, wait)
		defer cancelWait()
		changed, err := h.Operations.WaitChange(held, found.ID, found.Revision)
		switch {
		case err == nil:
			found = changed
		case held.Err() == nil && !errors.Is(err, context.DeadlineExceeded):
			return nil, named(err, "operation", r.OperationID)
		}
	}
	tag := etag(found.Revision)
	if matches(r.Params.IfNoneMatch, tag) {
		return api.FetchOperation304Response(notModified(tag)), nil
	}
	o, err := apiOperation(found)
	return api.FetchOperation200JSONResponse{Body: o, Headers: api.FetchOperation200ResponseHeaders{ETag: &tag}}, err
}

func (h *handlers) operation(ctx context.Context, id string) (farm.Operation, error) {
	if err := checkID("operation_id", id); err != nil {
		return farm.Operation{}, err
	}
	o, err := h.Operations.Get(ctx, id)
	return o, named(err, "operation", id)
}

func (h *handlers) FetchOperationLog(ctx context.Context, r api.FetchOperationLogRequestObject) (api.FetchOperationLogResponseObject, error) {
	o, err := h.operation(ctx, r.OperationID)
	if err != nil {
		return nil, err
	}
	text, err := h.Operations.ReadLog(ctx, o)
	if err != nil {
		return nil, err
	}
	from, to, ranged := byteRange(deref(r.Params.Range), len(text))
	switch {
	case ranged && from >= to:
		return api.FetchOperationLog416JSONResponse{Code: 416, Message: fmt.Sprintf("the log has %d bytes", len(text))}, nil
	case len(text) == 0:
		return api.FetchOperationLog204Response{}, nil
	case !ranged:
		return api.FetchOperationLog200TextResponse(text), nil
	}
	where := fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(text))
	return api.FetchOperationLog206TextResponse{
		Body: string(text[from:to]), Headers: api.FetchOperationLog206ResponseHeaders{ContentRange: &where},
	}, nil
}

// byteRange reads one range of bytes of something of a size: from up to before to. ok is false for what is none.
func byteRange(header string, size int) (from, to int, ok bool) {
	spec, isBytes := strings.CutPrefix(strings.TrimSpace(header), "bytes=")
	first, last, isRange := strings.Cut(spec, "-")
	if !isBytes || !isRange {
		return 0, 0, false
	}
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(last)
	switch {
	case first == "" && errB == nil && b >= 0:
		return size - min(b, size), size, true
	case errA == nil && a >= 0 && last == "":
		return a, size, true
	case errA == nil && errB == nil && a >= 0 && b >= a:
		return a, min(b, size-1) + 1, true
	}
	return 0, 0, false
}

func (h *handlers) CancelOperation(ctx context.Context, r api.CancelOperationRequestObject) (api.CancelOperationResponseObject, error) {
	if err := checkID("operation_id", r.OperationID); err != nil {
		return nil, err
	}
	if err := h.Operations.Cancel(ctx, r.OperationID); err != nil {
		return nil, named(err, "operation", r.OperationID)
	}
	return api.CancelOperation204Response{}, nil
}

func apiOperation(o farm.Operation) (api.Operation, error) {
	var params api.Object
	if err := json.Unmarshal(o.Params, &params); err != nil {
		return api.Operation{}, fmt.Errorf("parameters of operation %s in the database: %w", o.ID, err)
	}
	return api.Operation{
		ID: o.ID, Kind: o.Kind, Params: params, Status: api.OperationStatus(o.Status), Activity: o.Activity, Done: o.Done,
		Total: o.Total, Who: o.Who, Created: o.Created.UTC(), Started: optionalTime(o.Started), Ended: optionalTime(o.Ended),
		CancelRequestedAt: optionalTime(o.CancelRequested),
	}, nil
}

// Deletion deletes jobs in the background.
type Deletion interface {
	// DeleteJob marks a job and has it deleted.
	DeleteJob(ctx context.Context, id string) error
	// DeleteJobs does so with all jobs that changed last at a moment or earlier, and returns how many these are.
	DeleteJobs(ctx context.Context, updatedMax time.Time) (matched int, err error)
}

func (h *handlers) DeleteJob(ctx context.Context, r api.DeleteJobRequestObject) (api.DeleteJobResponseObject, error) {
	if err := checkID("job_id", r.JobID); err != nil {
		return nil, err
	}
	if err := h.Deletion.DeleteJob(ctx, r.JobID); err != nil {
		return nil, named(err, "job", r.JobID)
	}
	return api.DeleteJob204Response{}, nil
}

func (h *handlers) DeleteJobMass(ctx context.Context, r api.DeleteJobMassRequestObject) (api.DeleteJobMassResponseObject, error) {
	if r.Body.LastUpdatedMax == nil {
		return nil, farm.Errorf(farm.CodeInvalid, "request body has an error: nothing is selected; last_updated_max is needed")
	}
	// Clients know times to the second only, so a job of that second is meant too.
	latest := r.Body.LastUpdatedMax.Add(time.Second - time.Nanosecond).Truncate(time.Second)
	matched, err := h.Deletion.DeleteJobs(ctx, latest)
	if err != nil {
		return nil, err
	}
	if matched == 0 {
		return nil, farm.Errorf(farm.CodeNoMatch, "no job was last updated at %s or earlier", latest.UTC().Format(time.RFC3339))
	}
	return api.DeleteJobMass204Response{}, nil
}

func (h *handlers) DeleteJobWhatWouldItDo(ctx context.Context, r api.DeleteJobWhatWouldItDoRequestObject) (api.DeleteJobWhatWouldItDoResponseObject, error) {
	job, err := h.job(ctx, r.JobID)
	if err != nil {
		return nil, err
	}
	spec, err := h.Store.JobSpec(ctx, job.ID)
	if err != nil {
		return nil, named(err, "job", r.JobID)
	}
	return api.DeleteJobWhatWouldItDo200JSONResponse{ShamanCheckout: spec.ShamanCheckoutID != ""}, nil
}
