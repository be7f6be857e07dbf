// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// A commit takes everything that queued up while the one before it ran, up to these bounds.
const (
	maxEntries = 256
	maxWork    = 5 * time.Millisecond
)

// company says whether an entry may share its commit with others.
type company int

const (
	shared company = iota
	alone
)

var errClosed = errors.New("the database is closed")

// group is the one goroutine that writes. Each commit takes the entries that queued up while the previous one ran; an
// entry that fails is undone by its savepoint, an error of the storage fails every entry of the commit. Callers are
// answered after COMMIT. Their contexts never reach the driver: an interrupted statement would undo everybody's work.
type group struct {
	conn     *sqliteConn
	wal      *walWatch
	busy     time.Duration
	work     time.Duration // maxWork, but for tests that must not depend on how fast they run
	onCommit func([]farm.Change)
	wanted   func(farm.ChangeKind) bool
	observe  func(transactions int, took time.Duration)
	usage    *usage
	queue    chan *entry
	quit     chan struct{}
	ended    chan struct{}
	pending  []*entry // taken from the queue, oldest first; only run touches it
}

type entry struct {
	ctx     context.Context
	fn      func(*Tx) error
	company company
	since   time.Time
	changes []farm.Change
	ended   outcomes
	err     error
	done    chan struct{}
}

func newGroup(s *Store, opts Options) *group {
	g := &group{
		conn: s.conn, wal: s.wal, busy: opts.BusyTimeout, work: maxWork, onCommit: opts.OnCommit,
		wanted: opts.Wanted, observe: opts.Observe, usage: &s.usage,
		queue: make(chan *entry, maxEntries), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	go g.run()
	return g
}

func (g *group) stop() {
	close(g.quit)
	<-g.ended
}

func (g *group) do(ctx context.Context, fn func(*Tx) error, c company) error {
	e := &entry{ctx: ctx, fn: fn, company: c, since: time.Now(), done: make(chan struct{})}
	select {
	case g.queue <- e:
	case <-ctx.Done():
		return ctx.Err()
	case <-g.ended:
		return errClosed
	}
	select {
	case <-e.done: // waited for even when ctx ends, because fn may be running
	case <-g.ended:
		select {
		case <-e.done:
		default:
			return errClosed
		}
	}
	return wrap(e.err)
}

func (g *group) run() {
	defer close(g.ended)
	for {
		if len(g.pending) == 0 {
			select {
			case e := <-g.queue:
				g.pending = append(g.pending, e)
			case <-g.quit:
				if g.takeQueued(1); len(g.pending) == 0 {
					return
				}
			}
		}
		if g.begin() {
			g.commit()
		}
	}
}

// begin starts a transaction, waiting for a database that another process keeps locked. It answers those whose time is
// up meanwhile, and returns false when nobody is left.
func (g *group) begin() bool {
	for {
		g.drop(gaveUp)
		if len(g.pending) == 0 {
			return false
		}
		err := run(g.conn.begin)
		if err == nil {
			return true
		}
		if !isBusy(err) {
			g.drop(func(*entry) error { return fmt.Errorf("beginning a transaction: %w", err) })
			return false
		}
		g.usage.retries.Add(1)
		g.takeQueued(maxEntries)
		g.drop(func(e *entry) error {
			if time.Since(e.since) >= g.busy {
				return err
			}
			return nil
		})
	}
}

// drop answers the pending entries for which why returns an error.
func (g *group) drop(why func(*entry) error) {
	g.pending = slices.DeleteFunc(g.pending, func(e *entry) bool {
		if e.err = why(e); e.err == nil {
			return false
		}
		close(e.done)
		return true
	})
}

// gaveUp is the reason why an entry need not run any more.
func gaveUp(e *entry) error { return e.ctx.Err() }

// takeQueued moves what waits in the queue to the pending entries, up to limit of them.
func (g *group) takeQueued(limit int) {
	for len(g.pending) < limit {
		select {
		case e := <-g.queue:
			g.pending = append(g.pending, e)
		default:
			return
		}
	}
}

// commit runs pending entries in the transaction that was begun, and commits it.
func (g *group) commit() {
	start := time.Now()
	var members []*entry
	var broken error
	for broken == nil {
		e := g.nextMember(members, start)
		if e == nil {
			break
		}
		members = append(members, e)
		broken = g.runMember(e, len(members) == 1)
	}
	if broken == nil {
		broken = g.writeEvent(members)
	}
	if broken == nil {
		broken = run(g.conn.commit)
	}
	if broken != nil {
		_ = run(g.conn.rollback) // the error that broke it says more
	}
	var changes []farm.Change
	for _, e := range members {
		if broken != nil && e.err == nil {
			e.err = broken
		}
		g.usage.add(e.ended, e.err)
		if e.err == nil {
			changes = append(changes, e.changes...)
		}
	}
	if len(changes) > 0 {
		g.onCommit(changes)
	}
	if len(members) > 0 {
		g.observe(len(members), time.Since(start))
	}
	for _, e := range members {
		close(e.done)
	}
	g.wal.look()
}

// writeEvent stores what the members changed, one row for all.
func (g *group) writeEvent(members []*entry) error {
	var changes []farm.Change
	for _, e := range members {
		if e.err == nil {
			changes = append(changes, e.changes...)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	text, err := encodeChanges(changes)
	if err != nil {
		return err
	}
	return g.conn.q.InsertEvent(context.Background(), query.InsertEventParams{CreatedAt: micros.Of(time.Now()), Changes: text})
}

// nextMember is the next entry that may join the commit, nil when it is full.
func (g *group) nextMember(members []*entry, start time.Time) *entry {
	if len(members) > 0 && (members[0].company == alone || len(members) == maxEntries || time.Since(start) > g.work) {
		return nil
	}
	g.takeQueued(1)
	for len(g.pending) > 0 && gaveUp(g.pending[0]) != nil {
		g.drop(gaveUp)
		g.takeQueued(1)
	}
	if len(g.pending) == 0 || (len(members) > 0 && g.pending[0].company == alone) {
		return nil
	}
	e := g.pending[0]
	g.pending = g.pending[1:]
	return e
}

// runMember runs one entry. The first of a commit needs no savepoint: if it fails, there is nothing else to keep. The
// error returned is one that takes the whole transaction with it.
func (g *group) runMember(e *entry, first bool) error {
	ctx := context.Background()
	if !first {
		if err := run(g.conn.member); err != nil {
			return err
		}
	}
	t := &Tx{ctx: ctx, q: g.conn.q, db: g.conn, claims: g.conn.claims, now: time.Now().UTC().Truncate(time.Microsecond), wanted: g.wanted}
	e.err = callSafely(e.fn, t)
	e.changes, e.ended = t.changes, t.done
	switch {
	case e.err != nil && (first || isStorage(e.err)):
		return e.err
	case first:
		return nil
	case e.err != nil:
		return errors.Join(run(g.conn.undo), run(g.conn.accept))
	}
	return run(g.conn.accept)
}

// callSafely keeps a panic of one caller from taking the writes of all others with it.
func callSafely(fn func(*Tx) error, t *Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in a transaction: %v\n%s", r, debug.Stack())
		}
	}()
	return fn(t)
}
