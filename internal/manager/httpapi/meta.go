// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"strings"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/variables"
	"flamenco.farm/internal/version"
	"flamenco.farm/pkg/api"
)

// GetVersion answers an add-on with the add-on's own version as the short one: it refuses to talk to any other.
func (h *handlers) GetVersion(ctx context.Context, _ api.GetVersionRequestObject) (api.GetVersionResponseObject, error) {
	short := version.Version
	if addon, ok := addonVersion(callOf(ctx).userAgent); ok {
		short = addon
	}
	return api.GetVersion200JSONResponse{
		Name: h.Farm.Name, Version: version.String(), Shortversion: short, Git: version.Commit,
	}, nil
}

// addonVersion reads the version out of "Flamenco/3.9 (Blender add-on)".
func addonVersion(userAgent string) (string, bool) {
	rest, ok := strings.CutPrefix(userAgent, "Flamenco/")
	if !ok {
		return "", false
	}
	addon, comment, _ := strings.Cut(rest, " ")
	return addon, addon != "" && strings.HasPrefix(comment, "(Blender add-on")
}

func (h *handlers) GetConfiguration(context.Context, api.GetConfigurationRequestObject) (api.GetConfigurationResponseObject, error) {
	return api.GetConfiguration200JSONResponse{StorageLocation: h.Farm.SharedStorage, IsFirstRun: h.Farm.FirstRun}, nil
}

func (h *handlers) GetVariables(_ context.Context, r api.GetVariablesRequestObject) (api.GetVariablesResponseObject, error) {
	values := make(api.GetVariables200JSONResponse)
	for name, v := range h.Variables.Resolve(variables.Audience(r.Audience), r.Platform) {
		values[name] = api.ManagerVariable{Value: v.Value, IsTwoway: v.TwoWay}
	}
	return values, nil
}

func (h *handlers) GetSharedStorage(_ context.Context, r api.GetSharedStorageRequestObject) (api.GetSharedStorageResponseObject, error) {
	return api.GetSharedStorage200JSONResponse{Location: h.Farm.SharedStorage, Audience: r.Audience, Platform: r.Platform}, nil
}

func (h *handlers) GetFarmStatus(ctx context.Context, _ api.GetFarmStatusRequestObject) (api.GetFarmStatusResponseObject, error) {
	jobs, err := h.Store.JobCounts(ctx)
	if err != nil {
		return nil, err
	}
	workers, err := h.Store.WorkerCounts(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetFarmStatus200JSONResponse{Status: farmStatus(jobs, workers)}, nil
}

// farmStatus is one word for all jobs and workers together.
func farmStatus(jobs map[farm.JobStatus]int, workers map[farm.WorkerStatus]int) api.FarmStatus {
	reachable := 0
	for status, n := range workers {
		if status != farm.WorkerOffline && status != farm.WorkerError {
			reachable += n
		}
	}
	awake := workers[farm.WorkerAwake] > 0
	switch {
	case reachable == 0:
		return api.FarmStatusInoperative
	case jobs[farm.JobActive] > 0 && awake:
		return api.FarmStatusActive
	case jobs[farm.JobActive]+jobs[farm.JobQueued] > 0:
		return api.FarmStatusWaiting
	case awake:
		return api.FarmStatusIdle
	case workers[farm.WorkerAsleep] > 0:
		return api.FarmStatusAsleep
	}
	return api.FarmStatusIdle
}
