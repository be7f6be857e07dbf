// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"strings"

	"flamenco.farm/internal/blender"
	"flamenco.farm/internal/variables"
	"flamenco.farm/pkg/api"
)

func (h *handlers) GetConfiguration(context.Context, api.GetConfigurationRequestObject) (api.GetConfigurationResponseObject, error) {
	h.Config.Refresh()
	cfg := h.Config.Current()
	return api.GetConfiguration200JSONResponse{StorageLocation: cfg.SharedStorage, ShamanEnabled: h.Shaman != nil, IsFirstRun: cfg.FirstRun}, nil
}

func (h *handlers) GetConfigurationFile(context.Context, api.GetConfigurationFileRequestObject) (api.GetConfigurationFileResponseObject, error) {
	h.Config.Refresh()
	return api.GetConfigurationFile200JSONResponse(h.Config.Document()), nil
}

func (h *handlers) UpdateConfigurationFile(_ context.Context, r api.UpdateConfigurationFileRequestObject) (api.UpdateConfigurationFileResponseObject, error) {
	waiting, err := h.Config.Replace(*r.Body)
	if err != nil {
		return nil, err
	}
	var answer api.UpdateConfigurationFile204Response
	if len(waiting) > 0 {
		names := strings.Join(waiting, ", ")
		answer.Headers.XFlamencoRestartNeeded = &names
	}
	return answer, nil
}

func (h *handlers) GetVariables(_ context.Context, r api.GetVariablesRequestObject) (api.GetVariablesResponseObject, error) {
	values := make(api.GetVariables200JSONResponse)
	for name, v := range h.Variables().Resolve(variables.Audience(r.Audience), r.Platform) {
		values[name] = api.ManagerVariable{Value: v.Value, IsTwoway: v.TwoWay}
	}
	return values, nil
}

func (h *handlers) GetSharedStorage(_ context.Context, r api.GetSharedStorageRequestObject) (api.GetSharedStorageResponseObject, error) {
	location := h.Config.Current().SharedStorage
	return api.GetSharedStorage200JSONResponse{
		Location: h.Variables().Path(location, variables.Audience(r.Audience), r.Platform), Audience: r.Audience, Platform: r.Platform,
		ShamanEnabled: h.Shaman != nil,
	}, nil
}

func (h *handlers) CheckSharedStoragePath(_ context.Context, r api.CheckSharedStoragePathRequestObject) (api.CheckSharedStoragePathResponseObject, error) {
	folder := h.Setup.CheckFolder(r.Body.Path)
	return api.CheckSharedStoragePath200JSONResponse{Path: folder.Path, IsUsable: folder.Usable, Cause: folder.Cause}, nil
}

func (h *handlers) FindBlenderExePath(ctx context.Context, _ api.FindBlenderExePathRequestObject) (api.FindBlenderExePathResponseObject, error) {
	all, err := h.Setup.FindBlender(ctx)
	if err != nil {
		return nil, err
	}
	list := make(api.FindBlenderExePath200JSONResponse, len(all))
	for i, found := range all {
		list[i] = apiBlender(found)
	}
	return list, nil
}

func (h *handlers) CheckBlenderExePath(ctx context.Context, r api.CheckBlenderExePathRequestObject) (api.CheckBlenderExePathResponseObject, error) {
	found, err := h.Setup.CheckBlender(ctx, r.Body.Path)
	if err != nil {
		return nil, err
	}
	return api.CheckBlenderExePath200JSONResponse(apiBlender(found)), nil
}

func (h *handlers) SaveSetupAssistantConfig(_ context.Context, r api.SaveSetupAssistantConfigRequestObject) (api.SaveSetupAssistantConfigResponseObject, error) {
	chosen := r.Body.BlenderExecutable
	err := h.Setup.Finish(r.Body.StorageLocation, blender.Found{
		Input: chosen.Input, Path: chosen.Path, Source: blender.Source(chosen.Source), Usable: chosen.IsUsable, Cause: chosen.Cause,
	})
	if err != nil {
		return nil, err
	}
	return api.SaveSetupAssistantConfig204Response{}, nil
}

func apiBlender(found blender.Found) api.BlenderPathCheckResult {
	return api.BlenderPathCheckResult{
		Input: found.Input, Path: found.Path, Source: api.BlenderPathSource(found.Source), IsUsable: found.Usable, Cause: found.Cause,
	}
}
