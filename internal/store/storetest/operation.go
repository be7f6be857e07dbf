// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"encoding/json"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func operationTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"an operation is kept as it was saved":             testSaveOperation,
		"operations are listed, the newest first":          testListOperations,
		"only old operations that ended are forgotten":     testForgetOperations,
		"a lock changes only at the version that was seen": testLockVersions,
		"a lock goes with its operation":                   testLockGoesWithOperation,
	}
}

func (f *Farm) operation(kind, params string) (o farm.Operation) {
	f.t.Helper()
	f.do(func(tx *store.Tx) (err error) {
		o, err = tx.InsertOperation(kind, json.RawMessage(params), "user", "")
		return err
	})
	return o
}

func (f *Farm) saveOperation(id string, change func(*farm.Operation, time.Time)) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error {
		o, err := tx.Operation(id)
		if err != nil {
			return err
		}
		change(&o, tx.Now())
		return tx.SaveOperation(o)
	})
}

func endOperation(o *farm.Operation, now time.Time) { o.Status, o.Ended = farm.OperationCompleted, now }

func testSaveOperation(f *Farm) {
	o := f.operation("test", `{"a":1}`)
	if o.Status != farm.OperationQueued || o.Who != "user" || string(o.Params) != `{"a":1}` || o.Revision != 1 {
		f.t.Errorf("%+v", o)
	}
	if same := f.operation("test", `{"a":1}`); same.ID != o.ID {
		f.t.Errorf("it waits twice")
	}
	f.takeChanges()
	f.saveOperation(o.ID, func(o *farm.Operation, now time.Time) {
		o.Status, o.Activity, o.Done, o.Total, o.Runs, o.Crashes = farm.OperationRunning, "busy", 1, 2, 3, 4
		o.Started, o.CancelRequested = now, now
	})
	got, err := f.Store.Operation(f.ctx, o.ID)
	f.must(err)
	if got.Activity != "busy" || got.Done != 1 || got.Total != 2 || got.Runs != 3 || got.Crashes != 4 || got.Revision != 2 ||
		got.Started.IsZero() || got.CancelRequested.IsZero() || !got.Ended.IsZero() {
		f.t.Errorf("%+v", got)
	}
	if c := f.takeChanges(); len(c) != 1 || c[0].Kind != farm.ChangeOperation || c[0].OperationID != o.ID {
		f.t.Errorf("told: %+v", c)
	}
	if other := f.operation("test", `{"a":1}`); other.ID == o.ID {
		f.t.Errorf("one that runs is taken for one that waits")
	}
	_, err = f.Store.Operation(f.ctx, "nothing")
	f.wantCode(err, farm.CodeNotFound)
}

func testListOperations(f *Farm) {
	for i := range 5 {
		f.operation([]string{"even", "odd"}[i%2], fmt.Sprintf(`{"n":%d}`, i))
	}
	page, next, err := f.Store.Operations(f.ctx, store.OperationList{Page: store.Page{Limit: 3}})
	f.must(err)
	if len(page) != 3 || string(page[0].Params) != `{"n":4}` || next == "" {
		f.t.Errorf("first page %+v, next %q", page, next)
	}
	page, next, err = f.Store.Operations(f.ctx, store.OperationList{Page: store.Page{Limit: 3, After: next}})
	f.must(err)
	if len(page) != 2 || next != "" {
		f.t.Errorf("second page %+v, next %q", page, next)
	}
	f.saveOperation(page[1].ID, endOperation)
	page, _, err = f.Store.Operations(f.ctx, store.OperationList{Kind: "even", StatusIn: []farm.OperationStatus{farm.OperationQueued}})
	f.must(err)
	if len(page) != 2 {
		f.t.Errorf("even ones that wait: %+v", page)
	}
	queued, err := f.Store.QueuedOperations(f.ctx, "", 0, 3)
	f.must(err)
	more, err := f.Store.QueuedOperations(f.ctx, "", queued[2].Row, 3)
	f.must(err)
	if string(queued[0].Params) != `{"n":1}` || len(more) != 1 {
		f.t.Errorf("the queue is %+v, %+v", queued, more)
	}
	f.do(func(tx *store.Tx) error {
		o, err := tx.InsertOperation("even", json.RawMessage(`{"n":2}`), "user", "that one")
		if err == nil && o.ID == queued[1].ID {
			f.t.Errorf("one for any Manager is taken for one for a certain one")
		}
		return err
	})
	for manager, want := range map[string]int{"": 4, "that one": 5, "another": 4} {
		queued, err := f.Store.QueuedOperations(f.ctx, manager, 0, 10)
		f.must(err)
		if len(queued) != want {
			f.t.Errorf("%d wait for the Manager %q, want %d", len(queued), manager, want)
		}
	}
	f.do(func(tx *store.Tx) error {
		lost, err := tx.LostOperations(time.Minute)
		if err == nil && (len(lost) != 1 || lost[0].Manager != "that one") {
			f.t.Errorf("lost are %+v", lost)
		}
		return err
	})
}

