// SPDX-License-Identifier: GPL-3.0-or-later

package bare

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"flamenco.farm/internal/farm"
)

// sqlite is one writer on one connection, which puts into a commit whatever came while it wrote the one before, as the
// Manager's does, but without a savepoint for each member.
type sqlite struct {
	db, reads *sql.DB
	conn      *sql.Conn
	at        statements
	current   *sql.Stmt // for mayRun
	queue     chan *entry
	ended     chan struct{}

	mu      sync.RWMutex
	rows    map[string]int64 // of Workers
	secrets map[string]string
}

type entry struct {
	do   func(ctx context.Context) error
	done chan error
}

// mostAtOnce bounds a commit.
const mostAtOnce = 256

func openSQLite(ctx context.Context, path string, full bool) (engine, error) {
	synchronous := "NORMAL"
	if full {
		synchronous = "FULL"
	}
	params := url.Values{"_pragma": {"journal_mode(WAL)", "foreign_keys(ON)", "synchronous(" + synchronous + ")", "temp_store(MEMORY)", "busy_timeout(5000)"}}
	uri := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: params.Encode()}
	s := &sqlite{
		queue: make(chan *entry, mostAtOnce), ended: make(chan struct{}), rows: map[string]int64{}, secrets: map[string]string{},
	}
	if err := s.open(ctx, uri.String()); err != nil {
		close(s.ended)
		return nil, errors.Join(err, s.closeAll())
	}
	go s.run()
	return s, nil
}

func (s *sqlite) open(ctx context.Context, uri string) (err error) {
	if s.db, err = sql.Open("sqlite", uri); err != nil {
		return err
	}
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return err
	}
	if _, err = s.conn.ExecContext(ctx, fmt.Sprintf(eventTable, "INTEGER PRIMARY KEY")); err != nil {
		return err
	}
	if err = s.at.prepare(ctx, s.conn); err != nil {
		return err
	}
	if s.reads, err = sql.Open("sqlite", uri); err != nil {
		return err
	}
	s.current, err = s.reads.PrepareContext(ctx, `SELECT worker_id, status FROM tasks WHERE uuid = $1`)
	return err
}

// run writes until the queue is closed.
func (s *sqlite) run() {
	defer close(s.ended)
	ctx := context.Background()
	for first := range s.queue {
		_, err := s.at.begin.ExecContext(ctx)
		members := []*entry{first}
		results := []error{err}
		if err == nil {
			results[0] = first.do(ctx)
		fill:
			for len(members) < mostAtOnce {
				select {
				case e, ok := <-s.queue:
					if !ok {
						break fill
					}
					members, results = append(members, e), append(results, e.do(ctx))
				default:
					break fill
				}
			}
			_, err = s.at.commit.ExecContext(ctx)
		}
		for i, e := range members {
			if err != nil {
				results[i] = err
			}
			e.done <- results[i]
		}
	}
}

func (s *sqlite) write(do func(ctx context.Context) error) error {
	e := &entry{do: do, done: make(chan error, 1)}
	s.queue <- e
	return <-e.done
}

// Close waits for what is being written.
func (s *sqlite) Close() error {
	close(s.queue)
	<-s.ended
	return s.closeAll()
}

func (s *sqlite) closeAll() error {
	var errs []error
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	for _, db := range []*sql.DB{s.db, s.reads} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// WorkerSecret is the hash of a Worker's secret.
func (s *sqlite) WorkerSecret(_ context.Context, id string) (string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if hash, ok := s.secrets[id]; ok {
		return hash, nil
	}
	return "", farm.ErrNotExist
}

func (s *sqlite) row(worker string) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rows[worker]
}

func (s *sqlite) register(_ context.Context, w newWorker) error {
	return s.write(func(ctx context.Context) error {
		var row int64
		if err := s.conn.QueryRowContext(ctx, insertWorker, w.id, w.secretHash, w.name).Scan(&row); err != nil {
			return err
		}
		for i, t := range w.taskTypes {
			if _, err := s.conn.ExecContext(ctx, insertTaskType, row, t, i); err != nil {
				return err
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rows[w.id], s.secrets[w.id] = row, w.secretHash
		return nil
	})
}

func (s *sqlite) mayRun(ctx context.Context, worker, task string) (bool, error) {
	var holder sql.NullInt64
	var status string
	err := s.current.QueryRowContext(ctx, task).Scan(&holder, &status)
	return err == nil && holder.Int64 == s.row(worker) && status == "active", err
}

func (s *sqlite) claim(_ context.Context, worker, assignment string) (t *task, err error) {
	row := s.row(worker)
	err = s.write(func(ctx context.Context) (err error) {
		t, err = s.at.claim(ctx, row, worker, assignment)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = farm.ErrNotExist
	}
	return t, err
}

func (s *sqlite) update(_ context.Context, u update) error {
	row := s.row(u.workerID)
	err := s.write(func(ctx context.Context) error { return s.at.update(ctx, row, u) })
	if errors.Is(err, sql.ErrNoRows) {
		return farm.ErrNotExist
	}
	return err
}

func now() int64 { return time.Now().UnixMicro() }
