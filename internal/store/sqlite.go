// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"flamenco.farm/internal/store/migrations"
)

type role int

const (
	writer role = iota
	reader
)

// writerBusy is short because the group waits by itself: it answers each caller when that caller's own time is up.
const writerBusy = 100 * time.Millisecond

// openSQLite opens one of the two pools on the file: one writer, or several readers that cannot write.
func openSQLite(opts Options, r role) (*sql.DB, error) {
	path, err := filepath.Abs(opts.Database)
	if err != nil {
		return nil, err
	}
	synchronous := "FULL"
	if opts.Durability == DurabilityNormal {
		synchronous = "NORMAL"
	}
	params := url.Values{"_pragma": {
		"journal_mode(WAL)", "foreign_keys(ON)", "synchronous(" + synchronous + ")", "temp_store(MEMORY)",
	}}
	conns := 1
	if r == writer {
		params.Set("_txlock", "immediate")
		params.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", writerBusy.Milliseconds()))
	} else {
		conns = max(4, runtime.NumCPU())
		params.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", opts.BusyTimeout.Milliseconds()))
		params.Add("_pragma", "query_only(ON)")
	}
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

func newMigrations(db *sql.DB) (*goose.Provider, error) {
	folder, err := fs.Sub(migrations.FS, "sqlite")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, folder)
}

func migrate(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	provider, err := newMigrations(db)
	if err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("bringing its schema up to date: %w", err)
	}
	if len(results) > 0 {
		log.Info("database schema brought up to date", "migrations", len(results))
	}
	return nil
}

// checkSchema refuses a database whose schema is another version's.
func checkSchema(ctx context.Context, db *sql.DB) error {
	provider, err := newMigrations(db)
	if err != nil {
		return err
	}
	found, wanted, err := provider.GetVersions(ctx)
	if err == nil && found != wanted {
		err = fmt.Errorf("its schema is of version %d, and this program needs %d", found, wanted)
	}
	return err
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
	return errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
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
	if sqliteCode(err) == sqlite3.SQLITE_FULL {
		return "the disk of the Manager's database is full"
	}
	return "the Manager's database cannot be written"
}