func testForgetOperations(f *Farm) {
	var ids []string
	for i := range 6 {
		o := f.operation("test", fmt.Sprintf(`{"n":%d}`, i))
		ids = append(ids, o.ID)
		if i < 4 {
			f.saveOperation(o.ID, endOperation)
		}
	}
	forget := func(before time.Time, keep, n int) (gone []string) {
		f.do(func(tx *store.Tx) (err error) {
			gone, err = tx.ForgetOperations(before, keep, n)
			return err
		})
		return gone
	}
	if gone := forget(time.Now().Add(-time.Hour), 4, 100); len(gone) != 0 {
		f.t.Errorf("forgotten: %v", gone)
	}
	if gone := forget(time.Now().Add(-time.Hour), 2, 1); len(gone) != 1 || gone[0] != ids[0] {
		f.t.Errorf("forgotten: %v", gone)
	}
	if gone := forget(time.Now().Add(time.Hour), 100, 100); len(gone) != 3 {
		f.t.Errorf("forgotten: %v", gone)
	}
	if left, _, err := f.Store.Operations(f.ctx, store.OperationList{}); len(left) != 2 || err != nil {
		f.t.Errorf("left: %+v, %v", left, err)
	}
}

// runningOperation is one that may hold locks: its first run.
func (f *Farm) runningOperation(params string) string {
	f.t.Helper()
	o := f.operation("test", params)
	f.saveOperation(o.ID, func(o *farm.Operation, now time.Time) { o.Status, o.Started, o.Runs = farm.OperationRunning, now, 1 })
	return o.ID
}

func testLockVersions(f *Farm) {
	a, b := f.runningOperation(`{"n":1}`), f.runningOperation(`{"n":2}`)
	put := func(l farm.Lock) (ok bool) {
		f.do(func(tx *store.Tx) (err error) {
			ok, err = tx.PutLock(l)
			return err
		})
		return ok
	}
	drop := func(l farm.Lock) (ok bool) {
		f.do(func(tx *store.Tx) (err error) {
			ok, err = tx.DropLock(l)
			return err
		})
		return ok
	}
	if !put(farm.Lock{Name: "x", Owner: a, Epoch: 1}) || put(farm.Lock{Name: "x", Owner: b, Epoch: 1}) {
		f.t.Errorf("a free lock is taken once")
	}
	var held farm.Lock
	f.do(func(tx *store.Tx) (err error) {
		held, err = tx.Lock("x")
		return err
	})
	if held != (farm.Lock{Name: "x", Owner: a, Epoch: 1, Version: 1}) {
		f.t.Errorf("%+v", held)
	}
	if !put(farm.Lock{Name: "x", Owner: b, Epoch: 1, Version: 1}) || put(farm.Lock{Name: "x", Owner: a, Epoch: 1, Version: 1}) {
		f.t.Errorf("a version is changed once")
	}
	if drop(held) {
		f.t.Errorf("it was freed by one who had seen an older version")
	}
	f.do(func(tx *store.Tx) error {
		of, err := tx.LocksOf(b)
		if len(of) != 1 || of[0].Version != 2 {
			f.t.Errorf("locks of the owner: %+v", of)
		}
		return err
	})
	if !drop(farm.Lock{Name: "x", Version: 2}) || drop(farm.Lock{Name: "x", Version: 2}) {
		f.t.Errorf("it is freed once")
	}
	f.do(func(tx *store.Tx) error {
		_, err := tx.Lock("x")
		f.wantCode(err, farm.CodeNotFound)
		return nil
	})
}

func testLockGoesWithOperation(f *Farm) {
	id := f.runningOperation(`{}`)
	f.do(func(tx *store.Tx) error {
		_, err := tx.PutLock(farm.Lock{Name: "x", Owner: id, Epoch: 1})
		return err
	})
	f.check()
	f.saveOperation(id, endOperation)
	f.do(func(tx *store.Tx) error {
		_, err := tx.ForgetOperations(time.Now().Add(time.Hour), 0, 10)
		return err
	})
	if n, err := f.Store.CountLocks(f.ctx); n != 0 || err != nil {
		f.t.Errorf("%d locks, %v", n, err)
	}
}
