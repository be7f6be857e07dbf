// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// answers is what both drivers have for the rows of a query.
type answers interface {
	Next() bool
	Scan(columns ...any) error
}

// eachRow reads the rows of a query, in a limited time.
func eachRow[T any](ctx context.Context, s *Store, text string, args []any, r rowOf[T], each func(id int64, item T)) (err error) {
	ctx, end := limited(ctx)
	defer end(&err)
	return wrap(s.withRows(ctx, text, args, func(rows answers) error {
		for rows.Next() {
			if err := rows.Scan(r.columns...); err != nil {
				return err
			}
			id, item, err := r.item()
			if err != nil {
				return err
			}
			each(id, item)
		}
		return nil
	}))
}

// withRows asks a query.
func (s *Store) withRows(ctx context.Context, text string, args []any, fn func(answers) error) error {
	if s.clock != nil { // PostgreSQL
		return s.withRowsPostgres(ctx, text, args, fn)
	}
	rows, err := s.read.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := fn(rows); err != nil {
		return err
	}
	return rows.Err()
}

// askTries is how often a query is asked on connections that are found broken before it could be sent, as database/sql
// does it.
const askTries = 3

// withRowsPostgres asks the driver itself: database/sql would make copies of every value of every row.
func (s *Store) withRowsPostgres(ctx context.Context, text string, args []any, fn func(answers) error) error {
	for try := 1; ; try++ {
		err := s.askPostgres(ctx, text, args, fn)
		if try == askTries || !pgconn.SafeToRetry(err) {
			return err
		}
	}
}

func (s *Store) askPostgres(ctx context.Context, text string, args []any, fn func(answers) error) error {
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // only given back
	return conn.Raw(func(driver any) error {
		rows, err := driver.(*stdlib.Conn).Conn().Query(ctx, text, args...) //nolint:forcetypeassert // it is the only driver here
		if err != nil {
			return err
		}
		defer rows.Close()
		if err := fn(rows); err != nil {
			return err
		}
		return rows.Err()
	})
}
