// SPDX-License-Identifier: GPL-3.0-or-later

package operation_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/lock"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/store"
)

func TestAnOperationRunsInAProcessOfItsOwnAndItsCommitsAreHeard(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.run()
	heard := f.bus.Subscribe(func(c farm.Change) bool { return c.Kind == farm.ChangeWorker })
	defer heard.Close()
	refreshed := f.bus.Subscribe(func(c farm.Change) bool { return c.Kind == farm.ChangeRefresh })
	defer refreshed.Close()
	op := f.ended(f.start("insert", orders{Text: "made by an operation", Lock: "one,two"}), farm.OperationCompleted)
	workers, _, err := f.store.Workers(t.Context(), store.WorkerList{})
	if err != nil || len(workers) != 1 || workers[0].Name != "made by an operation" {
		t.Errorf("workers %+v, %v", workers, err)
	}
	for name, c := range map[string]chan struct{}{"its commit": heard.C, "its end": refreshed.C} {
		select {
		case <-c:
		case <-time.After(patience):
			t.Errorf("%s was not heard of", name)
		}
	}
	if op.Runs != 1 || op.Who != "test" || op.Started.IsZero() || op.Ended.IsZero() {
		t.Errorf("%+v", op)
	}
	f.noLocks()
}

func TestOperationsOnDifferentThingsRunAtOnceAndThoseOnTheSameOneAfterTheOther(t *testing.T) {
	t.Parallel()
	f := setup(t)
	first := f.start("wait", orders{Lock: "a"})
	second := f.start("insert", orders{Lock: "b,a", Text: "second"})
	third := f.start("insert", orders{Lock: "b", Text: "third"}) // must not overtake the second, which wants b too
	other := f.start("wait", orders{Lock: "c"})
	f.run()
	f.until(first, says("waiting"))
	f.until(other, says("waiting"))
	for _, id := range []string{second, third} {
		if op, err := f.Get(t.Context(), id); err != nil || op.Status != farm.OperationQueued {
			t.Errorf("it is %+v while its lock is held, %v", op, err)
		}
	}
	if err := f.Cancel(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	f.ended(first, farm.OperationCanceled)
	f.ended(second, farm.OperationCompleted)
	f.ended(third, farm.OperationCompleted)
	if err := f.Cancel(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	f.ended(other, farm.OperationCanceled)
	f.noLocks()
}

func TestNoMoreOperationsRunAtOnceThanThereIsRoomFor(t *testing.T) {
	t.Parallel()
	f := setup(t, func(o *operation.Options) { o.Parallel = 1 })
	first, second := f.start("wait", orders{Text: "1"}), f.start("wait", orders{Text: "2"})
	f.run()
	f.until(first, says("waiting"))
	if op, _ := f.Get(t.Context(), second); op.Status != farm.OperationQueued {
		t.Errorf("%+v", op)
	}
	if err := f.Cancel(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	f.until(second, says("waiting"))
}

func TestCancelEndsAnOperation(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"wait", "ignore"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.run()
			id := f.start(kind, orders{Lock: "x"})
			f.until(id, says(map[string]string{"wait": "waiting", "ignore": "ignoring"}[kind]))
			for range 2 { // the second changes nothing
				if err := f.Cancel(t.Context(), id); err != nil && farm.CodeOf(err) != farm.CodeConflict {
					t.Fatal(err)
				}
			}
			f.ended(id, farm.OperationCanceled)
			f.noLocks()
			if err := f.Cancel(t.Context(), id); farm.CodeOf(err) != farm.CodeConflict {
				t.Errorf("canceling what has ended: %v", err)
			}
			if err := f.Cancel(t.Context(), "nothing"); !farm.IsNotExist(err) {
				t.Errorf("canceling nothing: %v", err)
			}
		})
	}
}

func TestAnOperationThatWaitsCanBeCanceledBeforeItBegins(t *testing.T) {
	t.Parallel()
	f := setup(t)
	id := f.start("insert", orders{Text: "never"})
	if err := f.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	f.run()
	if op := f.ended(id, farm.OperationCanceled); op.Runs != 0 {
		t.Errorf("%+v", op)
	}
}

func TestAnOperationWhoseProcessIsKilledIsRepeated(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.run()
	op := f.ended(f.start("crash", orders{Lock: "x", Folder: t.TempDir()}), farm.OperationCompleted)
	if op.Runs != 2 || op.Crashes != 1 || op.Activity != "second run" || op.Done != 2 {
		t.Errorf("%+v", op)
	}
	f.noLocks()
}

func TestAnOperationThatKeepsCrashingFails(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.run()
	for kind, runs := range map[string]int64{"crash always": 3, "crash once": 1, "nonsense": 3} {
		op := f.ended(f.start(kind, orders{Lock: kind}), farm.OperationFailed)
		if op.Runs != runs || !strings.Contains(op.Activity, "without a result") {
			t.Errorf("%s: %+v", kind, op)
		}
	}
	f.noLocks()
}

func TestAFailureIsToldAndItsInnerPartOnlyLogged(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.run()
	if op := f.ended(f.start("fail", orders{Text: "the disk is full"}), farm.OperationFailed); op.Activity != "the disk is full" {
		t.Errorf("%+v", op)
	}
	for kind, inner := range map[string]string{"fail": "an inner secret", "panic": "oh no"} {
		op := f.ended(f.start(kind, orders{}), farm.OperationFailed)
		text, err := f.ReadLog(t.Context(), op)
		if err != nil || strings.Contains(op.Activity, inner) || !strings.Contains(string(text), inner) {
			t.Errorf("%s: %+v, log %s, %v", kind, op, text, err)
		}
	}
}

