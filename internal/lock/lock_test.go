// SPDX-License-Identifier: GPL-3.0-or-later

package lock_test

import (
	"errors"
	"maps"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/lock"
)

// locks are those of one transaction, in memory; the real ones are tested where they are kept.
type locks map[string]farm.Lock

func (l locks) Lock(name string) (farm.Lock, error) {
	if held, ok := l[name]; ok {
		return held, nil
	}
	return farm.Lock{}, farm.ErrNotExist
}

func (l locks) LocksOf(owner string) (held []farm.Lock, err error) {
	for _, one := range l {
		if one.Owner == owner {
			held = append(held, one)
		}
	}
	return held, nil
}

func (l locks) PutLock(one farm.Lock) (bool, error) {
	if l[one.Name].Version != one.Version {
		return false, nil
	}
	one.Version++
	l[one.Name] = one
	return true, nil
}

func (l locks) DropLock(one farm.Lock) (bool, error) {
	if held, ok := l[one.Name]; !ok || held.Version != one.Version {
		return false, nil
	}
	delete(l, one.Name)
	return true, nil
}

func TestALockHasOneHolder(t *testing.T) {
	t.Parallel()
	tx := locks{}
	a, b := lock.Holder{Owner: "a", Epoch: 1}, lock.Holder{Owner: "b", Epoch: 1}
	if err := lock.Acquire(tx, a, "x", "y"); err != nil {
		t.Fatal(err)
	}
	if err := lock.Acquire(tx, a, "x"); err != nil {
		t.Errorf("taking it again: %v", err)
	}
	var held *lock.HeldError
	if err := lock.Acquire(tx, b, "z", "y"); !errors.As(err, &held) || held.Lock.Owner != "a" {
		t.Errorf("taking another's: %v", err)
	}
	if err := lock.Check(tx, a, "x", "y"); err != nil {
		t.Error(err)
	}
	if err := lock.Check(tx, b, "x"); !errors.Is(err, lock.ErrLost) {
		t.Errorf("checking another's: %v", err)
	}
	if err := lock.Release(tx, b, "x"); !errors.Is(err, lock.ErrLost) {
		t.Errorf("freeing another's: %v", err)
	}
	if err := lock.Release(tx, a, "x"); err != nil {
		t.Error(err)
	}
	if err := lock.Acquire(tx, b, "x"); err != nil {
		t.Errorf("taking a free one: %v", err)
	}
}

func TestARunThatIsOverHasLostItsLocks(t *testing.T) {
	t.Parallel()
	tx := locks{}
	first, second := lock.Holder{Owner: "a", Epoch: 1}, lock.Holder{Owner: "a", Epoch: 2}
	if err := lock.Acquire(tx, first, "x", "y"); err != nil {
		t.Fatal(err)
	}
	if err := lock.Acquire(tx, second, "x"); err != nil {
		t.Fatal(err)
	}
	if err := lock.Check(tx, first, "x"); !errors.Is(err, lock.ErrLost) {
		t.Errorf("the first run still has it: %v", err)
	}
	if err := lock.Release(tx, first, "x"); !errors.Is(err, lock.ErrLost) {
		t.Errorf("the first run could free it: %v", err)
	}
	if err := lock.Free(tx, "a"); err != nil || len(tx) != 0 {
		t.Errorf("left: %v, %v", maps.Collect(maps.All(tx)), err)
	}
	if err := lock.Check(tx, second, "x"); !errors.Is(err, lock.ErrLost) {
		t.Errorf("a freed one is still held: %v", err)
	}
}
