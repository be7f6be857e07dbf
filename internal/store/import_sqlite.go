// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// On SQLite an import first fills a file of its own beside the database, the stage, and checks it; then one transaction
// takes the tables over from it. So everybody may read and write while the rows come in, writers wait only while pages
// are copied, and a crash at any moment leaves the old farm: SQLite undoes the transaction, and the stage is thrown
// away by the next start or import.

// stageOf is the name of the stage of a database.
func stageOf(path string) string { return path + ".import" + unfinished }

// removeStaged removes what a crash left of an import.
func removeStaged(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		errs = append(errs, ignoreMissing(os.Remove(stageOf(path)+suffix)))
	}
	return errors.Join(errs...)
}

func (s *Store) importSQLite(ctx context.Context, in Import) (err error) {
	path := s.opts.Database
	if err := removeStaged(path); err != nil {
		return fmt.Errorf("removing what an earlier import left: %w", err)
	}
	defer func() { err = errors.Join(err, removeStaged(path)) }()
	if err := s.stage(ctx, in); err != nil {
		return wrap(err)
	}
	// The pages go into the log first, and from there into the database.
	if err := NeedSpace(filepath.Dir(path), 2*databaseSize(stageOf(path))); err != nil {
		return err
	}
	in.step("Replacing the farm")
	changes, err := s.takeStaged(ctx, in)
	if err != nil {
		return fmt.Errorf("replacing the farm: %w", wrap(err))
	}
	s.opts.OnCommit(changes)
	s.wal.look()
	return nil
}

// stage fills and checks the stage.
func (s *Store) stage(ctx context.Context, in Import) (err error) {
	opts := s.opts
	opts.Database, opts.BusyTimeout = stageOf(s.opts.Database), time.Second
	file, err := os.OpenFile(opts.Database, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it holds what the database holds
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	db, err := openSQLite(opts, stager)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := newProvider(db, opts)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("making the schema: %w", err)
	}
	in.step("Reading the tables")
	if err := fillStage(ctx, db, in.Rows); err != nil {
		return err
	}
	in.step("Checking what was read")
	if err := checkAllReferences(ctx, db); err != nil {
		return err
	}
	return checkBooks(ctx, db)
}

func fillStage(ctx context.Context, db *sql.DB, rows RowSource) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // the file is thrown away
	if err := eraseTables(ctx, tx); err != nil {
		return err
	}
	if err := (loader{tx, func(t table) string { return t.name }}).load(ctx, rows); err != nil {
		return err
	}
	return tx.Commit()
}

// eraseTables deletes all rows of the exported tables.
func eraseTables(ctx context.Context, tx *sql.Tx) error {
	tables := exportedTables()
	for i := range tables {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+tables[len(tables)-1-i].name); err != nil {
			return err
		}
	}
	return nil
}

func checkAllReferences(ctx context.Context, db *sql.DB) error {
	found := &CheckError{}
	for _, t := range exportedTables() {
		if err := found.checkReferences(ctx, db, t.name); err != nil {
			return err
		}
	}
	if len(found.Problems) > 0 {
		return farm.Errorf(farm.CodeInvalid, "the file contradicts itself: %s", found.Problems[0])
	}
	return nil
}

// takeStaged puts the tables of the stage in the place of those of the farm, in one transaction.
func (s *Store) takeStaged(ctx context.Context, in Import) (changes []farm.Change, err error) {
	db, err := openSQLite(s.opts, taker)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	path, err := filepath.Abs(stageOf(s.opts.Database))
	if err != nil {
		return nil, err
	}
	uri := databaseURI(filepath.ToSlash(path), url.Values{"mode": {"ro"}})
	if _, err := db.ExecContext(ctx, "ATTACH DATABASE $1 AS stage", uri); err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // it was committed, or its error says why not
	t := &Tx{ctx: ctx, q: query.New(tx), db: tx, now: time.Now().UTC().Truncate(time.Microsecond)}
	if err := callSafely(in.Allow, t); err != nil {
		return nil, err
	}
	if err := eraseTables(ctx, tx); err != nil {
		return nil, err
	}
	in.step("Copying the tables")
	for _, table := range exportedTables() {
		// Both were made by the same migrations, so SQLite copies rows and indexes as they are.
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO main.%[1]s SELECT * FROM stage.%[1]s", table.name)); err != nil {
			return nil, err
		}
	}
	t.Changed(farm.Change{Kind: farm.ChangeRefresh})
	return t.changes, tx.Commit()
}
