// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// Tx is a transaction. It carries the context that it was opened with, and collects what it changes.
type Tx struct {
	ctx     context.Context
	q       *query.Queries
	db      runner
	claims  claims
	pg      *pgTx // nil on SQLite
	now     time.Time
	doubt   time.Duration // by how much now may be wrong
	changes []farm.Change
	wanted  func(farm.ChangeKind) bool
	done    outcomes // attempts that it ended
}

// runner is how a transaction runs statements that sqlc does not make.
type runner interface {
	ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row
}

// Why says who changes a status and for what reason; both go into the history.
type Why struct {
	Who    string // worker:<id>, user or manager
	Reason string
}

// ByManager is the Why of what the Manager does by itself.
func ByManager(reason string) Why { return Why{Who: "manager", Reason: reason} }

// ByWorker is the Why of what a worker reports.
func ByWorker(id, reason string) Why { return Why{Who: "worker:" + id, Reason: reason} }

// Now is the time of the transaction.
func (tx *Tx) Now() time.Time { return tx.now }

// Latest is the latest that the time can be; see Store.Earliest.
func (tx *Tx) Latest() time.Time { return tx.now.Add(tx.doubt) }

func (tx *Tx) stamp() micros.Time { return micros.Of(tx.now) }

// changedStatus writes one line of history.
func (tx *Tx) changedStatus(what string, objectID, jobID int64, from, to string, why Why) error {
	change := query.InsertStatusChangeParams{
		What: what, ObjectID: objectID, JobID: nullID(jobID), FromStatus: from, ToStatus: to,
		ChangedAt: tx.stamp(), Who: why.Who, Reason: why.Reason,
	}
	if tx.batch() != nil {
		tx.pg.later.history = append(tx.pg.later.history, change)
		return nil
	}
	return tx.q.InsertStatusChange(tx.ctx, change)
}

// nullID makes NULL of the id 0, which no row has.
func nullID(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }

func nullInt(n *int) sql.NullInt64 {
	if n == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: int64(*n), Valid: true}
}

func intPtr(n sql.NullInt64) *int {
	if !n.Valid {
		return nil
	}
	i := int(n.Int64)
	return &i
}
