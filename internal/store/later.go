// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"

	"flamenco.farm/internal/store/query"
)

// later is what nobody reads before the end of a batch, written then for all members at once.
type later struct {
	counts  []query.AddJobCountsParams
	ready   []query.AddReadyParams
	history []query.InsertStatusChangeParams
}

func (l *later) add(more later) {
	l.counts, l.ready, l.history = append(l.counts, more.counts...), append(l.ready, more.ready...), append(l.history, more.history...)
}

// write queues it: a statement for each job, one for each task type of it, and one for all lines of history.
func (l *later) write(ctx context.Context, p *pipe) error {
	q := query.New(p)
	for _, sum := range summed(l.counts, func(a query.AddJobCountsParams) int64 { return a.ID }, func(sum *query.AddJobCountsParams, a query.AddJobCountsParams) {
		sum.Queued, sum.Active, sum.Completed, sum.SoftFailed = sum.Queued+a.Queued, sum.Active+a.Active, sum.Completed+a.Completed, sum.SoftFailed+a.SoftFailed
		sum.Failed, sum.Canceled, sum.Paused, sum.Steps = sum.Failed+a.Failed, sum.Canceled+a.Canceled, sum.Paused+a.Paused, sum.Steps+a.Steps
	}) {
		if err := q.AddJobCounts(ctx, sum); err != nil {
			return err
		}
	}
	type place struct {
		job      int64
		taskType string
	}
	for _, sum := range summed(l.ready, func(a query.AddReadyParams) place { return place{a.JobID, a.TaskType} }, func(sum *query.AddReadyParams, a query.AddReadyParams) {
		sum.N += a.N
	}) {
		if err := q.AddReady(ctx, sum); err != nil {
			return err
		}
	}
	return l.writeHistory(ctx, p)
}

// summed adds up what has the same key, in the order in which the keys came.
func summed[T any, K comparable](all []T, key func(T) K, add func(sum *T, more T)) (sums []T) {
	at := map[K]int{}
	for _, one := range all {
		if i, there := at[key(one)]; there {
			add(&sums[i], one)
			continue
		}
		at[key(one)] = len(sums)
		sums = append(sums, one)
	}
	return sums
}

const insertHistory = `INSERT INTO status_changes (what, object_id, job_id, from_status, to_status, changed_at, who, reason)
SELECT what, object_id, NULLIF(job_id, 0), from_status, to_status, changed_at, who, reason
FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::BIGINT[], $7::TEXT[], $8::TEXT[])
    WITH ORDINALITY AS h (what, object_id, job_id, from_status, to_status, changed_at, who, reason, n) ORDER BY n`

func (l *later) writeHistory(ctx context.Context, p *pipe) error {
	if len(l.history) == 0 {
		return nil
	}
	var what, from, to, who, reason []string
	var object, job, at []int64
	for _, h := range l.history {
		what, from, to, who, reason = append(what, h.What), append(from, h.FromStatus), append(to, h.ToStatus), append(who, h.Who), append(reason, h.Reason)
		object, job, at = append(object, h.ObjectID), append(job, h.JobID.Int64), append(at, h.ChangedAt.UnixMicro())
	}
	_, err := p.ExecContext(ctx, insertHistory, what, object, job, from, to, at, who, reason)
	return err
}
