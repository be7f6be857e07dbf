// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"io"
	"net/http"

	"flamenco.farm/pkg/api"
)

// ExportFarm copies the whole farm, as one file, to w. It takes the admin token of the Manager. What was written is an
// export only when there is no error: a connection that is cut before the end is one. A proxy may hide that from its
// clients; the last line of the file, with the number of rows and a SHA-256, is missing then, which every import sees.
func (c *Client) ExportFarm(ctx context.Context, token string, w io.Writer) error {
	resp, err := c.api.ExportFarm(ctx, header("Authorization", "Bearer "+token))
	if err != nil {
		return plain(err)
	}
	if resp.StatusCode != http.StatusOK {
		return errorFrom(resp)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return plain(err)
	}
	return nil
}

// ImportFarm sends an export, and returns the operation that puts it in the place of the farm; WatchOperation follows that.
// It takes the admin token of the Manager. erase is the identifier of the farm, whose contents are then lost; "" = import
// into an empty farm only.
func (c *Client) ImportFarm(ctx context.Context, token, erase string, export io.Reader) (api.Operation, error) {
	params := &api.ImportFarmParams{}
	if erase != "" {
		params.Erase = &erase
	}
	a, err := decode[api.Operation](c.api.ImportFarmWithBody(ctx, params, "application/octet-stream", export,
		header("Authorization", "Bearer "+token),
		header("Expect", "100-continue"))) // what is refused for other reasons is not sent at all
	return a.body, err
}
