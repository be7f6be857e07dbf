// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"flamenco.farm/internal/farm"
)

// The write-ahead log is where SQLite writes first. SQLite empties it by itself unless somebody always reads; what it
// may have on disk meanwhile is bounded here.
const (
	walLimit = 64 << 20 // bytes
	// walPages is after how many pages SQLite copies them to the file of the database, while writers wait: seldom, as pages that
	// were written several times are copied once. With SQLite's own 1000 every 25th task of a large farm waited for 10 ms.
	walPages = 8000
	// nearlyAll is how many pages may be left to copy when writers are made to wait for the rest.
	nearlyAll = 2000
	// A long reader is waited for with growing pauses.
	firstPause, lastPause = 250 * time.Millisecond, 10 * time.Second
	// keeperBusy is how long writers may have to wait for readers while the log is emptied.
	keeperBusy = 50 * time.Millisecond
	// readLimit ends a statement of a reader that goes on for so long: no answer takes that time, and as long as it
	// reads, the log cannot be emptied.
	readLimit = time.Minute
)

// walWatch notices when the write-ahead log has grown too large.
type walWatch struct {
	database string
	path     string
	limit    int64
	grown    chan struct{}
}

func newWALWatch(opts Options) *walWatch {
	return &walWatch{database: opts.Database, path: opts.Database + "-wal", limit: opts.WALLimit, grown: make(chan struct{}, 1)}
}

func (w *walWatch) size() int64 {
	info, err := os.Stat(w.path)
	if err != nil {
		return 0 // there is none while the database is closed
	}
	return info.Size()
}

// look is called after each commit.
func (w *walWatch) look() {
	if w.size() <= w.limit {
		return
	}
	select {
	case w.grown <- struct{}{}:
	default: // it is known
	}
}

// Run does until ctx ends what an open database needs: SQLite's write-ahead log is kept small; on PostgreSQL the other
// Managers hear what this one changed, and this one hears of them. Both forget old events.
func (s *Store) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.forgetEvents(ctx) })
	if s.events != nil {
		g.Go(func() error { return s.events.run(ctx) })
	} else {
		g.Go(func() error { return s.keepWAL(ctx) })
	}
	return g.Wait()
}

func (s *Store) keepWAL(ctx context.Context) error {
	var again <-chan time.Time // only while it is too large
	pause := firstPause
	s.wal.look()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wal.grown:
		case <-again:
		}
		if err := s.emptyWAL(ctx); err != nil && ctx.Err() == nil && !isBusy(err) {
			s.log.Error("cannot empty the write-ahead log of the database", "error", err)
		}
		size := s.wal.size()
		if size <= s.wal.limit {
			again, pause = nil, firstPause
			continue
		}
		if pause >= lastPause && size > 8*s.wal.limit {
			s.log.Warn("the write-ahead log of the database cannot be emptied while something reads the database for so long",
				"file", s.wal.path, "bytes", size)
		}
		again = time.After(pause)
		pause = min(2*pause, lastPause)
	}
}

// emptyWAL copies the log into the database without stopping anybody, and only the little that is left then while
// writers wait. It returns without having done so when a reader still needs what is in the log.
func (s *Store) emptyWAL(ctx context.Context) error {
	log, done, err := s.checkpoint(ctx, "PASSIVE")
	if err != nil || log-done > nearlyAll {
		return err
	}
	_, _, err = s.checkpoint(ctx, "TRUNCATE")
	return err
}

// checkpoint returns how many pages are in the log, and how many of them are in the database by now.
func (s *Store) checkpoint(ctx context.Context, mode string) (log, done int64, err error) {
	var busy int
	err = s.keep.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &log, &done)
	return log, done, err
}

// limited is ctx for reading a list. end frees it and says so if the time was up.
func limited(ctx context.Context) (_ context.Context, end func(*error)) {
	ctx, cancel := context.WithTimeoutCause(ctx, readLimit, errReadTooLong)
	return ctx, func(err *error) {
		if *err != nil && context.Cause(ctx) == errReadTooLong { //nolint:errorlint // it is this very one
			*err = errReadTooLong
		}
		cancel()
	}
}

var errReadTooLong = farm.Errorf(farm.CodeBusy, "reading this from the database takes too long; ask for less at once")
