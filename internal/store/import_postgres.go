// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
)

// On PostgreSQL an import first fills temporary tables, which go with their connection; then one transaction takes the
// tables over from them. Everybody reads and writes while the rows come in, and waits only for that transaction.

// takeTries is how often the transaction is begun that takes the tables over: others may hold locks that it needs.
const takeTries = 5

func stagedName(t table) string { return "stage_" + t.name }

func (s *Store) importPostgres(ctx context.Context, in Import) (err error) {
	db, err := openPostgres(s.opts, writer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1) // temporary tables are those of a connection
	for _, t := range exportedTables() {
		if _, err := db.ExecContext(ctx, fmt.Sprintf("CREATE TEMPORARY TABLE %s (LIKE %s)", stagedName(t), t.name)); err != nil {
			return wrap(err)
		}
	}
	in.step("Reading the tables")
	if err := fillTemporary(ctx, db, in.Rows); err != nil {
		return wrap(err)
	}
	in.step("Replacing the farm")
	taker := s.writer.(*lanes).on(db) //nolint:forcetypeassert // on PostgreSQL
	for try := 1; ; try++ {
		err := taker.once(ctx, Ahead{}, func(t *Tx) error { return takeTemporary(t, in) }, false)
		if err == nil || !isRetryable(err) || try == takeTries {
			return wrap(err)
		}
		if err := pause(ctx, time.Duration(try)*time.Second); err != nil {
			return err
		}
	}
}

func fillTemporary(ctx context.Context, db *sql.DB, rows RowSource) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it was committed, or its error says why not
	if err := (loader{tx, stagedName}).load(ctx, storable{rows}); err != nil {
		return err
	}
	return tx.Commit()
}

// storable is rows of which PostgreSQL can store every text: SQLite stores bytes that are none, and NUL.
type storable struct{ RowSource }

// NextRow implements RowSource.
func (s storable) NextRow() ([]any, bool, error) {
	values, ok, err := s.RowSource.NextRow()
	for i, v := range values {
		if text, isText := v.(string); isText {
			values[i] = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
	return values, ok, err
}

// takeTemporary puts the temporary tables in the place of those of the farm.
func takeTemporary(t *Tx, in Import) error {
	var names []string
	for _, table := range exportedTables() {
		names = append(names, table.name)
	}
	all := strings.Join(names, ", ")
	// Nobody changes the farm after it was decided that it may be replaced.
	if _, err := t.db.ExecContext(t.ctx, "LOCK TABLE "+all+" IN EXCLUSIVE MODE"); err != nil {
		return err
	}
	if err := in.Allow(t); err != nil {
		return err
	}
	if _, err := t.db.ExecContext(t.ctx, "TRUNCATE "+all); err != nil {
		return err
	}
	in.step("Copying the tables")
	for _, table := range exportedTables() {
		columns := strings.Join(table.columnNames(), ", ")
		if _, err := t.db.ExecContext(t.ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM %[3]s", table.name, columns, stagedName(table))); err != nil {
			return err
		}
		if err := t.pg.pipe.flush(t.ctx); err != nil {
			return cannotInsert(table, err)
		}
		if err := restartIdentity(t, table); err != nil {
			return err
		}
	}
	if _, err := t.db.ExecContext(t.ctx, "ANALYZE "+all); err != nil {
		return err
	}
	t.Changed(farm.Change{Kind: farm.ChangeRefresh})
	return checkBooks(t.ctx, t.db)
}

// restartIdentity lets new rows get numbers behind those that were imported. Unlike setval it is undone with the transaction.
func restartIdentity(tx *Tx, t table) error {
	if len(t.key) != 1 || t.key[0].name != "id" {
		return nil
	}
	var next int64
	if err := tx.db.QueryRowContext(tx.ctx, "SELECT COALESCE(max(id), 0) + 1 FROM "+t.name).Scan(&next); err != nil {
		return err
	}
	_, err := tx.db.ExecContext(tx.ctx, fmt.Sprintf("ALTER TABLE %s ALTER COLUMN id RESTART WITH %d", t.name, next))
	return err
}
