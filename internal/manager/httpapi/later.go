// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"

	"flamenco.farm/pkg/api"
)

// These operations are in the document and answer 501: the Manager does not do yet what they are for.

func (h *handlers) FetchJobLastRenderedInfo(context.Context, api.FetchJobLastRenderedInfoRequestObject) (api.FetchJobLastRenderedInfoResponseObject, error) {
	return nil, errLater
}

func (h *handlers) FetchGlobalLastRenderedInfo(context.Context, api.FetchGlobalLastRenderedInfoRequestObject) (api.FetchGlobalLastRenderedInfoResponseObject, error) {
	return nil, errLater
}
