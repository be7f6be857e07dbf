// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// The states of the logs of a job; one that is not at its end is always in the first.
const (
	logsOpen   = 0
	logsPacked = 1
	logsPruned = 2
)

// endOfTime is later than all jobs.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// LogsToPack lists jobs that have ended and whose logs were not packed since, the one that ended first first.
func (s *Store) LogsToPack(ctx context.Context, limit int) ([]farm.FinishedJob, error) {
	return s.finishedJobs(ctx, logsOpen, endOfTime, limit)
}

// LogsPacked notes that the logs of a job are packed, unless it has changed since it was seen.
func (s *Store) LogsPacked(ctx context.Context, job farm.FinishedJob) error {
	return s.setLogsState(ctx, job, logsPacked)
}

// LogsToPrune lists jobs that ended up to a moment, whose logs are packed and were not pruned since. If there are none, next
// is when the next one ended; zero if there is none either.
func (s *Store) LogsToPrune(ctx context.Context, until time.Time, limit int) (jobs []farm.FinishedJob, next time.Time, err error) {
	jobs, err = s.finishedJobs(ctx, logsPacked, until, limit)
	if err != nil || len(jobs) > 0 {
		return jobs, time.Time{}, err
	}
	first, err := s.reads.FirstByLogsState(ctx, logsPacked)
	if err = wrap(err); farm.IsNotExist(err) {
		return nil, time.Time{}, nil
	}
	return nil, first.Time, err
}

// LogsPruned notes that the logs of a job are pruned, unless it has changed since it was seen.
func (s *Store) LogsPruned(ctx context.Context, job farm.FinishedJob) error {
	return s.setLogsState(ctx, job, logsPruned)
}

func (s *Store) finishedJobs(ctx context.Context, state int64, until time.Time, limit int) ([]farm.FinishedJob, error) {
	rows, err := s.reads.JobsByLogsState(ctx, query.JobsByLogsStateParams{LogsState: state, EndedAt: micros.Of(until), N: int64(limit)})
	jobs := make([]farm.FinishedJob, len(rows))
	for i, r := range rows {
		jobs[i] = farm.FinishedJob{ID: r.Uuid, Revision: r.Revision}
	}
	return jobs, wrap(err)
}

func (s *Store) setLogsState(ctx context.Context, job farm.FinishedJob, state int64) error {
	return s.Do(ctx, func(tx *Tx) error {
		return tx.q.SetLogsState(tx.ctx, query.SetLogsStateParams{LogsState: state, Uuid: job.ID, Revision: job.Revision})
	})
}
