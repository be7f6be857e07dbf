// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"strings"

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

func (h *handlers) GetFarmStatus(context.Context, api.GetFarmStatusRequestObject) (api.GetFarmStatusResponseObject, error) {
	report := h.FarmStatus()
	return api.GetFarmStatus200JSONResponse{Status: api.FarmStatus(report.Status), Problems: report.Problems}, nil
}
