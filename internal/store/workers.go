// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// Worker is a worker inside a transaction: change its fields, then save it. Tags and task types have calls of their own.
type Worker struct {
	farm.Worker
	Deleted bool
	id      int64
	first   farm.WorkerStatus // "" = stored in this transaction
	was     farm.WorkerStatus
	noted   noted
}

// InsertWorker stores a new worker; secretHash is what its secret is checked against.
func (tx *Tx) InsertWorker(w farm.Worker, secretHash string) (*Worker, error) {
	if w.ID == "" {
		w.ID = uuid.NewString()
	}
	row, err := tx.q.InsertWorker(tx.ctx, query.InsertWorkerParams{
		Uuid: w.ID, Secret: secretHash, Name: w.Name, Address: w.Address, Platform: w.Platform, Software: w.Software,
		Status: string(w.Status), LastSeenAt: tx.stamp(), CreatedAt: tx.stamp(), UpdatedAt: tx.stamp(),
	})
	if err != nil {
		return nil, err
	}
	stored := txWorker(row)
	if err := tx.SetTaskTypes(stored, w.TaskTypes); err != nil {
		return nil, err
	}
	stored.first = ""
	tx.WorkerChanged(stored)
	return stored, nil
}

// Worker locks a worker that is not deleted. Its task types and tags are not loaded.
func (tx *Tx) Worker(id string) (*Worker, error) {
	if row, ok := use(&tx.seen().worker, func(r *query.Worker) bool { return r.Uuid == id }); ok {
		return txWorker(row), nil
	}
	row, err := tx.q.LockWorker(tx.ctx, id)
	if err != nil {
		return nil, wrap(err)
	}
	return txWorker(row), nil
}

func txWorker(row query.Worker) *Worker {
	w := farmWorker(row)
	return &Worker{Worker: w, id: row.ID, first: w.Status, was: w.Status}
}

// SaveWorker stores the worker and, if its status changed, a line of history.
func (tx *Tx) SaveWorker(w *Worker, why Why) error {
	p := query.UpdateWorkerParams{
		ID: w.id, Name: w.Name, Address: w.Address, Software: w.Software, Status: string(w.Status),
		CanRestart: w.CanRestart, Session: w.Session, LastSeenAt: micros.Of(w.LastSeen), UpdatedAt: tx.stamp(),
	}
	if w.Requested != nil {
		p.StatusRequested, p.LazyRequest = string(w.Requested.Status), w.Requested.Lazy
	}
	if w.Deleted {
		p.DeletedAt = tx.stamp()
	}
	if err := tx.q.UpdateWorker(tx.ctx, p); err != nil {
		return err
	}
	w.Updated = tx.now
	tx.WorkerChanged(w)
	if w.Status == w.was {
		return nil
	}
	was := w.was
	w.was = w.Status
	return tx.changedStatus("worker", w.id, 0, string(was), string(w.Status), why)
}

// TouchWorker notes that the worker was heard of.
func (tx *Tx) TouchWorker(w *Worker) error {
	tx.Seen(w)
	return tx.q.TouchWorker(tx.ctx, query.TouchWorkerParams{ID: w.id, LastSeenAt: micros.Of(w.LastSeen)})
}

// Seen notes that the worker was heard of, to be saved with it. A transaction that waited, or whose Manager stood still, may
// be late: another one may have heard of the worker since, and its lease must not become shorter.
func (tx *Tx) Seen(w *Worker) {
	if at := tx.Latest(); at.After(w.LastSeen) {
		w.LastSeen = at
	}
}

// SetTaskTypes replaces the task types that a worker runs, keeping their order.
func (tx *Tx) SetTaskTypes(w *Worker, types []string) error {
	if err := tx.q.DeleteWorkerTaskTypes(tx.ctx, w.id); err != nil {
		return err
	}
	for i, t := range types {
		p := query.InsertWorkerTaskTypeParams{WorkerID: w.id, TaskType: t, Position: int64(i)}
		if err := tx.q.InsertWorkerTaskType(tx.ctx, p); err != nil {
			return err
		}
	}
	w.TaskTypes = types
	return nil
}

