// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"log/slog"
	"time"

	"flamenco.farm/internal/store"
)

// retentionEvery is how often it is looked for jobs that have to go.
const retentionEvery = time.Hour

// retention has jobs deleted that are old enough, and those whose deletion came to nothing: it was canceled, or it failed.
type retention struct {
	store *store.Store
	keep  time.Duration // jobs that ended are kept for this long, 0 = for ever
	start func(ctx context.Context, kind string, params any, who string) error
	enter func() (leave func(), err error) // an error in a maintenance: then nothing is deleted
	log   *slog.Logger
}

// run looks at once and then every hour.
func (r retention) run(ctx context.Context) error {
	tick := time.NewTicker(retentionEvery)
	defer tick.Stop()
	for {
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("cannot look for jobs to delete, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (r retention) look(ctx context.Context) error {
	leave, err := r.enter()
	if err != nil {
		return nil // it looks again in an hour
	}
	defer leave()
	if r.keep > 0 {
		old, err := r.store.HasEndedJobs(ctx, time.Now().Add(-r.keep))
		if err != nil {
			return err
		}
		if old {
			return r.start(ctx, kindRetention, retentionParams{OlderThan: r.keep.String()}, "manager")
		}
	}
	marked, err := r.store.CountMarkedJobs(ctx)
	if err != nil || marked == 0 {
		return err
	}
	return r.start(ctx, kindMassDeletion, massParams{}, "manager")
}
