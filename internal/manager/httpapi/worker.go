// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"errors"
	"strings"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
	"flamenco.farm/pkg/api"
)

func (h *handlers) RegisterWorker(ctx context.Context, r api.RegisterWorkerRequestObject) (api.RegisterWorkerResponseObject, error) {
	if h.Config.Current().Registration == config.RegistrationClosed {
		return nil, farm.Errorf(farm.CodeForbidden, "this Manager takes no new Workers; set registration to open in its configuration to let this one join")
	}
	hash, err := auth.HashSecret(r.Body.Secret)
	if err != nil {
		return nil, err
	}
	w, err := h.Sched.Register(ctx, sched.Registration{
		Name: r.Body.Name, Address: callOf(ctx).address, Platform: r.Body.Platform, SecretHash: hash,
		TaskTypes: taskTypes(r.Body.SupportedTaskTypes),
	})
	if err != nil {
		return nil, err
	}
	return api.RegisterWorker200JSONResponse{
		UUID: w.ID, Name: w.Name, Address: w.Address, Status: api.WorkerStatus(w.Status), Platform: w.Platform,
		Software: w.Software, SupportedTaskTypes: w.TaskTypes,
	}, nil
}

func (h *handlers) SignOn(ctx context.Context, r api.SignOnRequestObject) (api.SignOnResponseObject, error) {
	body := r.Body
	if err := missing("name", body.Name == "", "supported_task_types", body.SupportedTaskTypes == nil, "software_version", body.SoftwareVersion == ""); err != nil {
		return nil, err
	}
	session := deref(body.Session)
	if session != "" {
		if err := checkID("session", session); err != nil {
			return nil, err
		}
	}
	on, err := h.Sched.SignOn(ctx, auth.Worker(ctx), sched.SignOn{
		Name: body.Name, Address: callOf(ctx).address, Software: body.SoftwareVersion, TaskTypes: taskTypes(body.SupportedTaskTypes),
		CanRestart: deref(body.CanRestart), Session: session, Joined: deref(r.Params.JoinedSession),
	})
	if err != nil {
		return nil, err
	}
	lease := on.Lease.Seconds()
	return api.SignOn200JSONResponse{
		Body:    api.WorkerStateChange{StatusRequested: api.WorkerStatus(on.Status)},
		Headers: api.SignOn200ResponseHeaders{XFlamencoSession: &on.Session, XFlamencoLease: &lease},
	}, nil
}

// taskTypes are compared letter by letter from here on.
func taskTypes(given []string) []string {
	types := make([]string, 0, len(given))
	for _, t := range given {
		if t = strings.ToLower(strings.TrimSpace(t)); t != "" {
			types = append(types, t)
		}
	}
	return types
}

func (h *handlers) SignOff(ctx context.Context, r api.SignOffRequestObject) (api.SignOffResponseObject, error) {
	if err := h.Sched.SignOff(ctx, callerOf(ctx, r.Params.Session)); err != nil {
		return nil, err
	}
	return api.SignOff204Response{}, nil
}

func (h *handlers) WorkerState(ctx context.Context, r api.WorkerStateRequestObject) (api.WorkerStateResponseObject, error) {
	requested, err := h.Sched.RequestedStatus(ctx, callerOf(ctx, r.Params.Session))
	if err != nil {
		return nil, err
	}
	if requested == nil {
		return api.WorkerState204Response{}, nil
	}
	return api.WorkerState200JSONResponse{StatusRequested: api.WorkerStatus(requested.Status)}, nil
}

func (h *handlers) WorkerStateChanged(ctx context.Context, r api.WorkerStateChangedRequestObject) (api.WorkerStateChangedResponseObject, error) {
	status := farm.WorkerStatus(r.Body.Status)
	if !status.Valid() {
		return nil, farm.Errorf(farm.CodeInvalid, "request body has an error: status: %q is not a status of a worker", status)
	}
	if err := h.Sched.StateChanged(ctx, callerOf(ctx, r.Params.Session), status, deref(r.Body.Reason)); err != nil {
		return nil, err
	}
	return api.WorkerStateChanged204Response{}, nil
}

// ScheduleTask holds the request until there is a task. Nothing is claimed once the client goes away or the server stops.
func (h *handlers) ScheduleTask(ctx context.Context, r api.ScheduleTaskRequestObject) (api.ScheduleTaskResponseObject, error) {
	if deref(r.Params.Slot) < 0 {
		return nil, farm.Errorf(farm.CodeInvalid, "X-Flamenco-Slot: must not be negative")
	}
	held, cancel := untilStop(ctx)
	defer cancel()
	claim, err := h.Sched.Claim(held, sched.ClaimRequest{
		Caller: callerOf(ctx, r.Params.Session), Slot: deref(r.Params.Slot), Running: trimmed(r.Params.Running),
	})
	switch {
	case err != nil && errors.Is(err, context.Canceled) && stopped(ctx):
		// Every Worker asks again after 204, and has lost nothing; after anything else one of Flamenco 3 waits a minute.
		part(ctx, callOf(ctx).header)
		return api.ScheduleTask204Response{}, nil
	case err != nil:
		return nil, err
	case claim.Requested != nil:
		return api.ScheduleTask423JSONResponse{StatusRequested: api.WorkerStatus(claim.Requested.Status)}, nil
	case claim.Assignment == nil:
		return api.ScheduleTask204Response{}, nil
	}
	return h.assignedTask(claim.Assignment, claim.Platform), nil
}

