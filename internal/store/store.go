// SPDX-License-Identifier: GPL-3.0-or-later

// Package store keeps the farm in a database. It owns the schema, every SQL statement and the transactions; it decides
// nothing: what a change leads to is the business of its callers. Rows stop here, farm types go out.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// Durability is what a power cut may take from an SQLite database.
type Durability string

// DurabilityFull loses nothing that was answered; DurabilityNormal may lose the last second.
const (
	DurabilityFull   Durability = "full"
	DurabilityNormal Durability = "normal"
)

// ErrInUse is the reason why a database cannot be opened that another Manager has open.
var ErrInUse = errors.New("another Manager is using it")

// Options says which database to open and who hears of its changes.
type Options struct {
	Database    string        // path of the SQLite file, or postgres://…
	Durability  Durability    // "" = full
	BusyTimeout time.Duration // how long a call waits for a locked database; 0 = 5 s
	Log         *slog.Logger
	// Beside opens a database that a Manager has open already, for a process that it started: the Manager keeps the lock, and
	// a schema that is not ours is refused instead of being changed.
	Beside bool
	// OnCommit hears what each committed transaction changed: on SQLite in the order of commits, on PostgreSQL in any order,
	// and from several goroutines at once. It must not block.
	OnCommit func([]farm.Change)
	// OnRemote hears what other Managers committed to the same database, in the same way; nil = as OnCommit.
	OnRemote func([]farm.Change)
	// Wanted is asked whether changes of a kind should say what they are; nil = none. It must not block. Only SQLite asks: on
	// PostgreSQL they never do.
	Wanted func(farm.ChangeKind) bool
	// WALLimit is from which size on the write-ahead log is emptied, in bytes; 0 = 64 MiB.
	WALLimit int64

	// Observe hears of each commit how many transactions of callers were in it, and how long it took from its beginning.
	// It must not block. nil = nobody wants to know.
	Observe func(transactions int, took time.Duration)

	migrations fs.FS // nil = those of the program; tests have others
}

// Store is an open database.
type Store struct {
	write, read *sql.DB
	reads       *query.Queries
	writer      transactions // nil = open for reading only
	usage       usage
	schema      int64 // its version
	log         *slog.Logger
	opts        Options
	close       func() error

	keep *sql.DB // SQLite: for checkpoints; PostgreSQL: for what must not wait for a connection of the other pools

	// of SQLite only
	conn *sqliteConn
	lock *lockFile
	wal  *walWatch

	// of PostgreSQL only
	clock  *clock
	events *follower
	apart  *lanes // on keep
}

// transactions is how an engine runs transactions.
type transactions interface {
	do(ctx context.Context, fn func(*Tx) error, c company) error
	stop()
}

// Open opens the database, brings its schema up to date and takes the lock that keeps a second Manager away.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if opts.Durability == "" {
		opts.Durability = DurabilityFull
	}
	if opts.BusyTimeout == 0 {
		opts.BusyTimeout = 5 * time.Second
	}
	if opts.OnCommit == nil {
		opts.OnCommit = func([]farm.Change) {}
	}
	if opts.OnRemote == nil {
		opts.OnRemote = opts.OnCommit
	}
	if opts.Observe == nil {
		opts.Observe = func(int, time.Duration) {}
	}
	if opts.WALLimit == 0 {
		opts.WALLimit = walLimit
	}
	s := &Store{log: opts.Log, opts: opts}
	open := s.openSQLite
	if IsPostgres(opts.Database) {
		open = s.openPostgres
	}
	if err := open(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %s: %w", NameOf(opts.Database), explain(opts.Database, err)), s.closePools())
	}
	var err error
	if s.schema, err = schemaVersion(ctx, s.read); err != nil {
		s.writer.stop()
		return nil, errors.Join(fmt.Errorf("opening database %s: %w", NameOf(opts.Database), err), s.closePools())
	}
	s.close = sync.OnceValue(func() error {
		s.writer.stop()
		return s.closePools()
	})
	return s, nil
}

