// SPDX-License-Identifier: GPL-3.0-or-later

// Package lock owns the rules of named locks: one holder at a time, taken all or none, lost for good by a run that is
// over. It must not know where locks are kept nor what they protect.
//
// A lock belongs to an operation in one of its runs, the epoch. A process of an earlier run that is still alive, because
// its Manager died and it has not noticed, finds its locks gone as soon as it checks them in a transaction.
package lock

import (
	"errors"
	"fmt"

	"flamenco.farm/internal/farm"
)

// ErrLost says that a holder does not hold its locks any more: nothing that it does counts.
var ErrLost = errors.New("its locks are gone")

// HeldError says that a lock is taken.
type HeldError struct{ Lock farm.Lock }

func (e *HeldError) Error() string {
	return fmt.Sprintf("the lock %s is held by operation %s", e.Lock.Name, e.Lock.Owner)
}

// Holder is an operation in one of its runs.
type Holder struct {
	Owner string
	Epoch int64
}

// Tx is the transaction in which locks change; every function of this package does all in one, or nothing.
type Tx interface {
	// Lock is who holds a lock, farm.ErrNotExist when nobody does.
	Lock(name string) (farm.Lock, error)
	// LocksOf lists what an owner holds.
	LocksOf(owner string) ([]farm.Lock, error)
	// PutLock stores a holder if the lock is still at its Version, 0 meaning free.
	PutLock(farm.Lock) (bool, error)
	// DropLock frees a lock if it is still at its Version.
	DropLock(farm.Lock) (bool, error)
}

// Acquire takes the locks, or fails with a HeldError; then the caller must give up the transaction. What the holder has
// already, also from an earlier run, counts as free.
func Acquire(tx Tx, by Holder, names ...string) error {
	for _, name := range names {
		held, err := tx.Lock(name)
		switch {
		case farm.IsNotExist(err):
			held = farm.Lock{Name: name}
		case err != nil:
			return err
		case held.Owner != by.Owner:
			return &HeldError{held}
		case held.Epoch == by.Epoch:
			continue
		}
		held.Owner, held.Epoch = by.Owner, by.Epoch
		ok, err := tx.PutLock(held)
		if err != nil {
			return err
		}
		if !ok {
			return &HeldError{farm.Lock{Name: name}}
		}
	}
	return nil
}

// Check fails with ErrLost unless the holder has all of the locks. Made in the transaction of a write, it keeps a run
// that is over from writing.
func Check(tx Tx, by Holder, names ...string) error {
	for _, name := range names {
		if _, err := held(tx, by, name); err != nil {
			return err
		}
	}
	return nil
}

// Release frees locks of the holder, or fails with ErrLost.
func Release(tx Tx, by Holder, names ...string) error {
	for _, name := range names {
		l, err := held(tx, by, name)
		if err != nil {
			return err
		}
		if ok, err := tx.DropLock(l); err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%w: %s", ErrLost, name))
		}
	}
	return nil
}

// held is a lock that the holder must have.
func held(tx Tx, by Holder, name string) (farm.Lock, error) {
	l, err := tx.Lock(name)
	if err != nil && !farm.IsNotExist(err) {
		return l, err
	}
	if l.Owner != by.Owner || l.Epoch != by.Epoch {
		return l, fmt.Errorf("%w: %s", ErrLost, name)
	}
	return l, nil
}

// Free frees whatever an owner holds, in any of its runs: for one that is known to have ended.
func Free(tx Tx, owner string) error {
	locks, err := tx.LocksOf(owner)
	if err != nil {
		return err
	}
	for _, l := range locks {
		if ok, err := tx.DropLock(l); err != nil || !ok {
			return errors.Join(err, fmt.Errorf("freeing the lock %s of operation %s", l.Name, owner))
		}
	}
	return nil
}
