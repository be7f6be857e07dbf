// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// So many statements may wait in a pipe, with texts of so many bytes.
const (
	pipeLimit = 200
	pipeBytes = 1 << 20
)

// pipe is a connection to PostgreSQL that sends statements without results together: with the next question, or with the
// COMMIT. Most of the time of a short transaction is spent on the way to the server, while others wait for its locks. An
// error of such a statement is the error of whatever is asked next.
type pipe struct {
	conn  *sql.Conn
	batch pgx.Batch
	tags  []pgconn.CommandTag // of the statements that were sent, for those who ask for them
	bytes int                 // of the texts in the batch
	sent  int                 // how many statements were sent before those in the batch
	err   error               // after which nothing works any more
	asked int                 // how many questions changed something
}

// begin begins a transaction. One that is impatient waits for no lock for long.
func (p *pipe) begin(ctx context.Context, impatient bool) error {
	_, err := p.ExecContext(ctx, "BEGIN")
	if err == nil && impatient {
		_, err = p.ExecContext(ctx, "SET LOCAL lock_timeout = "+milliseconds(batchLockTimeout))
	}
	return err
}

// mark remembers what was done so far. The function it returns takes back what was queued since; it is false if something was
// sent since, which only a ROLLBACK takes back.
func (p *pipe) mark() (undo func() bool) {
	sent, queued, asked := p.sent, p.batch.Len(), p.asked
	return func() bool {
		if keep := sent + queued - p.sent; p.asked == asked && keep >= 0 {
			p.batch.QueuedQueries = p.batch.QueuedQueries[:keep]
			return true
		}
		return false
	}
}

// changes reports whether a statement changes rows. Those that sqlc makes begin with a line that names them.
func changes(statement string) bool {
	for strings.HasPrefix(statement, "--") {
		_, statement, _ = strings.Cut(statement, "\n")
	}
	return !strings.HasPrefix(strings.TrimLeft(statement, " \n"), "SELECT")
}

// result is of a statement that may not have been sent yet.
type result struct {
	ctx  context.Context
	pipe *pipe
	at   int
}

func (r result) LastInsertId() (int64, error) { return 0, errors.ErrUnsupported }

func (r result) RowsAffected() (int64, error) {
	if err := r.pipe.flush(r.ctx); err != nil {
		return 0, err
	}
	return r.pipe.tags[r.at].RowsAffected(), nil
}

func (p *pipe) ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	if p.err != nil {
		return nil, p.err
	}
	p.batch.Queue(statement, args...)
	at := p.sent + p.batch.Len() - 1
	for _, arg := range args {
		if text, ok := arg.(string); ok {
			p.bytes += len(text)
		}
	}
	if p.batch.Len() >= pipeLimit || p.bytes >= pipeBytes {
		if err := p.flush(ctx); err != nil {
			return nil, err
		}
	}
	return result{ctx, p, at}, nil
}

// PrepareContext is needed by nobody: connections keep the statements that they have parsed.
func (p *pipe) PrepareContext(context.Context, string) (*sql.Stmt, error) {
	return nil, errors.ErrUnsupported
}

func (p *pipe) QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	if err := p.flush(ctx); err != nil {
		return nil, err
	}
	if changes(statement) {
		p.asked++
	}
	return p.conn.QueryContext(ctx, statement, args...)
}

// QueryRowContext asks a connection that refuses when a statement before failed: the row then has that error.
func (p *pipe) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	if err := p.flush(ctx); err != nil {
		failed, cancel := context.WithCancelCause(ctx)
		cancel(err)
		return p.conn.QueryRowContext(failed, statement, args...)
	}
	if changes(statement) {
		p.asked++
	}
	return p.conn.QueryRowContext(ctx, statement, args...)
}

// flush sends what waits and hears the results.
func (p *pipe) flush(ctx context.Context) error {
	return p.ask(ctx, nil)
}

// ask sends what waits together with questions, in one go, and scans the first row of the answer to each.
func (p *pipe) ask(ctx context.Context, questions []question) error {
	if p.err != nil || (p.batch.Len() == 0 && len(questions) == 0) {
		return p.err
	}
	waiting := p.batch.Len()
	for _, q := range questions {
		p.batch.Queue(q.statement, q.args...)
	}
	p.err = p.conn.Raw(func(driver any) error {
		answers := driver.(*stdlib.Conn).Conn().SendBatch(ctx, &p.batch) //nolint:forcetypeassert // it is the only driver here
		return errors.Join(p.hear(answers, waiting, questions), answers.Close())
	})
	p.sent += waiting
	p.batch, p.bytes = pgx.Batch{}, 0
	return p.err
}

// copyIn inserts rows with COPY, after what waits.
func (p *pipe) copyIn(ctx context.Context, table string, columns []string, rows [][]any) error {
	if err := p.flush(ctx); err != nil {
		return err
	}
	p.asked++
	p.err = p.conn.Raw(func(driver any) error {
		_, err := driver.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows)) //nolint:forcetypeassert // it is the only driver here
		return err
	})
	return p.err
}

func (p *pipe) hear(answers pgx.BatchResults, waiting int, questions []question) error {
	for range waiting {
		tag, err := answers.Exec()
		if err != nil {
			return err
		}
		p.tags = append(p.tags, tag)
	}
	for _, q := range questions {
		rows, err := answers.Query()
		if err != nil {
			return err
		}
		for rows.Next() {
			if err := q.row(rows.Scan); err != nil {
				rows.Close()
				return err
			}
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

// question is a statement whose rows are wanted.
type question struct {
	statement string
	args      []any
	row       func(scan func(...any) error) error
}

// fields are pointers to the columns of a row as sqlc makes it, in their order.
func fields(row any) []any { return fieldsOf(reflect.ValueOf(row).Elem()) }

func fieldsOf(v reflect.Value) (pointers []any) {
	for i := range v.NumField() {
		f := v.Field(i)
		if _, leaf := f.Addr().Interface().(sql.Scanner); !leaf && f.Kind() == reflect.Struct {
			pointers = append(pointers, fieldsOf(f)...)
			continue
		}
		pointers = append(pointers, f.Addr().Interface())
	}
	return pointers
}
