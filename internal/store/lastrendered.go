// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// SetLastRendered notes that a job has a new picture of what it rendered, which makes it the newest of the farm. A job that is
// gone or to be deleted is farm.ErrNotExist, and then the picture has to go too: whoever deletes the job may have looked for
// its files already.
func (tx *Tx) SetLastRendered(jobID string) error {
	at := tx.now
	newest, err := tx.q.LastRenderedJob(tx.ctx)
	if err := wrap(err); err != nil && !farm.IsNotExist(err) {
		return err
	}
	if !newest.RenderedAt.Before(micros.Of(at).Time) { // the clock was set back, or two came at once
		at = newest.RenderedAt.Add(time.Microsecond)
	}
	tx.Changed(farm.Change{Kind: farm.ChangeLastRendered, JobID: jobID})
	n, err := tx.q.SetLastRendered(tx.ctx, query.SetLastRenderedParams{Uuid: jobID, RenderedAt: at.UnixMicro()})
	return existing(n, err)
}

// RenderedAt is when a job's newest picture came; farm.ErrNotExist if it has none.
func (s *Store) RenderedAt(ctx context.Context, jobID string) (time.Time, error) {
	at, err := s.reads.JobRenderedAt(ctx, jobID)
	return at.Time, wrap(err)
}

// LastRenderedJob is the job that has the farm's newest picture; farm.ErrNotExist if there is none.
func (s *Store) LastRenderedJob(ctx context.Context) (string, error) {
	row, err := s.reads.LastRenderedJob(ctx)
	return row.Uuid, wrap(err)
}
