// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"flamenco.farm/internal/farm"
)

// A slice of a vacuum takes about this long, because everybody who writes waits for it.
const (
	sliceTime  = 20 * time.Millisecond
	firstSlice = 64   // pages
	largeSlice = 4096 // pages
)

// ErrNeedsWholeVacuum is what Vacuum answers for a file that was made without the means to give space back in slices.
var ErrNeedsWholeVacuum = farm.Errorf(farm.CodePrecondition,
	"this database cannot shrink while the Manager runs: stop the Manager and run flamenco-manager db vacuum once")

var errVacuumsItself = farm.Errorf(farm.CodePrecondition, "PostgreSQL gives space back by itself: there is nothing to do")

// Vacuum gives the space of deleted rows back to the disk while everybody goes on working, a slice of some milliseconds
// at a time.
func (s *Store) Vacuum(ctx context.Context, progress Progress) error {
	if s.clock != nil {
		return errVacuumsItself
	}
	var mode int
	if err := s.read.QueryRowContext(ctx, "PRAGMA auto_vacuum").Scan(&mode); err != nil {
		return wrap(err)
	}
	if mode == 0 {
		return ErrNeedsWholeVacuum
	}
	return s.vacuumSlices(ctx, progress, sliceTime)
}

// Unused is how many bytes of the file hold nothing, and how many it has.
func (s *Store) Unused(ctx context.Context) (unused, size int64, err error) {
	if s.clock != nil { // PostgreSQL uses again what is free
		err = s.read.QueryRowContext(ctx, "SELECT pg_database_size(current_database())").Scan(&size)
		return 0, size, wrap(err)
	}
	err = s.read.QueryRowContext(ctx, `SELECT f.freelist_count * s.page_size, p.page_count * s.page_size
FROM pragma_freelist_count f, pragma_page_count p, pragma_page_size s`).Scan(&unused, &size)
	return unused, size, wrap(err)
}

func (s *Store) vacuumSlices(ctx context.Context, progress Progress, slice time.Duration) error {
	total := int64(-1)
	for pages := int64(firstSlice); ; {
		var left int64
		var took time.Duration
		err := s.DoAlone(ctx, func(tx *Tx) (err error) {
			start := time.Now()
			left, err = tx.freePages(pages)
			took = time.Since(start)
			return err
		})
		if err != nil {
			return fmt.Errorf("giving space back: %w", err)
		}
		if total < 0 {
			total = left + pages
		}
		progress.tell(int(max(0, total-left)), int(total))
		if left == 0 {
			return nil
		}
		switch {
		case took > slice:
			pages = max(1, pages/2)
		case took < slice/2:
			pages = min(largeSlice, 2*pages)
		}
	}
}

// freePages gives at most n unused pages back and returns how many are left.
func (tx *Tx) freePages(n int64) (left int64, err error) {
	if _, err := tx.db.ExecContext(tx.ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", n)); err != nil {
		return 0, err
	}
	err = tx.db.QueryRowContext(tx.ctx, "PRAGMA freelist_count").Scan(&left)
	return left, err
}

// VacuumFile writes a database anew without gaps, as small as it can be. No Manager may run. It returns the sizes in
// bytes before and after.
func VacuumFile(ctx context.Context, path string) (before, after int64, err error) {
	if IsPostgres(path) {
		return 0, 0, errVacuumsItself
	}
	if _, err := os.Stat(path); err != nil {
		return 0, 0, fmt.Errorf("there is no database: %w", err)
	}
	lock, err := lockDatabase(path)
	if err != nil {
		return 0, 0, fmt.Errorf("opening database %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	before = databaseSize(path)
	// The new file is written beside all others first, then copied over the old one by way of the log.
	for _, folder := range []string{sqliteTemporaryFolder(), filepath.Dir(path)} {
		if err := NeedSpace(folder, before); err != nil {
			return 0, 0, err
		}
	}
	if err := vacuumWhole(ctx, path); err != nil {
		return 0, 0, fmt.Errorf("vacuum of database %s: %w", path, explain(path, wrap(err)))
	}
	return before, databaseSize(path), nil
}

func vacuumWhole(ctx context.Context, path string) error {
	db, err := openSQLite(Options{Database: path, BusyTimeout: 5 * time.Second, WALLimit: walLimit}, writer)
	if err != nil {
		return err
	}
	defer db.Close()
	found, err := look(ctx, db)
	if err == nil {
		err = found.refuse()
	}
	if err != nil {
		return err
	}
	// With temp_store=MEMORY the whole new file would be in memory.
	if _, err := db.ExecContext(ctx, "PRAGMA temp_store = FILE; VACUUM"); err != nil {
		return err
	}
	var busy, log, done sql.NullInt64
	return db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done)
}

// sqliteTemporaryFolder is where SQLite writes temporary files: the first of these that is a folder.
func sqliteTemporaryFolder() string {
	if runtime.GOOS != "windows" {
		for _, folder := range []string{os.Getenv("SQLITE_TMPDIR"), os.Getenv("TMPDIR"), "/var/tmp", "/usr/tmp"} {
			if info, err := os.Stat(folder); err == nil && info.IsDir() {
				return folder
			}
		}
	}
	return os.TempDir()
}
