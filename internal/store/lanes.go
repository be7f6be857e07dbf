// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// Limits of a transaction on PostgreSQL. Requests that go away do not end one: a connection that is cut in the middle is
// dear, and what it did would be unknown.
const (
	shortTransaction = 30 * time.Second
	longTransaction  = 10 * time.Minute
	retryPause       = 5 * time.Millisecond
)

// insertEventPostgres also tells the number of the transaction, by which one can ask later whether it was committed.
const insertEventPostgres = `INSERT INTO events (xid, created_at, origin, changes)
VALUES (CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT), $1, $2, $3) RETURNING xid`

// lanes writes to PostgreSQL: each call is a transaction of its own. What the database ends in favour of another
// transaction is run again, and so is what was cut off before its end was known, once it is sure that it was not committed.
type lanes struct {
	db       *sql.DB
	clock    *clock
	origin   string
	patience time.Duration // how long a call waits for a database that is away
	onCommit func([]farm.Change)
	notify   func()
}

func (l *lanes) stop() {}

func (l *lanes) do(ctx context.Context, fn func(*Tx) error, c company) error {
	limit := shortTransaction
	if c == alone {
		limit = longTransaction
	}
	start := time.Now()
	for wait := retryPause; ; wait = min(2*wait, time.Second) {
		if err := ctx.Err(); err != nil {
			return err
		}
		running, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		err := l.once(running, fn)
		cancel()
		again := isRetryable(err) || (isAway(err) && !errors.Is(err, errUnknown))
		if err == nil || !again || time.Since(start) > l.patience {
			return wrap(err)
		}
		if err := pause(ctx, wait/2+rand.N(wait)); err != nil {
			return err
		}
	}
}

// errUnknown is the end of a transaction of which nobody can tell any more whether it was committed.
var errUnknown = errors.New("the connection to the database was lost, and it does not say whether the change was made")

func (l *lanes) once(ctx context.Context, fn func(*Tx) error) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	t := &Tx{ctx: ctx, q: query.New(locking{tx}), db: tx, claims: postgresClaims{}, locks: &rowLocks{}}
	if t.now, err = l.clock.read(ctx, tx); err == nil {
		t.now = t.now.Truncate(time.Microsecond)
		err = callSafely(fn, t)
	}
	var xid int64
	if err == nil && len(t.changes) > 0 {
		xid, err = l.writeEvent(t)
	}
	if err != nil {
		_ = tx.Rollback() // the error that broke it says more
		return err
	}
	if err := tx.Commit(); err != nil {
		if !isAway(err) {
			return err
		}
		if err := l.resolve(ctx, xid, err); err != nil {
			return err
		}
	}
	if len(t.changes) > 0 {
		l.onCommit(t.changes)
		l.notify()
	}
	return nil
}

func (l *lanes) writeEvent(t *Tx) (xid int64, err error) {
	text, err := encodeChanges(t.changes)
	if err != nil {
		return 0, err
	}
	err = t.db.QueryRowContext(t.ctx, insertEventPostgres, micros.Of(t.now), l.origin, text).Scan(&xid)
	return xid, err
}

// resolve finds out how a transaction ended whose COMMIT was not answered. lost is why; it is returned when the
// transaction was not committed and may run again.
func (l *lanes) resolve(ctx context.Context, xid int64, lost error) error {
	if xid == 0 {
		return lost // it changed nothing that anybody hears of, so it may be done twice
	}
	for start := time.Now(); time.Since(start) < l.patience; {
		var status sql.NullString
		err := l.db.QueryRowContext(ctx, "SELECT pg_xact_status(CAST(CAST($1 AS BIGINT)::text AS xid8))", xid).Scan(&status)
		switch {
		case err == nil && status.String == "committed":
			return nil
		case err == nil && status.String == "aborted":
			return lost
		case err == nil && status.String != "in progress":
			return errors.Join(errUnknown, lost)
		case err != nil && !isAway(err):
			return errors.Join(errUnknown, lost, err)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			break
		}
	}
	return errors.Join(errUnknown, lost)
}
