// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"flamenco.farm/internal/farm"
)

// outcomes counts attempts by how they ended: completed, failed, lost, canceled.
type outcomes [4]int64

func (o *outcomes) count(outcome farm.Outcome, n int64) {
	switch outcome {
	case farm.OutcomeCompleted:
		o[0] += n
	case farm.OutcomeFailed:
		o[1] += n
	case farm.OutcomeLost:
		o[2] += n
	case farm.OutcomeCanceled:
		o[3] += n
	}
}

// usage counts what became of transactions.
type usage struct {
	committed, undone, retries atomic.Int64
	ended                      [4]atomic.Int64
}

// add counts one transaction, whose outcomes hold if err is nil.
func (u *usage) add(ended outcomes, err error) {
	if err != nil {
		u.undone.Add(1)
		return
	}
	u.commit(ended)
}

func (u *usage) commit(ended outcomes) {
	u.committed.Add(1)
	for i, n := range ended {
		if n != 0 {
			u.ended[i].Add(n)
		}
	}
}

// Usage is how the database was used since it was opened.
type Usage struct {
	Committed int64 // transactions
	Undone    int64 // transactions that failed or were refused, so that nothing of them stays
	Retries   int64 // attempts that the database ended or did not let begin, and that were made again
	Ended     map[farm.Outcome]int64
	Pools     map[string]sql.DBStats // of connections: write and read
	HasLog    bool                   // the write-ahead log is ours to watch, as SQLite's is
	Log       int64                  // bytes of it
}

// Usage never waits for the database.
func (s *Store) Usage() Usage {
	u := Usage{
		Committed: s.usage.committed.Load(), Undone: s.usage.undone.Load(), Retries: s.usage.retries.Load(),
		Ended: map[farm.Outcome]int64{
			farm.OutcomeCompleted: s.usage.ended[0].Load(), farm.OutcomeFailed: s.usage.ended[1].Load(),
			farm.OutcomeLost: s.usage.ended[2].Load(), farm.OutcomeCanceled: s.usage.ended[3].Load(),
		},
		Pools: map[string]sql.DBStats{"write": s.write.Stats(), "read": s.read.Stats()},
	}
	if s.wal != nil {
		u.HasLog, u.Log = true, s.wal.size()
	}
	return u
}

// Counts is what a farm has to do.
type Counts struct {
	Jobs       map[farm.JobStatus]int
	Tasks      map[farm.TaskStatus]int // of jobs that have not ended
	Workers    map[farm.WorkerStatus]int
	Operations map[farm.OperationStatus]int // that have not ended
	Ready      int                          // tasks that a worker could get
	Size       int64                        // bytes of the database
	ReadySince time.Time                    // how long the longest-waiting of the tasks next in line waits; zero = none waits
}

// lineLength is of how many jobs and types the next tasks are looked at.
const lineLength = 200

// Counts costs the same whatever the number of tasks: it reads counters and one task of each job that may run.
func (s *Store) Counts(ctx context.Context) (c Counts, err error) {
	if c.Jobs, err = s.JobCounts(ctx); err != nil {
		return c, err
	}
	if c.Workers, err = s.WorkerCounts(ctx); err != nil {
		return c, err
	}
	tasks, err := s.reads.CountTasksToDo(ctx)
	if err != nil {
		return c, wrap(err)
	}
	c.Tasks = map[farm.TaskStatus]int{
		farm.TaskQueued: int(tasks.Queued), farm.TaskActive: int(tasks.Active), farm.TaskCompleted: int(tasks.Completed),
		farm.TaskSoftFailed: int(tasks.SoftFailed), farm.TaskFailed: int(tasks.Failed), farm.TaskCanceled: int(tasks.Canceled),
		farm.TaskPaused: int(tasks.Paused),
	}
	operations, err := s.reads.CountOpenOperations(ctx)
	if err != nil {
		return c, wrap(err)
	}
	c.Operations = map[farm.OperationStatus]int{}
	for _, o := range operations {
		c.Operations[farm.OperationStatus(o.Status)] = int(o.N)
	}
	ready, err := s.reads.CountReady(ctx)
	if err != nil {
		return c, wrap(err)
	}
	c.Ready = int(ready)
	since, err := s.reads.LongestReady(ctx, lineLength)
	if err != nil {
		return c, wrap(err)
	}
	if since > 0 {
		c.ReadySince = time.UnixMicro(since)
	}
	c.Size, err = s.size(ctx)
	return c, wrap(err)
}

// size is that of the whole database, on PostgreSQL without the write-ahead log, which is the server's.
func (s *Store) size(ctx context.Context) (bytes int64, err error) {
	if s.wal == nil {
		err = s.read.QueryRowContext(ctx, "SELECT pg_database_size(current_database())").Scan(&bytes)
		return bytes, err
	}
	info, err := os.Stat(s.wal.database)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// CheckReads reports whether the database answers and has the schema that it had when it was opened: another Manager may
// have brought it up to date for a later version.
func (s *Store) CheckReads(ctx context.Context) error {
	version, err := schemaVersion(ctx, s.read)
	switch {
	case err != nil:
		return err
	case version != s.schema:
		return farm.Errorf(farm.CodePrecondition, "its schema has changed from version %d to %d: another version of Flamenco uses it", s.schema, version)
	}
	return nil
}

// CheckWrites reports whether a transaction can be written.
func (s *Store) CheckWrites(ctx context.Context) error {
	return s.Do(ctx, func(*Tx) error { return nil })
}

func schemaVersion(ctx context.Context, db *sql.DB) (version int64, err error) {
	err = db.QueryRowContext(ctx, "SELECT COALESCE(max(version_id), 0) FROM goose_db_version").Scan(&version)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("reading the version of the schema: %w", err)
	}
	return version, wrap(err)
}
