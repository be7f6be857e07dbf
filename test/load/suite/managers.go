// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"fmt"
	"slices"
)

// twoManagers compares two Managers on one database with one, each with one processor and then with all.
func twoManagers(ctx context.Context, s *suite) error {
	for _, pinned := range []bool{true, false} {
		if err := s.compareManagers(ctx, pinned); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) compareManagers(ctx context.Context, pinned bool) error {
	var env []string
	what, least := "2 Managers against 1", 0.9
	if pinned {
		env, what, least = []string{"GOMAXPROCS=1"}, "2 Managers against 1, each with GOMAXPROCS=1", 1.2
	}
	database, err := s.engine.database(ctx, "")
	if err != nil {
		return err
	}
	var servers []*server
	defer func() {
		for _, srv := range servers {
			srv.stop()
		}
	}()
	for range 2 {
		srv, err := s.manager(ctx, database, env...)
		if err != nil {
			return err
		}
		servers = append(servers, srv)
	}
	var ratios []float64
	var ones, twos runs
	for range s.runs {
		one, err := s.drain(ctx, s.base(), servers[0])
		if err != nil {
			return err
		}
		two, err := s.drain(ctx, s.base(), servers...)
		if err != nil {
			return err
		}
		ones, twos = append(ones, one), append(twos, two)
		ratios = append(ratios, ratio(two.Rate, one.Rate))
	}
	s.add(what, fmt.Sprintf("%.2f ×", median(ratios)), fmt.Sprintf("≥ %.1f ×", least), verdict(median(ratios) >= least),
		fmt.Sprintf("%.0f /s with two, 0 double assignments", twos.rate()), slices.Concat(ones, twos)...)
	return nil
}
