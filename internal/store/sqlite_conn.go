// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"

	"flamenco.farm/internal/store/query"
)

// sqliteConn is the one connection that writes, with all that it runs often parsed once. database/sql would hand out each
// statement anew in every transaction of its own.
type sqliteConn struct {
	*sql.Conn
	q                                             *query.Queries
	claims                                        sqliteClaims
	begin, commit, rollback, member, undo, accept *sql.Stmt
	others                                        map[string]*sql.Stmt // by text
}

func newSQLiteConn(ctx context.Context, db *sql.DB) (c *sqliteConn, err error) {
	c = &sqliteConn{others: map[string]*sql.Stmt{}}
	if c.Conn, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	for at, text := range map[**sql.Stmt]string{
		&c.begin: "BEGIN IMMEDIATE", &c.commit: "COMMIT", &c.rollback: "ROLLBACK",
		&c.member: "SAVEPOINT member", &c.undo: "ROLLBACK TO member", &c.accept: "RELEASE member",
		&c.claims.jobs: jobsToClaimSQLite, &c.claims.task: taskToClaimSQLite,
	} {
		if *at, err = c.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // by close
			return nil, errors.Join(err, c.close())
		}
	}
	if c.q, err = query.Prepare(ctx, c.Conn); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// run runs a statement that has no parameters and no rows.
func run(s *sql.Stmt) error {
	_, err := s.ExecContext(context.Background())
	return err
}

// parsed is a statement that is kept from then on: there must not be many.
func (c *sqliteConn) parsed(ctx context.Context, text string) (s *sql.Stmt, err error) {
	if s = c.others[text]; s == nil {
		if s, err = c.PrepareContext(ctx, text); err == nil {
			c.others[text] = s
		}
	}
	return s, err
}

func (c *sqliteConn) close() error {
	var errs []error
	for _, s := range []*sql.Stmt{c.begin, c.commit, c.rollback, c.member, c.undo, c.accept, c.claims.jobs, c.claims.task} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	for _, s := range c.others {
		errs = append(errs, s.Close())
	}
	if c.q != nil {
		errs = append(errs, c.q.Close())
	}
	return errors.Join(append(errs, c.Conn.Close())...)
}
