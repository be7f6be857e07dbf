// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	gooselock "github.com/pressly/goose/v3/lock"
	sqlite3 "modernc.org/sqlite/lib"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/migrations"
)

// contents is what is in an SQLite file.
type contents int

const (
	nothing    contents = iota
	ours                // tables of this program, whatever its version
	flamenco3           // those of a Flamenco 3 Manager
	somethings          // those of another program
)

// look tells by its tables whose file it is. Both Managers number their schemas in a table of the same name.
func look(ctx context.Context, db *sql.DB) (contents, error) {
	var tables, own, old int
	err := db.QueryRowContext(ctx, `SELECT count(*), COALESCE(sum(name = 'job_ready'), 0), COALESCE(sum(name = 'last_rendereds'), 0)
FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'`).Scan(&tables, &own, &old)
	switch {
	case err != nil:
		return nothing, err
	case tables == 0:
		return nothing, nil
	case own > 0:
		return ours, nil
	case old > 0:
		return flamenco3, nil
	}
	return somethings, nil
}

// refuse is the error for a file that is not ours.
func (c contents) refuse() error {
	switch c {
	case flamenco3:
		return farm.Errorf(farm.CodeInvalid, "it is the database of a Flamenco 3 Manager: give it another name, for example "+
			"old-farm.sqlite, and bring its farm over with: flamenco-manager import-flamenco3 old-farm.sqlite")
	case somethings:
		return farm.Errorf(farm.CodeInvalid, "it is the database of another program; give a file of its own as database")
	}
	return nil
}

func newProvider(db *sql.DB, opts Options) (*goose.Provider, error) {
	folder, dialect := "sqlite", goose.DialectSQLite3
	var options []goose.ProviderOption
	if IsPostgres(opts.Database) {
		folder, dialect = "postgres", goose.DialectPostgres
		// Several Managers may start at once: one of them migrates, the others wait for it.
		one, err := gooselock.NewPostgresSessionLocker(gooselock.WithLockTimeout(1, 300))
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(one))
	}
	from := opts.migrations
	if from == nil {
		var err error
		if from, err = fs.Sub(migrations.FS, folder); err != nil {
			return nil, err
		}
	}
	return goose.NewProvider(dialect, db, from, options...)
}

// migrate brings the schema up to date. Of a database that has something in it, a copy is made first.
func migrate(ctx context.Context, db *sql.DB, opts Options) error {
	find := look
	if IsPostgres(opts.Database) {
		find = lookPostgres
	}
	found, err := find(ctx, db)
	if err == nil {
		err = found.refuse()
	}
	if err != nil {
		return err
	}
	provider, err := newProvider(db, opts)
	if err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if err := tooNew(current, target, opts.Database); err != nil || current == target {
		return err
	}
	if found == ours && !IsPostgres(opts.Database) {
		copied, err := copyBefore(ctx, db, opts.Database, target)
		if err != nil {
			return fmt.Errorf("copying it before its schema is changed: %w", err)
		}
		opts.Log.Info("database copied before its schema is changed", "copy", copied)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("bringing its schema up to date: %w", err)
	}
	if !IsPostgres(opts.Database) {
		pruneCopies(opts.Database, opts.Log)
	}
	opts.Log.Info("database schema brought up to date", "migrations", len(results), "version", target)
	return nil
}

// checkSchema refuses a database whose schema is another version's.
func checkSchema(ctx context.Context, db *sql.DB, opts Options) error {
	provider, err := newProvider(db, opts)
	if err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current < target {
		return farm.Errorf(farm.CodePrecondition, "its schema is that of an older Flamenco: run flamenco-manager db migrate first")
	}
	return tooNew(current, target, opts.Database)
}

func tooNew(current, target int64, path string) error {
	if current <= target {
		return nil
	}
	return farm.Errorf(farm.CodeInvalid, "a newer Flamenco wrote it (schema version %d, this one knows %d at most): use that "+
		"version again%s", current, target, orCopies(path))
}

// explain says what to do about a file that SQLite cannot make sense of.
func explain(path string, err error) error {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		message := "the file is damaged, or no database: keep it as it is, under another name" + orCopies(path)
		return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "%s", message), err)
	}
	return err
}

// orCopies names the newest copy from before a migration, as something else to do.
func orCopies(path string) string {
	if IsPostgres(path) {
		return ", or restore a backup of the database"
	}
	copies, err := listCopies(path)
	if err != nil || len(copies) == 0 {
		return ", or put a backup in its place"
	}
	return ", or put a copy in its place; the newest is " + filepath.Join(filepath.Dir(path), copies[len(copies)-1])
}

// keptCopies is how many copies from before migrations stay.
const keptCopies = 3

const copyMark = ".before-"

// listCopies names the copies of a database beside it, oldest first: their names end with the time.
func listCopies(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+copyMark) && !strings.HasSuffix(e.Name(), unfinished) {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(filepath.Ext(a), filepath.Ext(b)) })
	return names, err
}

func pruneCopies(path string, log *slog.Logger) {
	copies, err := listCopies(path)
	for _, name := range copies[:max(0, len(copies)-keptCopies)] {
		err = errors.Join(err, os.Remove(filepath.Join(filepath.Dir(path), name)))
	}
	if err != nil {
		log.Warn("cannot remove old copies of the database", "error", err)
	}
}
