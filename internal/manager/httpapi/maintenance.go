// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"

	"flamenco.farm/internal/farm"
	"flamenco.farm/pkg/api"
)

func (h *handlers) FetchMaintenance(ctx context.Context, _ api.FetchMaintenanceRequestObject) (api.FetchMaintenanceResponseObject, error) {
	mode, err := h.Store.Maintenance(ctx)
	if err != nil {
		return nil, err
	}
	state, err := h.maintenance(ctx, mode)
	return api.FetchMaintenance200JSONResponse(state), err
}

func (h *handlers) SetMaintenance(ctx context.Context, r api.SetMaintenanceRequestObject) (api.SetMaintenanceResponseObject, error) {
	if h.Maintenance == nil {
		return nil, farm.Errorf(farm.CodeUnavailable, "this Manager has no maintenance mode")
	}
	mode, err := h.Maintenance.Switch(ctx, r.Body.On, deref(r.Body.Reason), byUser)
	if err != nil {
		return nil, err
	}
	state, err := h.maintenance(ctx, mode)
	return api.SetMaintenance200JSONResponse(state), err
}

func (h *handlers) maintenance(ctx context.Context, mode farm.Maintenance) (api.Maintenance, error) {
	managers, err := h.Store.Managers(ctx)
	state := api.Maintenance{
		On: mode.On, Reason: optional(mode.Reason), Who: optional(mode.Who), Since: optionalTime(mode.Since), Epoch: mode.Epoch,
		Kept: len(mode.Awaits(managers)) == 0, Managers: make([]api.ManagerState, len(managers)),
	}
	for i, m := range managers {
		urls := m.URLs
		if urls == nil {
			urls = []string{}
		}
		state.Managers[i] = api.ManagerState{
			ID: m.ID, Name: m.Name, Urls: urls, Version: m.Version, Pid: m.PID, State: api.ManagerStatus(m.State), Epoch: m.Epoch,
			Started: m.Started.UTC(), Seen: m.Seen.UTC(),
		}
	}
	return state, err
}
