// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"strings"

	"flamenco.farm/internal/farm"
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
		Name: h.Config.Current().ManagerName, Version: version.String(), Shortversion: short, Git: version.Commit,
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

func (h *handlers) GetFarmStatus(ctx context.Context, _ api.GetFarmStatusRequestObject) (api.GetFarmStatusResponseObject, error) {
	if reason := h.Sched.Suspended(); reason != "" {
		return api.GetFarmStatus200JSONResponse{Status: api.FarmStatusInoperative, Problems: []string{reason}}, nil
	}
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