// TaskTypes loads the task types that a worker runs.
func (tx *Tx) TaskTypes(w *Worker) ([]string, error) { return tx.q.WorkerTaskTypes(tx.ctx, w.id) }

// SetTags replaces the tags of a worker; unknown ids are left out, as Flamenco 3 does.
func (tx *Tx) SetTags(w *Worker, tagIDs []string) error {
	if err := tx.q.DeleteWorkerTags(tx.ctx, w.id); err != nil {
		return err
	}
	for _, id := range tagIDs {
		if err := tx.q.InsertWorkerTag(tx.ctx, query.InsertWorkerTagParams{WorkerID: w.id, Uuid: id}); err != nil {
			return err
		}
	}
	return nil
}

// SilentWorkers lists the ids of workers not heard of since before that are still believed to run.
func (s *Store) SilentWorkers(ctx context.Context, before time.Time) ([]string, error) {
	ids, err := s.reads.SilentWorkers(ctx, micros.Of(before))
	return ids, wrap(err)
}

// WorkerSecret is what the secret of a worker is checked against.
func (s *Store) WorkerSecret(ctx context.Context, id string) (string, error) {
	secret, err := s.reads.WorkerSecret(s.brief(ctx), id)
	return secret, wrap(err)
}

// Worker is a worker that is not deleted, with its task types and tags.
func (s *Store) Worker(ctx context.Context, id string) (farm.Worker, error) {
	row, err := s.reads.WorkerByUUID(s.brief(ctx), id)
	if err != nil {
		return farm.Worker{}, wrap(err)
	}
	w := farmWorker(row)
	if w.TaskTypes, err = s.reads.WorkerTaskTypes(ctx, row.ID); err != nil {
		return farm.Worker{}, wrap(err)
	}
	tags, err := s.reads.WorkerTags(ctx, row.ID)
	for _, t := range tags {
		w.Tags = append(w.Tags, farmTag(t))
	}
	return w, wrap(err)
}

// PeekWorker reads a worker that is not deleted as a transaction would, without one: its task types and tags are not loaded.
func (s *Store) PeekWorker(ctx context.Context, id string) (farm.Worker, error) {
	row, err := s.reads.WorkerByUUID(s.brief(ctx), id)
	if err != nil {
		return farm.Worker{}, wrap(err)
	}
	return farmWorker(row), nil
}

// WorkerCounts is how many workers have each status.
func (s *Store) WorkerCounts(ctx context.Context) (map[farm.WorkerStatus]int, error) {
	rows, err := s.reads.CountWorkersByStatus(ctx)
	counts := make(map[farm.WorkerStatus]int, len(rows))
	for _, r := range rows {
		counts[farm.WorkerStatus(r.Status)] = int(r.N)
	}
	return counts, wrap(err)
}

func farmWorker(row query.Worker) farm.Worker {
	return farm.Worker{
		ID: row.Uuid, Name: row.Name, Address: row.Address, Platform: row.Platform, Software: row.Software,
		Status: farm.WorkerStatus(row.Status), Requested: statusRequest(row.StatusRequested, row.LazyRequest),
		CanRestart: row.CanRestart, Created: row.CreatedAt.Time, Updated: row.UpdatedAt.Time, LastSeen: row.LastSeenAt.Time,
		Session: row.Session, Revision: row.Revision,
	}
}

func statusRequest(status string, lazy bool) *farm.StatusRequest {
	if status == "" {
		return nil
	}
	return &farm.StatusRequest{Status: farm.WorkerStatus(status), Lazy: lazy}
}

// AnyWorker locks a worker even if it is deleted.
func (tx *Tx) AnyWorker(id string) (*Worker, error) {
	row, err := tx.q.LockAnyWorker(tx.ctx, id)
	if err != nil {
		return nil, wrap(err)
	}
	return txWorker(row), nil
}

// TagIDs loads the ids of the tags of a worker.
func (tx *Tx) TagIDs(w *Worker) ([]string, error) {
	rows, err := tx.q.WorkerTags(tx.ctx, w.id)
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.Uuid
	}
	return ids, err
}
