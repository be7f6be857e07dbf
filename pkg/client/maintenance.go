// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"

	"flamenco.farm/pkg/api"
)

// Maintenance is the maintenance mode of the farm, with its Managers.
func (c *Client) Maintenance(ctx context.Context) (api.Maintenance, error) {
	a, err := decode[api.Maintenance](c.api.FetchMaintenance(ctx))
	return a.body, err
}

// SetMaintenance begins a maintenance of the farm or ends it. It takes the admin token of the Manager. reason is for people.
func (c *Client) SetMaintenance(ctx context.Context, token string, on bool, reason string) (api.Maintenance, error) {
	change := api.MaintenanceChange{On: on}
	if reason != "" {
		change.Reason = &reason
	}
	a, err := decode[api.Maintenance](c.api.SetMaintenance(ctx, change, header("Authorization", "Bearer "+token)))
	return a.body, err
}