func (s *Store) openPostgres(ctx context.Context, opts Options) (err error) {
	if s.write, err = openPostgres(opts, writer); err != nil {
		return err
	}
	if err = s.connectPostgres(ctx, opts.BusyTimeout); err != nil {
		return err
	}
	if err = bringUpToDate(ctx, s.write, opts); err != nil {
		return err
	}
	if s.read, err = openPostgres(opts, reader); err != nil {
		return err
	}
	s.reads = query.New(s.read)
	s.clock = &clock{}
	if _, err = s.clock.read(ctx, s.write); err != nil {
		return err
	}
	s.events = newFollower(opts, s)
	if s.keep, err = openPostgres(opts, keeper); err != nil {
		return err
	}
	writer := &lanes{
		db: s.write, clock: s.clock, origin: s.events.origin, patience: opts.BusyTimeout, onCommit: opts.OnCommit, notify: s.events.committed,
		observe: opts.Observe, usage: &s.usage,
	}
	writer.start()
	s.writer, s.apart = writer, writer.on(s.keep)
	return nil
}

// bringUpToDate migrates the database, or only checks it where another process does that.
func bringUpToDate(ctx context.Context, db *sql.DB, opts Options) error {
	if opts.Beside {
		return checkSchema(ctx, db, opts)
	}
	if err := migrate(ctx, db, opts); err != nil {
		return err
	}
	return enterFarm(ctx, query.New(db), !IsPostgres(opts.Database))
}

func (s *Store) openSQLite(ctx context.Context, opts Options) (err error) {
	s.wal = newWALWatch(opts)
	if !opts.Beside {
		if s.lock, err = lockDatabase(opts.Database); err != nil {
			return err
		}
		if err = removeStaged(opts.Database); err != nil {
			return err
		}
	}
	if s.write, err = openSQLite(opts, writer); err != nil {
		return err
	}
	if err = s.waitUnlocked(ctx, opts.BusyTimeout); err != nil {
		return err
	}
	if err = bringUpToDate(ctx, s.write, opts); err != nil {
		return err
	}
	if s.read, err = openSQLite(opts, reader); err != nil {
		return err
	}
	if s.keep, err = openSQLite(opts, keeper); err != nil {
		return err
	}
	if s.conn, err = newSQLiteConn(ctx, s.write); err != nil {
		return err
	}
	if s.reads, err = query.Prepare(ctx, s.read); err != nil {
		return err
	}
	s.writer = newGroup(s, opts)
	return nil
}

// Close waits for the writes that have been asked for and closes the database. Closing it again does nothing.
func (s *Store) Close() error { return s.close() }

func (s *Store) closePools() error {
	var errs []error
	if s.conn != nil {
		errs = append(errs, s.conn.close())
	}
	if s.reads != nil {
		errs = append(errs, s.reads.Close())
	}
	for _, db := range []*sql.DB{s.keep, s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// Do runs fn in a transaction and returns after its commit. Small transactions of several callers share one commit.
// fn may run more than once, so it must not keep what an earlier run did outside the transaction.
func (s *Store) Do(ctx context.Context, fn func(*Tx) error) error { return s.do(ctx, fn, shared) }

// DoAlone is Do for large transactions, which would make others wait if they shared a commit.
func (s *Store) DoAlone(ctx context.Context, fn func(*Tx) error) error {
	return s.do(ctx, fn, alone)
}

// DoApart is Do for a small transaction by which a Manager is known to be there: while others wait for locks, on PostgreSQL
// they may have every connection but this one.
func (s *Store) DoApart(ctx context.Context, fn func(*Tx) error) error {
	if s.apart != nil {
		return s.apart.do(ctx, fn, shared)
	}
	return s.do(ctx, fn, shared)
}

func (s *Store) do(ctx context.Context, fn func(*Tx) error, c company) error {
	if s.writer == nil {
		return errReadOnly
	}
	return s.writer.do(ctx, fn, c)
}

// brief is the context of a read of one row by its key. On SQLite it is over sooner than anybody could take it back, and to
// watch for that would take two goroutines.
func (s *Store) brief(ctx context.Context) context.Context {
	if s.conn == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// wrap turns what a driver says into what the farm says.
func wrap(err error) error {
	switch {
	case err == nil, farm.CodeOf(err) != "":
		return err
	case errors.Is(err, sql.ErrNoRows):
		return farm.ErrNotExist
	case errors.Is(err, errUnknown): // to be asked to repeat it would be wrong
		return err
	case isBusy(err), isRetryable(err), isAway(err):
		return fmt.Errorf("%w: %w", farm.ErrBusy, err)
	case isStorage(err), postgresStorage(err) != "":
		return fmt.Errorf("%w: %w", &farm.Error{Code: farm.CodeStorage, Message: storageMessage(err)}, err)
	}
	return err
}
