// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// OperationList selects operations.
type OperationList struct {
	Page
	StatusIn []farm.OperationStatus
	Kind     string // "" = any
}

var operationLists = listOf[farm.Operation]{
	part: partRows,
	list: list{
		from: "operations o", id: "o.id", name: "o.kind",
		sort: map[string]string{"created": "o.created_at"},
		rows: `o.id, o.uuid, o.kind, o.params, o.status, o.activity, o.done, o.total, o.who, o.manager, o.runs, o.crashes, o.created_at,
    o.started_at, o.ended_at, o.cancel_requested_at, o.revision FROM operations o`,
	},
	row: func() rowOf[farm.Operation] {
		o := new(query.Operation)
		return rowOf[farm.Operation]{
			[]any{
				&o.ID, &o.Uuid, &o.Kind, &o.Params, &o.Status, &o.Activity, &o.Done, &o.Total, &o.Who, &o.Manager, &o.Runs,
				&o.Crashes, &o.CreatedAt, &o.StartedAt, &o.EndedAt, &o.CancelRequestedAt, &o.Revision,
			},
			func() (int64, farm.Operation, error) { return o.ID, farmOperation(*o), nil },
		}
	},
}

// Operations lists operations, the newest first; next is the cursor for the page behind, "" when this was the last.
func (s *Store) Operations(ctx context.Context, l OperationList) (operations []farm.Operation, next string, err error) {
	if len(l.OrderBy) == 0 {
		l.OrderBy = []string{"-created"}
	}
	q := operationLists.query(l.Page)
	q.statusIn("o.status", asStrings(l.StatusIn))
	if l.Kind != "" {
		q.filter("o.kind = " + q.arg(l.Kind))
	}
	return operationLists.page(ctx, s, q)
}

// Operation is one operation, or farm.ErrNotExist.
func (s *Store) Operation(ctx context.Context, id string) (farm.Operation, error) {
	row, err := s.reads.OperationByUUID(ctx, id)
	return farmOperation(row), wrap(err)
}

// QueuedOperation is an operation that waits, with the number of its row: the next page of them begins behind it.
type QueuedOperation struct {
	farm.Operation
	Row int64
}

// QueuedOperations is the next n operations that wait for any Manager or for this one, the oldest first, behind a row.
func (s *Store) QueuedOperations(ctx context.Context, manager string, after int64, n int) ([]QueuedOperation, error) {
	rows, err := s.reads.QueuedOperations(ctx, query.QueuedOperationsParams{Manager: manager, After: after, N: int64(n)})
	queued := make([]QueuedOperation, len(rows))
	for i, r := range rows {
		queued[i] = QueuedOperation{farmOperation(r), r.ID}
	}
	return queued, wrap(err)
}

// InsertOperation queues an operation. If one of the same kind and parameters waits already, that is the one returned.
// manager is the Manager that alone may run it, "" = any.
func (tx *Tx) InsertOperation(kind string, params json.RawMessage, who, manager string) (farm.Operation, error) {
	waiting, err := tx.q.WaitingOperation(tx.ctx, query.WaitingOperationParams{Kind: kind, Params: string(params), Manager: manager})
	if err == nil {
		return farmOperation(waiting), nil
	}
	if err := wrap(err); !farm.IsNotExist(err) {
		return farm.Operation{}, err
	}
	id := uuid.NewString()
	err = tx.q.InsertOperation(tx.ctx, query.InsertOperationParams{
		Uuid: id, Kind: kind, Params: string(params), Who: who, Manager: manager, CreatedAt: tx.stamp(),
	})
	if err != nil {
		return farm.Operation{}, err
	}
	tx.Changed(farm.Change{Kind: farm.ChangeOperation, OperationID: id})
	return tx.Operation(id)
}

// Operation is one operation, or farm.ErrNotExist.
func (tx *Tx) Operation(id string) (farm.Operation, error) {
	row, err := tx.q.LockOperation(tx.ctx, id)
	return farmOperation(row), wrap(err)
}

// RunningOperations lists the operations that run, on whichever Manager.
func (tx *Tx) RunningOperations() ([]farm.Operation, error) {
	rows, err := tx.q.RunningOperations(tx.ctx)
	operations := make([]farm.Operation, len(rows))
	for i, r := range rows {
		operations[i] = farmOperation(r)
	}
	return operations, wrap(err)
}

// LostOperations lists the operations that run under a Manager that is gone, or was not seen for a while, and those that
// wait for such a one alone.
func (tx *Tx) LostOperations(unseen time.Duration) ([]farm.Operation, error) {
	rows, err := tx.q.LostOperations(tx.ctx, tx.now.Add(-unseen).UnixMicro())
	operations := make([]farm.Operation, len(rows))
	for i, r := range rows {
		operations[i] = farmOperation(r)
	}
	return operations, wrap(err)
}

// SaveOperation stores all of an operation that can change.
func (tx *Tx) SaveOperation(o farm.Operation) error {
	tx.Changed(farm.Change{Kind: farm.ChangeOperation, OperationID: o.ID})
	return tx.q.UpdateOperation(tx.ctx, query.UpdateOperationParams{
		Uuid: o.ID, Status: string(o.Status), Activity: o.Activity, Done: o.Done, Total: o.Total, Manager: o.Manager, Runs: o.Runs,
		Crashes: o.Crashes, StartedAt: micros.Of(o.Started), EndedAt: micros.Of(o.Ended),
		CancelRequestedAt: micros.Of(o.CancelRequested),
	})
}

// ForgetOperations deletes up to n operations that ended: those from before a moment, and all but the newest keep. It
// returns their ids.
func (tx *Tx) ForgetOperations(before time.Time, keep, n int) ([]string, error) {
	ids, err := tx.q.ForgetOperations(tx.ctx, query.ForgetOperationsParams{
		Before: before.UnixMicro(), Keep: int64(keep), N: int64(n),
	})
	for _, id := range ids {
		tx.Changed(farm.Change{Kind: farm.ChangeOperation, OperationID: id})
	}
	return ids, err
}

func farmOperation(o query.Operation) farm.Operation {
	return farm.Operation{
		ID: o.Uuid, Kind: o.Kind, Params: json.RawMessage(o.Params), Status: farm.OperationStatus(o.Status),
		Activity: o.Activity, Done: o.Done, Total: o.Total, Who: o.Who, Manager: o.Manager, Runs: o.Runs, Crashes: o.Crashes,
		Created: o.CreatedAt.Time, Started: o.StartedAt.Time, Ended: o.EndedAt.Time,
		CancelRequested: o.CancelRequestedAt.Time, Revision: o.Revision,
	}
}
