// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// Lock is who holds a lock, or farm.ErrNotExist when it is free.
func (tx *Tx) Lock(name string) (farm.Lock, error) {
	row, err := tx.q.LockByName(tx.ctx, name)
	return farm.Lock(row), wrap(err)
}

// LocksOf lists what an operation holds.
func (tx *Tx) LocksOf(owner string) ([]farm.Lock, error) {
	rows, err := tx.q.LocksOf(tx.ctx, owner)
	locks := make([]farm.Lock, len(rows))
	for i, r := range rows {
		locks[i] = farm.Lock(r)
	}
	return locks, wrap(err)
}

// PutLock gives a lock to its Owner and Epoch if it is still at its Version, where 0 stands for a free one. It reports
// whether it was.
func (tx *Tx) PutLock(l farm.Lock) (bool, error) {
	if l.Version == 0 {
		n, err := tx.q.InsertLock(tx.ctx, query.InsertLockParams{Name: l.Name, Owner: l.Owner, Epoch: l.Epoch})
		return n == 1, err
	}
	n, err := tx.q.UpdateLock(tx.ctx, query.UpdateLockParams{Name: l.Name, Owner: l.Owner, Epoch: l.Epoch, Version: l.Version})
	return n == 1, err
}

// DropLock frees a lock if it is still at its Version. It reports whether it was.
func (tx *Tx) DropLock(l farm.Lock) (bool, error) {
	n, err := tx.q.DeleteLock(tx.ctx, query.DeleteLockParams{Name: l.Name, Version: l.Version})
	return n == 1, err
}

// CountLocks is how many locks are held.
func (s *Store) CountLocks(ctx context.Context) (int, error) {
	n, err := s.reads.CountLocks(ctx)
	return int(n), wrap(err)
}
