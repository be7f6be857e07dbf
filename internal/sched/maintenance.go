// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"context"
	"time"

	"flamenco.farm/internal/farm"
)

// atRest reports whether no clock may run out: in a maintenance, and after one for as long as after a start, because
// Workers may not have been able to call.
func (s *Service) atRest(ctx context.Context, now time.Time) (bool, error) {
	m, err := s.store.Maintenance(ctx)
	if err != nil {
		return false, err
	}
	return m.On || (!m.Since.IsZero() && now.Sub(m.Since) < s.TimeoutGrace), nil
}

func isMaintenance(c farm.Change) bool { return c.Kind == farm.ChangeMaintenance }