func TestAStopOfTheManagerQueuesWhatRunsAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	stop := f.run()
	id := f.start("wait", orders{Lock: "x"})
	f.until(id, says("waiting"))
	stop()
	op, err := f.Get(t.Context(), id)
	if err != nil || op.Status != farm.OperationQueued || op.Crashes != 0 {
		t.Errorf("%+v, %v", op, err)
	}
	f.noLocks()
	f.run()
	f.until(id, says("waiting"))
}

func TestAStartRepeatsWhatAManagerThatWasKilledLeftRunning(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ids := map[string]string{}
	for _, kind := range []string{"insert", "crash once", "wait"} {
		ids[kind] = f.start(kind, orders{Text: kind, Lock: kind})
		err := f.store.Do(t.Context(), func(tx *store.Tx) error { // as it looks after the Manager was killed
			o, err := tx.Operation(ids[kind])
			if err != nil {
				return err
			}
			o.Status, o.Runs, o.Started = farm.OperationRunning, 1, tx.Now()
			if kind == "wait" {
				o.CancelRequested = tx.Now()
			}
			if err := tx.SaveOperation(o); err != nil {
				return err
			}
			return lock.Acquire(tx, lock.Holder{Owner: o.ID, Epoch: 1}, kind, "more of "+kind)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	f.run()
	if op := f.ended(ids["insert"], farm.OperationCompleted); op.Runs != 2 {
		t.Errorf("%+v", op)
	}
	f.ended(ids["crash once"], farm.OperationFailed)
	f.ended(ids["wait"], farm.OperationCanceled)
	f.noLocks()
}

func TestAProcessWhoseRunIsOverCannotWriteAnyMore(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.run()
	dir := t.TempDir()
	id := f.start("gate", orders{Lock: "x", Folder: dir, Text: "too late"})
	f.until(id, says("at the gate"))
	err := f.store.Do(t.Context(), func(tx *store.Tx) error { // as the start of another Manager does
		if err := lock.Free(tx, id); err != nil {
			return err
		}
		o, err := tx.Operation(id)
		if err != nil {
			return err
		}
		o.Status, o.Ended = farm.OperationFailed, tx.Now()
		return tx.SaveOperation(o)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "open"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.ended(f.start("insert", orders{Lock: "x", Text: "next"}), farm.OperationCompleted)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !strings.Contains(f.log(id), "locks are gone") {
		select {
		case <-ctx.Done():
			t.Fatalf("the log does not tell: %s", f.log(id))
		case <-time.After(10 * time.Millisecond):
		}
	}
	workers, _, err := f.store.Workers(t.Context(), store.WorkerList{})
	if err != nil || len(workers) != 1 || workers[0].Name != "next" {
		t.Errorf("workers %+v, %v", workers, err)
	}
}

func (f *farmOf) log(id string) string {
	text, _ := f.ReadLog(f.t.Context(), farm.Operation{ID: id})
	return string(text)
}

func TestTheLogOfAnOperationIsCut(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.run()
	op := f.ended(f.start("talk", orders{}), farm.OperationCompleted)
	text := f.log(op.ID)
	if len(text) < 1<<20 || len(text) > 1<<20+100 || !strings.Contains(text, "the rest is left out") {
		t.Errorf("%d bytes, which end with %q", len(text), text[max(0, len(text)-100):])
	}
	if op.Done != 29_999 || op.Total != 30_000 {
		t.Errorf("the last progress is %d of %d", op.Done, op.Total)
	}
}

func TestStartRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, c := range []struct {
		kind, params string
		want         farm.Code
	}{
		{"nothing", `{}`, farm.CodeInvalid},
		{"wait", `[1]`, farm.CodeInvalid},
		{"wait", `null`, farm.CodeInvalid},
		{"wait", `{"lock":1}`, farm.CodeInvalid},
		{"wait", `{"text":"` + strings.Repeat("x", 64<<10) + `"}`, farm.CodeTooLarge},
	} {
		if _, err := f.Start(t.Context(), c.kind, json.RawMessage(c.params), "test"); farm.CodeOf(err) != c.want {
			t.Errorf("%s %.30s: %v", c.kind, c.params, err)
		}
	}
}

func TestWhatWaitsAlreadyIsNotQueuedTwice(t *testing.T) {
	t.Parallel()
	f := setup(t)
	first, err := f.Start(t.Context(), "insert", json.RawMessage(`{"text":"x", "lock":"y"}`), "test")
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.Start(t.Context(), "insert", json.RawMessage(`{"lock":"y","text":"x"}`), "other")
	if err != nil || second.ID != first.ID {
		t.Errorf("%+v, %v", second, err)
	}
	if other := f.start("insert", orders{Text: "z"}); other == first.ID {
		t.Error("another one is taken for the same")
	}
}

func TestAnOperationOfAnotherVersionFailsInsteadOfWaitingForEver(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var id string
	err := f.store.Do(t.Context(), func(tx *store.Tx) error {
		o, err := tx.InsertOperation("from the future", json.RawMessage(`{}`), "test", "")
		id = o.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.run()
	f.ended(id, farm.OperationFailed)
}

func TestOneOperationCanBeRunWithoutAManager(t *testing.T) {
	t.Parallel()
	f := setup(t)
	other := f.start("insert", orders{Text: "not this one"})
	op, err := f.RunOne(t.Context(), f.start("crash", orders{Lock: "x", Folder: t.TempDir()}))
	if err != nil || op.Status != farm.OperationCompleted || op.Runs != 2 {
		t.Errorf("%+v, %v", op, err)
	}
	if op, _ := f.Get(t.Context(), other); op.Status != farm.OperationQueued {
		t.Errorf("the other one is %+v", op)
	}
}
