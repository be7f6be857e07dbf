// SPDX-License-Identifier: GPL-3.0-or-later

package operation_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/store"
)

// mode is what a Manager knows of the maintenance mode, with how much is under way.
type mode struct {
	mu     sync.Mutex
	on     bool
	inside int
}

func (m *mode) enter() (func(), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.on {
		return nil, farm.Maintenance{On: true}.Refusal()
	}
	m.inside++
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.inside--
	}, nil
}

func (m *mode) set(on bool) (inside int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = on
	return m.inside
}

// maintain begins a maintenance of the farm or ends it, and tells.
func (f *farmOf) maintain(on bool) {
	f.t.Helper()
	err := f.store.Do(f.t.Context(), func(tx *store.Tx) error {
		_, err := tx.SetMaintenance(on, "", "user")
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestWhatWaitsForTheEndOfAMaintenanceKeepsNothingElseFromIt(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"known to this Manager": true, "not yet known to it": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &mode{}
			f := setup(t, func(o *operation.Options) { o.Enter = m.enter })
			waits := f.start("insert", orders{Lock: "a", Text: "waits"})
			f.maintain(true)
			m.set(known)
			if _, err := f.Start(t.Context(), "insert", nil, "test"); farm.CodeOf(err) != farm.CodeMaintenance {
				t.Errorf("another one may be asked for: %v", err)
			}
			f.run()
			f.ended(f.start("insert always", orders{Lock: "a", Text: "done at once"}), farm.OperationCompleted)
			if o, err := f.Get(t.Context(), waits); err != nil || o.Status != farm.OperationQueued {
				t.Errorf("%+v, %v", o, err)
			}
			m.set(false)
			f.maintain(false)
			f.ended(waits, farm.OperationCompleted)
		})
	}
}

func TestAnOperationThatRunsIsUnderWayUntilItsEnd(t *testing.T) {
	t.Parallel()
	m := &mode{}
	f := setup(t, func(o *operation.Options) { o.Enter = m.enter })
	running := f.start("wait", orders{})
	f.run()
	f.until(running, says("waiting"))
	f.maintain(true)
	if n := m.set(true); n != 1 {
		t.Errorf("%d are under way", n)
	}
	if err := f.Cancel(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	f.ended(running, farm.OperationCanceled)
}

func TestAnOperationIsNotRunDuringAMaintenanceWithoutAManagerEither(t *testing.T) {
	t.Parallel()
	f := setup(t)
	o, err := f.Start(t.Context(), "insert", json.RawMessage(`{"text":"x"}`), "test")
	if err != nil {
		t.Fatal(err)
	}
	f.maintain(true)
	if _, err := f.RunOne(context.WithoutCancel(t.Context()), o.ID); farm.CodeOf(err) != farm.CodeMaintenance {
		t.Errorf("%v", err)
	}
}
