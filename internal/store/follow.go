// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"flamenco.farm/internal/farm"
)

const (
	channel = "flamenco" // of NOTIFY; its messages are empty
	// notifyEvery is how often one Manager wakes the others at most: a notifying commit takes a lock of the whole server.
	notifyEvery = 20 * time.Millisecond
	// lookAnyway is how long a follower waits for a message before it looks without one: a message may be lost.
	lookAnyway = time.Second
	// eventsAtOnce is how many commits one look takes.
	eventsAtOnce = 500
	// keepEvents is how long events stay. They are as old as the beginning of their transactions.
	keepEvents = longTransaction + unreadEvents
	// unreadEvents is for how long events may stay unread.
	unreadEvents = 10 * time.Minute
	// forgetEvery is how often old events are deleted, some at a time.
	forgetEvery, forgetAtOnce = time.Minute, 1000
)

// follower hears what other Managers commit to the same PostgreSQL database, and lets them hear of this one.
type follower struct {
	store   *Store
	listen  Options
	origin  string // this Manager
	log     *slog.Logger
	publish func([]farm.Change)
	wake    chan struct{} // something was committed here
	at      cursor
	looked  time.Time // when nothing was unread, or some of it was read; zero = it is not known what happened before
}

// cursor is how far the events were read. Events are read in the order of their transactions' numbers, and only those of
// transactions before the oldest that still runs: by id alone, what a slow transaction commits late would be passed over.
type cursor struct{ xid, id int64 }

func newFollower(opts Options, s *Store) *follower {
	return &follower{
		store: s, listen: opts, origin: uuid.NewString(), log: opts.Log, publish: opts.OnRemote, wake: make(chan struct{}, 1),
	}
}

// committed is called after each commit; it never blocks.
func (f *follower) committed() {
	select {
	case f.wake <- struct{}{}:
	default: // a message is due already
	}
}

func (f *follower) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	heard := make(chan struct{}, 1)
	g.Go(func() error { return f.tell(ctx) })
	g.Go(func() error { return f.hear(ctx, heard) })
	g.Go(func() error { return f.follow(ctx, heard) })
	return g.Wait()
}

// tell wakes the other Managers after commits of this one.
func (f *follower) tell(ctx context.Context) error {
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := f.store.write.ExecContext(ctx, "SELECT pg_notify('"+channel+"', '')"); err != nil && ctx.Err() == nil && !isAway(err) {
			f.log.Warn("cannot wake the other Managers; they look by themselves every second", "error", err)
		}
		if err := pause(ctx, notifyEvery); err != nil {
			return err
		}
	}
}

// hear listens on a connection of its own and passes messages on to follow.
func (f *follower) hear(ctx context.Context, heard chan<- struct{}) error {
	for {
		if err := f.hearOnce(ctx, heard); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil && !isAway(err) {
			f.log.Warn("cannot listen to the other Managers; looking every second instead", "error", err)
		}
		if err := pause(ctx, lookAnyway); err != nil {
			return err
		}
	}
}

func (f *follower) hearOnce(ctx context.Context, heard chan<- struct{}) error {
	cfg, err := parsePostgres(f.listen.Database)
	if err != nil {
		return err
	}
	cfg.RuntimeParams["application_name"] = "flamenco-manager listening"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // whoever hears of nothing more listens anew
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
		select {
		case heard <- struct{}{}:
		default:
		}
	}
}

// follow publishes what others committed. When it cannot know what it missed it says that anything may have changed.
func (f *follower) follow(ctx context.Context, heard <-chan struct{}) error {
	for {
		more, err := f.look(ctx)
		if err != nil && ctx.Err() == nil && !isAway(err) {
			f.log.Warn("cannot read what other Managers changed", "error", err)
		}
		if more {
			continue
		}
		timer := time.NewTimer(lookAnyway)
		select {
		case <-heard:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// look reads the events behind the cursor. more says that there may be more of them.
func (f *follower) look(ctx context.Context) (more bool, err error) {
	if _, err := f.store.clock.read(ctx, f.store.read); err != nil {
		return false, err
	}
	began := time.Now()
	if began.Sub(f.looked) > unreadEvents/2 { // also at the first look
		if f.at, err = f.now(ctx); err != nil {
			return false, err
		}
		f.looked = began
		f.publish([]farm.Change{{Kind: farm.ChangeRefresh}})
	}
	n, err := f.read(ctx)
	held := false
	if err == nil && n == 0 {
		held, err = f.held(ctx)
	}
	if err == nil && !held {
		f.looked = began
	}
	return n == eventsAtOnce, err
}

// held reports whether there are events behind the cursor that cannot be read while a transaction runs that is older, whoever
// runs it on this server. They may be forgotten before it ends.
func (f *follower) held(ctx context.Context) (held bool, err error) {
	err = f.store.read.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM events WHERE (xid, id) > ($1, $2))", f.at.xid, f.at.id).Scan(&held)
	return held, err
}

// now is behind all that is committed.
func (f *follower) now(ctx context.Context) (c cursor, err error) {
	err = f.store.read.QueryRowContext(ctx, "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)").Scan(&c.xid)
	return c, err
}

const eventsBehind = `SELECT xid, id, origin, changes FROM events
WHERE (xid, id) > ($1, $2) AND xid < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)
ORDER BY xid, id LIMIT $3`

func (f *follower) read(ctx context.Context) (n int, err error) {
	rows, err := f.store.read.QueryContext(ctx, eventsBehind, f.at.xid, f.at.id, eventsAtOnce)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var changes []farm.Change
	at := f.at
	for rows.Next() {
		var origin, text string
		if err := rows.Scan(&at.xid, &at.id, &origin, &text); err != nil {
			return 0, err
		}
		n++
		if origin == f.origin {
			continue
		}
		more, err := decodeChanges(text)
		if err != nil {
			return 0, fmt.Errorf("event %d: %w", at.id, err)
		}
		changes = append(changes, more...)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	f.at = at
	if len(changes) > 0 {
		f.publish(changes)
	}
	return n, nil
}

// forgetEvents deletes what is too old for anybody to ask for.
func (s *Store) forgetEvents(ctx context.Context) error {
	for {
		if err := s.forgetOldEvents(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, farm.ErrBusy) {
			s.log.Warn("cannot delete old events from the database", "error", err)
		}
		if err := pause(ctx, forgetEvery); err != nil {
			return err
		}
	}
}

func (s *Store) forgetOldEvents(ctx context.Context) error {
	for {
		var n int64
		err := s.Do(ctx, func(tx *Tx) (err error) {
			n, err = tx.forgetEvents(tx.now.Add(-keepEvents))
			return err
		})
		if err != nil || n < forgetAtOnce {
			return err
		}
	}
}

// forgetEvents deletes the oldest events if they are from before a moment.
func (tx *Tx) forgetEvents(before time.Time) (int64, error) {
	oldest, err := tx.q.OldestEvents(tx.ctx, forgetAtOnce)
	if err != nil {
		return 0, err
	}
	var upto int64
	for _, e := range oldest {
		if e.CreatedAt.Before(before) {
			upto = e.ID
		}
	}
	if upto == 0 {
		return 0, nil
	}
	return tx.q.DeleteEvents(tx.ctx, upto)
}

// rowQuerier is a connection or transaction that can be asked for one row.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
