// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

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

const insertEventPostgres = `INSERT INTO events (xid, created_at, origin, number, changes)
VALUES (CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT), $1, $2, $3, $4)`

// lanes writes to PostgreSQL: each call is a transaction of its own, or shares one with others (batch). What the database ends
// in favour of another transaction is run again, and so is what was cut off before its end was known, once it is sure that it
// was not committed.
type lanes struct {
	db       *sql.DB
	clock    *clock
	origin   string
	patience time.Duration // how long a call waits for a database that is away
	onCommit func([]farm.Change)
	notify   func()
	observe  func(transactions int, took time.Duration)
	usage    *usage
	number   atomic.Int64 // of the last event

	queue   chan *member // who may share a transaction; nil = nobody
	quit    chan struct{}
	sharing sync.WaitGroup
}

// start lets callers share transactions, until stop.
func (l *lanes) start() {
	l.queue, l.quit = make(chan *member, maxBatch), make(chan struct{})
	for range batchLanes {
		l.sharing.Go(l.runBatches)
	}
}

func (l *lanes) stop() {
	close(l.quit)
	l.sharing.Wait()
}

// on is lanes whose transactions run on connections of their own.
func (l *lanes) on(db *sql.DB) *lanes {
	return &lanes{
		db: db, clock: l.clock, origin: uuid.NewString(), patience: l.patience, onCommit: l.onCommit, notify: l.notify,
		observe: l.observe, usage: l.usage,
	}
}

func (l *lanes) do(ctx context.Context, fn func(*Tx) error, c company) error {
	return l.doAhead(ctx, Ahead{}, fn, c)
}

func (l *lanes) doAhead(ctx context.Context, a Ahead, fn func(*Tx) error, c company) error {
	limit := shortTransaction
	if c == alone {
		limit = longTransaction
	}
	if l.queue != nil && c == shared && a != (Ahead{}) {
		if shared, err := l.share(ctx, a, fn); shared {
			return wrap(err)
		}
	}
	start := time.Now()
	for wait := retryPause; ; wait = min(2*wait, time.Second) {
		if err := ctx.Err(); err != nil {
			return err
		}
		running, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		err := l.once(running, a, fn, false)
		cancel()
		if !mayRunAgain(err) || time.Since(start) > l.patience {
			if err != nil {
				l.usage.undone.Add(1)
			}
			return wrap(err)
		}
		l.usage.retries.Add(1)
		if err := pause(ctx, wait/2+rand.N(wait)); err != nil {
			return err
		}
	}
}

// mayRunAgain reports whether a transaction that ended with err did nothing, and may succeed the next time.
func mayRunAgain(err error) bool {
	return isRetryable(err) || (isAway(err) && !errors.Is(err, errUnknown))
}

// errUnknown is the end of a transaction of which nobody can tell any more whether it was committed.
var errUnknown = errors.New("the connection to the database was lost, and it does not say whether the change was made")

// once runs a transaction. One that is impatient waits for no lock for long.
func (l *lanes) once(ctx context.Context, a Ahead, fn func(*Tx) error, impatient bool) error {
	start := time.Now()
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	p := &pipe{conn: conn}
	t := &Tx{ctx: ctx, q: query.New(rowLocking{p}), db: p, claims: postgresClaims{}, pg: &pgTx{pipe: p}}
	event := l.number.Add(1)
	process, err := processOf(conn)
	if err := errors.Join(err, l.run(t, a, fn, impatient), l.queueEvent(t, event)); err != nil {
		return errors.Join(err, end(ctx, conn, p))
	}
	if err := l.commit(ctx, t, conn, process, event); err != nil {
		return err
	}
	l.usage.commit(t.done)
	l.observe(1, time.Since(start))
	l.tell(t.changes)
	return nil
}

// processOf is the process of the server that has a connection.
func processOf(conn *sql.Conn) (process uint32, err error) {
	err = conn.Raw(func(driver any) error {
		process = driver.(*stdlib.Conn).Conn().PgConn().PID() //nolint:forcetypeassert // it is the only driver here
		return nil
	})
	return process, err
}

// commit ends a transaction, and finds out how it ended.
func (l *lanes) commit(ctx context.Context, t *Tx, conn *sql.Conn, process uint32, event int64) error {
	_, _ = t.db.ExecContext(ctx, "COMMIT")
	err := t.pg.pipe.flush(ctx)
	_ = conn.Close() // only given back
	if isAway(err) {
		return l.resolve(ctx, t, process, event, err)
	}
	return err
}

func (l *lanes) tell(changes []farm.Change) {
	if len(changes) > 0 {
		l.onCommit(changes)
		l.notify()
	}
}

// run begins the transaction and runs fn in it.
func (l *lanes) run(t *Tx, a Ahead, fn func(*Tx) error, impatient bool) error {
	if err := t.pg.pipe.begin(t.ctx, impatient); err != nil {
		return err
	}
	now, err := l.clock.read(t.ctx, t.db)
	if err != nil {
		return err
	}
	t.now, t.doubt = now.Truncate(time.Microsecond), l.clock.uncertainty()
	if err := t.lookAhead(a); err != nil {
		return err
	}
	if err = callSafely(fn, t); farm.CodeOf(err) != "" {
		return err
	}
	return cmp.Or(t.pg.pipe.err, err) // what broke the pipe says more than what fn met then
}

// end gives back a connection whose transaction failed; one that cannot even end it is closed.
func end(ctx context.Context, conn *sql.Conn, p *pipe) error {
	p.err, p.batch = nil, pgx.Batch{}
	_, _ = p.ExecContext(ctx, "ROLLBACK")
	if err := p.flush(ctx); err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

func (l *lanes) queueEvent(t *Tx, number int64) error {
	if len(t.changes) == 0 || t.pg.pipe.err != nil {
		return nil
	}
	text, err := encodeChanges(t.changes)
	if err == nil {
		_, err = t.db.ExecContext(t.ctx, insertEventPostgres, micros.Of(t.now), l.origin, number, text)
	}
	return err
}

// resolve finds out how a transaction ended whose COMMIT was not answered: when the process of the server that had it is
// gone, its event is there or it was not committed. lost is why this is asked; it is returned when the transaction was not
// committed and may run again.
func (l *lanes) resolve(ctx context.Context, t *Tx, process uint32, event int64, lost error) error {
	if len(t.changes) == 0 {
		return lost // it changed nothing that anybody hears of, so it may be done twice
	}
	for start := time.Now(); time.Since(start) < l.patience; {
		var busy, there bool
		err := l.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state <> 'idle'
    AND datname = current_database() AND backend_start < $2)`, int64(process), t.Latest()).Scan(&busy)
		if err == nil && !busy {
			err = l.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM events WHERE origin = $1 AND number = $2)", l.origin, event).Scan(&there)
			if err == nil && there {
				return nil
			}
			if err == nil {
				return lost
			}
		}
		if err != nil && !isAway(err) {
			return errors.Join(errUnknown, lost, err)
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			break
		}
	}
	return errors.Join(errUnknown, lost)
}
