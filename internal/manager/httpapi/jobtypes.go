// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"

	"flamenco.farm/internal/jobtype"
	"flamenco.farm/pkg/api"
)

func (h *handlers) GetJobTypes(ctx context.Context, _ api.GetJobTypesRequestObject) (api.GetJobTypesResponseObject, error) {
	types, err := h.JobTypes.Types(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]api.AvailableJobType, len(types))
	for i, t := range types {
		list[i] = apiJobType(t)
	}
	return api.GetJobTypes200JSONResponse{JobTypes: list}, nil
}

func (h *handlers) GetJobType(ctx context.Context, r api.GetJobTypeRequestObject) (api.GetJobTypeResponseObject, error) {
	t, err := h.JobTypes.Type(ctx, r.TypeName)
	if err != nil {
		return nil, err
	}
	return api.GetJobType200JSONResponse(apiJobType(t)), nil
}

func apiJobType(t jobtype.Type) api.AvailableJobType {
	converted := api.AvailableJobType{
		Name: t.Name, Label: t.Label, Description: optional(t.Description), Etag: t.ETag,
		Settings: make([]api.AvailableJobSetting, len(t.Settings)),
	}
	for i, s := range t.Settings {
		converted.Settings[i] = apiJobSetting(s)
	}
	return converted
}

func apiJobSetting(s jobtype.Setting) api.AvailableJobSetting {
	setting := api.AvailableJobSetting{
		Key:         s.Key,
		Type:        api.AvailableJobSettingType(s.Type),
		Subtype:     optional(api.AvailableJobSettingSubtype(s.Subtype)),
		Label:       optional(s.Label),
		Description: optional(s.Description),
		Choices:     s.Choices,
		Propargs:    s.PropArgs,
		Default:     s.Default,
		Eval:        optional(s.Eval),
		Visible:     optional(api.AvailableJobSettingVisibility(s.Visible)),
		Required:    optional(s.Required),
		Editable:    s.Editable,
	}
	if s.EvalInfo != nil {
		setting.EvalInfo = &api.AvailableJobSettingEvalInfo{ShowLinkButton: s.EvalInfo.ShowLinkButton, Description: s.EvalInfo.Description}
	}
	return setting
}
