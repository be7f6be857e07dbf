// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// RowSource gives the rows of an import, in the tables and the order in which Export writes them.
type RowSource interface {
	// NextTable goes to the next table; io.EOF says that there is none and that everything has come in full.
	NextTable() (name string, columns []string, err error)
	// NextRow is the next row of the table, which stays valid until the next call; false at its end.
	NextRow() (values []any, ok bool, err error)
}

// Import is a farm that takes the place of the one in the database.
type Import struct {
	Schema int64 // version of the schema that the rows fit
	Rows   RowSource
	// Allow runs first in the transaction that changes the farm. Its error stops the import and nothing is changed.
	Allow func(*Tx) error
	// Step hears what is begun; nil = nobody wants to know.
	Step func(activity string)
}

func (i Import) step(activity string) {
	if i.Step != nil {
		i.Step(activity)
	}
}

// Import replaces the farm by the rows of the source, or changes nothing: everything is read and checked to the end before
// one transaction puts it in place. Whoever waits for changes hears that anything may have changed.
func (s *Store) Import(ctx context.Context, in Import) error {
	if s.writer == nil {
		return errReadOnly
	}
	version, err := s.schemaVersion()
	if err != nil {
		return err
	}
	switch {
	case in.Schema > version:
		return farm.Errorf(farm.CodeInvalid, "a newer Flamenco wrote the file (schema version %d, this one knows %d): import it with "+
			"that version", in.Schema, version)
	case in.Schema < version:
		return farm.Errorf(farm.CodeInvalid, "an older Flamenco wrote the file (schema version %d, this one has %d): import it with "+
			"that version into a database of its own, and start this version on that", in.Schema, version)
	}
	if IsPostgres(s.opts.Database) {
		return s.importPostgres(ctx, in)
	}
	return s.importSQLite(ctx, in)
}

// FarmContents says in a few words what is in the farm, "" when it is as empty as a new one.
func (s *Store) FarmContents(ctx context.Context) (string, error) { return farmContents(ctx, s.read) }

// FarmContents says in a few words what is in the farm, "" when it is as empty as a new one.
func (tx *Tx) FarmContents() (string, error) { return farmContents(tx.ctx, tx.db) }

func farmContents(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
},
) (string, error) {
	var jobs, workers, tags, projects int
	err := db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM workers WHERE deleted_at = 0),
    (SELECT count(*) FROM tags), (SELECT count(*) FROM projects) - 1`).Scan(&jobs, &workers, &tags, &projects)
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{jobs, "jobs"}, {workers, "workers"}, {tags, "tags"}, {projects, "more projects"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", "), wrap(err)
}

// Managers lists the Managers of the farm, as Store.Managers does.
func (tx *Tx) Managers() ([]farm.ManagerState, error) {
	managers, err := managersAt(tx.ctx, tx.q, tx.now)
	return managers, wrap(err)
}

// CancelQueuedOperations cancels every operation that waits.
func (tx *Tx) CancelQueuedOperations(why string) error {
	ids, err := tx.q.CancelQueuedOperations(tx.ctx, query.CancelQueuedOperationsParams{EndedAt: tx.stamp(), Activity: why})
	for _, id := range ids {
		tx.Changed(farm.Change{Kind: farm.ChangeOperation, OperationID: id})
	}
	return wrap(err)
}

// A statement inserts at most so many values, and texts of about so many bytes.
const (
	insertValues = 500
	insertBytes  = 1 << 20
)

// loader inserts rows into tables that are empty.
type loader struct {
	tx    *sql.Tx
	named func(table) string // what a table is called here
}

// load inserts all rows of the source. Tables and columns have to be exactly those that Export writes.
func (l loader) load(ctx context.Context, rows RowSource) error {
	for _, t := range exportedTables() {
		name, columns, err := rows.NextTable()
		switch {
		case errors.Is(err, io.EOF):
			return farm.Errorf(farm.CodeInvalid, "the file has no table %s", t.name)
		case err != nil:
			return err
		case name != t.name:
			return farm.Errorf(farm.CodeInvalid, "the file has a table %.60q where %s should be", name, t.name)
		case !slices.Equal(columns, t.columnNames()):
			return farm.Errorf(farm.CodeInvalid, "table %s does not have the columns that it should have", name)
		}
		if err := l.loadTable(ctx, t, rows); err != nil {
			return err
		}
	}
	switch name, _, err := rows.NextTable(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return farm.Errorf(farm.CodeInvalid, "the file has a table %.60q that nobody knows", name)
	}
}

func (l loader) loadTable(ctx context.Context, t table, rows RowSource) (err error) {
	width := len(t.columns)
	full := max(1, insertValues/width)
	many, err := l.tx.PrepareContext(ctx, t.insert(l.named(t), full))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, many.Close()) }()
	one, err := l.tx.PrepareContext(ctx, t.insert(l.named(t), 1))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, one.Close()) }()

	args, bytes := make([]any, 0, full*width), 0
	flush := func() error {
		statement, step := one, width
		if len(args) == full*width {
			statement, step = many, len(args)
		}
		for at := 0; at < len(args); at += step {
			if _, err := statement.ExecContext(ctx, args[at:at+step]...); err != nil {
				return cannotInsert(t, err)
			}
		}
		args, bytes = args[:0], 0
		return nil
	}
	for n := 1; ; n++ {
		values, ok, err := rows.NextRow()
		if err != nil {
			return err
		}
		if !ok {
			return flush()
		}
		if err := t.check(n, values); err != nil {
			return err
		}
		args = append(args, values...)
		for _, v := range values {
			text, _ := v.(string)
			bytes += len(text)
		}
		if len(args) == full*width || bytes > insertBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// check refuses a row whose values do not fit the columns.
func (t table) check(n int, values []any) error {
	if len(values) != len(t.columns) {
		return farm.Errorf(farm.CodeInvalid, "row %d of table %s has %d values instead of %d", n, t.name, len(values), len(t.columns))
	}
	for i, c := range t.columns {
		if wrong := c.check(values[i]); wrong != "" {
			return farm.Errorf(farm.CodeInvalid, "row %d of table %s, column %s: %s", n, t.name, c.name, wrong)
		}
	}
	return nil
}

// cannotInsert says whose fault it is.
func cannotInsert(t table, err error) error {
	if isConstraint(err) {
		return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeInvalid, "a row of table %s does not fit the others: %v", t.name, err), err)
	}
	return fmt.Errorf("inserting into table %s: %w", t.name, wrap(err))
}