func (h *handlers) assignedTask(a *farm.Assignment, platform string) api.ScheduleTaskResponseObject {
	onDisconnect := api.OnDisconnect(a.OnDisconnect)
	return api.ScheduleTask200JSONResponse{
		Headers: api.ScheduleTask200ResponseHeaders{
			XFlamencoAssignment: &a.ID, XFlamencoGeneration: &a.Generation, XFlamencoOnDisconnect: &onDisconnect,
		},
		Body: api.AssignedTask{
			UUID:           a.Task.ID,
			Job:            a.Task.JobID,
			Name:           a.Task.Name,
			Status:         api.TaskStatus(a.Task.Status),
			Priority:       a.Task.Priority,
			JobPriority:    a.JobPriority,
			JobType:        a.JobType,
			TaskType:       a.Task.Type,
			Commands:       apiCommands(h.Variables().Expand(a.Commands, platform)),
			StepsCompleted: a.Task.StepsCompleted,
			StepsTotal:     a.Task.StepsTotal,
		},
	}
}

// TaskUpdate answers a Worker of ours 409 when it should stop; one of Flamenco 3 only when the task is another's, because
// it takes every 409 as that.
func (h *handlers) TaskUpdate(ctx context.Context, r api.TaskUpdateRequestObject) (api.TaskUpdateResponseObject, error) {
	update, err := taskUpdate(ctx, r)
	if err != nil {
		return nil, err
	}
	err = h.Sched.Update(ctx, update)
	var refused *farm.Error
	switch {
	case err == nil:
		return api.TaskUpdate204Response{}, nil
	case !errors.As(err, &refused) || (refused.Code != farm.CodeConflict && refused.Code != farm.CodeNotAssigned):
		return nil, err
	case refused.Code == farm.CodeConflict && update.Assignment == "" && update.Session == "":
		return api.TaskUpdate204Response{}, nil
	}
	reason := string(refused.Code)
	return api.TaskUpdate409JSONResponse{Code: 409, Message: refused.Message, Reason: &reason}, nil
}

func taskUpdate(ctx context.Context, r api.TaskUpdateRequestObject) (sched.Update, error) {
	update := sched.Update{
		Caller: callerOf(ctx, r.Params.Session), TaskID: r.TaskID, Assignment: deref(r.Params.Assignment),
		Sequence: deref(r.Params.Sequence), Activity: r.Body.Activity, Log: r.Body.Log, Steps: r.Body.StepsCompleted,
	}
	if err := checkID("task_id", r.TaskID); err != nil {
		return update, err
	}
	if r.Body.TaskStatus != nil {
		status := farm.TaskStatus(*r.Body.TaskStatus)
		if !status.Valid() || status == farm.TaskSoftFailed {
			return update, farm.Errorf(farm.CodeInvalid, "request body has an error: taskStatus: %q is not a status that a Worker may report", status)
		}
		update.Status = &status
	}
	if c := r.Body.Command; c != nil {
		if c.Index < 0 || c.Name == "" {
			return update, farm.Errorf(farm.CodeInvalid, "request body has an error: command: index must not be negative, and name must not be empty")
		}
		update.Command = &sched.CommandUpdate{Index: c.Index, Name: c.Name, Ended: c.Ended, ExitCode: c.ExitCode}
	}
	return update, nil
}

func (h *handlers) MayWorkerRun(ctx context.Context, r api.MayWorkerRunRequestObject) (api.MayWorkerRunResponseObject, error) {
	if err := checkID("task_id", r.TaskID); err != nil {
		return nil, err
	}
	permit, err := h.Sched.MayRun(ctx, callerOf(ctx, r.Params.Session), r.TaskID, deref(r.Params.Assignment))
	if err != nil {
		return nil, err
	}
	return api.MayWorkerRun200JSONResponse{
		MayKeepRunning: permit.MayRun, Reason: permit.Reason, StatusChangeRequested: permit.StatusRequested,
	}, nil
}

// callerOf is the Worker that calls. Workers of Flamenco 3 have no sessions.
func callerOf(ctx context.Context, session *api.Session) sched.Caller {
	return sched.Caller{WorkerID: auth.Worker(ctx), Session: deref(session)}
}

// missing names the first field that is; it takes pairs of a name and whether it is missing.
func missing(pairs ...any) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1].(bool) {
			return farm.Errorf(farm.CodeInvalid, "request body has an error: property %q is missing or empty", pairs[i])
		}
	}
	return nil
}

func trimmed(list []string) []string {
	var kept []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}
