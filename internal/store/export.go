// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// RowSink takes the rows of an export, a table after the other. Values are int64, bool, string or nil; the slice of
// them is used again for the next row.
type RowSink interface {
	Table(name string, columns []string) error
	Row(values []any) error
}

// ExportInfo is what is known of an export before its rows.
type ExportInfo struct {
	Schema int64  // version of the schema
	Engine string // what kind of database it comes from
}

// Export hands the farm as it is at one moment to the sink that start makes: every exported table, row by row, in the
// order of the primary key. It stops nobody from writing meanwhile, however long the sink takes.
func (s *Store) Export(ctx context.Context, start func(ExportInfo) (RowSink, error)) (err error) {
	version, err := s.schemaVersion()
	if err != nil {
		return err
	}
	moment, err := s.openSnapshot(ctx)
	if err != nil {
		return fmt.Errorf("exporting: %w", wrap(err))
	}
	defer func() { err = errors.Join(err, moment.close()) }()
	sink, err := start(ExportInfo{Schema: version, Engine: moment.engine})
	if err != nil {
		return err
	}
	for _, t := range exportedTables() {
		if err := moment.export(ctx, t, sink); err != nil {
			return fmt.Errorf("exporting table %s: %w", t.name, wrap(err))
		}
	}
	return nil
}

// snapshot is a transaction that sees one moment of the farm.
type snapshot struct {
	tx        *sql.Tx
	engine    string
	collation string // that compares bytes
	close     func() error
}

// openSnapshot opens a connection of its own: it may be needed for minutes, and others wait for those of the pool.
func (s *Store) openSnapshot(ctx context.Context) (*snapshot, error) {
	opts := s.opts
	opts.BusyTimeout = 5 * time.Second
	if IsPostgres(opts.Database) {
		return openPostgresSnapshot(ctx, opts)
	}
	db, err := openSQLite(opts, looker)
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil) // deferred: it sees the moment of its first read until its end
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &snapshot{tx: tx, engine: "sqlite", collation: "BINARY", close: func() error {
		return errors.Join(ignoreDone(tx.Rollback()), db.Close())
	}}, nil
}

func openPostgresSnapshot(ctx context.Context, opts Options) (*snapshot, error) {
	db, err := openPostgres(opts, looker)
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &snapshot{tx: tx, engine: "postgresql", collation: `"C"`, close: func() error {
		return errors.Join(ignoreDone(tx.Rollback()), db.Close())
	}}
	// Whoever takes the rows may be slow.
	if _, err := tx.ExecContext(ctx, "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// ignoreDone is for a transaction that ends itself when its context does.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

func (s *snapshot) export(ctx context.Context, t table, sink RowSink) error {
	if err := sink.Table(t.name, t.columnNames()); err != nil {
		return err
	}
	rows, err := s.tx.QueryContext(ctx, t.selectAll(s.collation))
	if err != nil {
		return err
	}
	defer rows.Close()
	r := newRow(t)
	for rows.Next() {
		if err := rows.Scan(r.into...); err != nil {
			return err
		}
		if err := sink.Row(r.take()); err != nil {
			return err
		}
	}
	return rows.Err()
}

// row is where the rows of a table are scanned into, one after the other: both engines give the same values then.
type row struct {
	into   []any // pointers, one a column
	values []any
}

func newRow(t table) *row {
	r := &row{into: make([]any, len(t.columns)), values: make([]any, len(t.columns))}
	for i, c := range t.columns {
		switch c.kind {
		case kindInteger:
			r.into[i] = &sql.NullInt64{}
		case kindBool:
			r.into[i] = &sql.NullBool{}
		default:
			r.into[i] = &sql.NullString{}
		}
	}
	return r
}

func (r *row) take() []any {
	for i, p := range r.into {
		r.values[i] = nil
		switch v := p.(type) {
		case *sql.NullInt64:
			if v.Valid {
				r.values[i] = v.Int64
			}
		case *sql.NullBool:
			if v.Valid {
				r.values[i] = v.Bool
			}
		case *sql.NullString:
			if v.Valid {
				r.values[i] = v.String
			}
		}
	}
	return r.values
}

// schemaVersion is the version of the schema that this program knows.
func (s *Store) schemaVersion() (int64, error) {
	provider, err := newProvider(s.read, s.opts)
	if err != nil {
		return 0, err
	}
	sources := provider.ListSources()
	return sources[len(sources)-1].Version, nil
}
