// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

type role int

const (
	writer role = iota
	reader
	keeper // on SQLite for checkpoints: it neither reads nor writes rows; on PostgreSQL for what must not wait
	looker // reads beside a Manager, or without one, and changes nothing
	stager // fills a file that nobody else knows of, and that is thrown away if anything happens
	taker  // takes over what was staged: a writer that does not look at references again
)

// writerBusy is short because the group waits by itself: it answers each caller when that caller's own time is up.
const writerBusy = 100 * time.Millisecond

// openSQLite opens a pool of connections to the file.
func openSQLite(opts Options, r role) (*sql.DB, error) {
	path, err := filepath.Abs(opts.Database)
	if err != nil {
		return nil, err
	}
	synchronous := "FULL"
	if opts.Durability == DurabilityNormal {
		synchronous = "NORMAL"
	}
	references := "ON"
	if r == taker {
		references = "OFF"
	}
	// Whether a file can give space back in slices is decided before anything else is written to it.
	params := url.Values{"_pragma": {
		"auto_vacuum(INCREMENTAL)", "journal_mode(WAL)", fmt.Sprintf("journal_size_limit(%d)", opts.WALLimit),
		"foreign_keys(" + references + ")", "synchronous(" + synchronous + ")", "temp_store(MEMORY)",
	}}
	conns, busy := 1, opts.BusyTimeout
	switch r {
	case writer:
		params.Set("_txlock", "immediate")
		params.Add("_pragma", fmt.Sprintf("wal_autocheckpoint(%d)", walPages))
		params.Add("_pragma", "cache_size(-16384)") // KiB
		busy = writerBusy
	case keeper:
		busy = keeperBusy
	case reader:
		conns = max(4, runtime.NumCPU())
		params.Add("_pragma", "query_only(ON)")
	case looker:
		params = url.Values{"mode": {"ro"}, "_pragma": {"query_only(ON)", "temp_store(MEMORY)"}}
	}
	if r == stager {
		params = url.Values{"_txlock": {"immediate"}, "_pragma": {
			"auto_vacuum(INCREMENTAL)", "journal_mode(OFF)", "synchronous(OFF)", "locking_mode(EXCLUSIVE)",
			"temp_store(FILE)", "cache_size(-65536)", // KiB: the indexes of identifiers are written in no order
		}}
	}
	if r == taker {
		params.Set("_txlock", "immediate")
	}
	params.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()))
	db, err := sql.Open("sqlite", databaseURI(filepath.ToSlash(path), params))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// databaseURI names a file so that neither its characters nor a Windows drive letter are taken for parts of the URI.
func databaseURI(path string, params url.Values) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	uri := url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}
	return uri.String()
}

// waitUnlocked waits for another process that keeps the file locked while the Manager starts.
func (s *Store) waitUnlocked(ctx context.Context, timeout time.Duration) error {
	for start := time.Now(); ; {
		_, err := s.write.ExecContext(ctx, "BEGIN IMMEDIATE; COMMIT")
		if err == nil || !isBusy(err) || time.Since(start) > timeout {
			return wrap(err)
		}
	}
}

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff // the primary code; extended ones say more in the higher bits
	}
	return 0
}

func isBusy(err error) bool {
	code := sqliteCode(err)
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

// isUnique reports whether a row breaks a unique index.
func isUnique(err error) bool {
	var e *sqlite.Error
	return postgresCode(err) == pgUnique || errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// isConstraint reports whether a row breaks any rule of its table.
func isConstraint(err error) bool {
	code := postgresCode(err) // class 22 is values that cannot be, class 23 rows
	return sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT || strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23")
}

// isStorage reports errors after which the whole transaction is lost, whatever statement met them.
func isStorage(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return false
}

func storageMessage(err error) string {
	if message := postgresStorage(err); message != "" {
		return message
	}
	if sqliteCode(err) == sqlite3.SQLITE_FULL {
		return "the disk of the Manager's database is full"
	}
	return "the Manager's database cannot be written"
}
