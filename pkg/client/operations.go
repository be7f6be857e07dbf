// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"iter"

	"flamenco.farm/pkg/api"
)

// StartOperation starts an operation of the Manager. The token is what is in the file admin.token of its local storage.
func (c *Client) StartOperation(ctx context.Context, token, kind string, params map[string]any) (api.Operation, error) {
	a, err := decode[api.Operation](c.api.StartOperation(asRepeatable(ctx), api.OperationStart{Kind: kind, Params: params},
		header("Authorization", "Bearer "+token)))
	return a.body, err
}

// WatchOperation yields an operation at once and then after each of its changes, as WatchJob does with jobs.
func (c *Client) WatchOperation(ctx context.Context, id string) iter.Seq2[api.Operation, error] {
	return watch(ctx, func(edit ...api.RequestEditorFn) (answer[api.Operation], error) {
		return decode[api.Operation](c.api.FetchOperation(ctx, id, nil, edit...))
	})
}

// CancelOperation cancels an operation.
func (c *Client) CancelOperation(ctx context.Context, id string) error {
	return done(c.api.CancelOperation(asRepeatable(ctx), id))
}

// Operations yields the operations of the Manager, the newest first.
func (c *Client) Operations(ctx context.Context, list List) iter.Seq2[api.Operation, error] {
	return pages(func(after string) (answer[api.OperationList], error) {
		return decode[api.OperationList](c.api.FetchOperations(ctx, nil, list.editor(after)))
	}, func(page api.OperationList) []api.Operation { return page.Operations })
}
