// SPDX-License-Identifier: GPL-3.0-or-later

package maintenance_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/maintenance"
	"flamenco.farm/internal/store"
)

// farmOf is a database with Managers, inside a synctest bubble. Each has a bus of its own, as in a process of its own:
// they learn of each other from the database alone.
type farmOf struct {
	t    *testing.T
	db   *store.Store
	path string
}

type manager struct {
	*maintenance.Keeper
	bus *event.Bus
}

func bubble(t *testing.T, test func(f *farmOf)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &farmOf{t: t, path: filepath.Join(t.TempDir(), "farm.sqlite")}
		f.open()
		test(f)
		f.must(f.db.Close())
	})
}

func (f *farmOf) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *farmOf) open() {
	f.t.Helper()
	var err error
	f.db, err = store.Open(context.Background(), store.Options{
		Database: f.path, Durability: store.DurabilityNormal, Log: slog.New(slog.DiscardHandler),
	})
	f.must(err)
}

// manager registers a Manager; it does not run yet.
func (f *farmOf) manager(id string) *manager {
	f.t.Helper()
	m := &manager{bus: &event.Bus{}}
	m.Keeper = maintenance.New(maintenance.Options{
		Store: f.db, Bus: m.bus, Log: slog.New(slog.DiscardHandler), Self: farm.ManagerState{ID: id, Name: id, Started: time.Now()},
	})
	f.must(m.Register(f.t.Context()))
	return m
}

func (f *farmOf) run(m *manager) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = m.Run(ctx) // that ctx has ended
	}()
	return func() {
		cancel()
		<-ended
	}
}

// states is each Manager with what it says of itself.
func (f *farmOf) states() map[string]farm.ManagerStatus {
	f.t.Helper()
	managers, err := f.db.Managers(f.t.Context())
	f.must(err)
	states := map[string]farm.ManagerStatus{}
	for _, m := range managers {
		states[m.ID] = m.State
	}
	return states
}

// awaited is the Managers that do not keep the mode yet.
func (f *farmOf) awaited() (ids []string) {
	f.t.Helper()
	mode, err := f.db.Maintenance(f.t.Context())
	f.must(err)
	managers, err := f.db.Managers(f.t.Context())
	f.must(err)
	for _, m := range mode.Awaits(managers) {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestTheOtherManagerKeepsTheMaintenanceWithinASecond(t *testing.T) {
	bubble(t, func(f *farmOf) {
		a, b := f.manager("a"), f.manager("b")
		defer f.run(a)()
		defer f.run(b)()
		synctest.Wait()
		woken := b.bus.Subscribe(func(c farm.Change) bool { return c.Kind == farm.ChangeWork })
		defer woken.Close()

		mode, err := a.Switch(f.t.Context(), true, "a new disk", "user")
		f.must(err)
		if _, err := a.Enter(); farm.CodeOf(err) != farm.CodeMaintenance || err.Error() != "the farm is in maintenance: a new disk" {
			t.Errorf("the Manager that was asked: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := b.Enter(); farm.CodeOf(err) != farm.CodeMaintenance {
			t.Errorf("the other Manager: %v", err)
		}
		if b.Mode() != mode {
			t.Errorf("it keeps %+v, not %+v", b.Mode(), mode)
		}
		select {
		case <-woken.C:
			t.Error("those who wait for work are woken")
		default:
		}
		_, err = a.Switch(f.t.Context(), false, "", "user")
		f.must(err)
		time.Sleep(time.Second)
		<-woken.C
		if _, err := b.Enter(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestAManagerKeepsTheMaintenanceOnlyWhenNothingIsUnderWayThatItForbids(t *testing.T) {
	bubble(t, func(f *farmOf) {
		a, b := f.manager("a"), f.manager("b")
		defer f.run(a)()
		defer f.run(b)()
		leave, err := b.Enter()
		f.must(err)
		mode, err := a.Switch(f.t.Context(), true, "", "user")
		f.must(err)
		time.Sleep(time.Minute)
		if got := f.awaited(); !slices.Equal(got, []string{"b"}) {
			t.Errorf("waits for %v", got)
		}
		kept := make(chan error)
		var told []string
		go func() {
			kept <- maintenance.Wait(f.t.Context(), f.db, mode, func(m []farm.ManagerState) { told = append(told, m[0].ID) })
		}()
		synctest.Wait()
		leave()
		f.must(<-kept)
		if len(f.awaited()) > 0 || len(told) == 0 || told[0] != "b" {
			t.Errorf("waits for %v, told %v", f.awaited(), told)
		}
	})
}

func TestAManagerThatStartsInAMaintenanceKeepsItFromTheBeginning(t *testing.T) {
	bubble(t, func(f *farmOf) {
		_, err := maintenance.Switch(f.t.Context(), f.db, true, "a new disk", "user")
		f.must(err)
		f.must(f.db.Close())
		f.open()
		a := f.manager("a")
		if _, err := a.Enter(); farm.CodeOf(err) != farm.CodeMaintenance {
			t.Errorf("%v", err)
		}
		if got := f.awaited(); len(got) > 0 {
			t.Errorf("waits for %v", got)
		}
	})
}

func TestAManagerSaysHowItStands(t *testing.T) {
	bubble(t, func(f *farmOf) {
		a := f.manager("a")
		f.manager("killed")
		stop := f.run(a)
		is := func(want farm.ManagerStatus) {
			t.Helper()
			if got := f.states()["a"]; got != want {
				t.Errorf("it is %s, not %s", got, want)
			}
		}
		is(farm.ManagerStarting)
		a.Listens([]string{"http://a:8080/"})
		synctest.Wait()
		is(farm.ManagerRunning)
		time.Sleep(farm.ManagerGoneAfter + time.Second)
		is(farm.ManagerRunning)
		if got := f.states()["killed"]; got != farm.ManagerGone {
			t.Errorf("one that was killed is %s", got)
		}
		a.Drains()
		synctest.Wait()
		is(farm.ManagerDraining)
		stop()
		f.must(a.Leave(f.t.Context()))
		is(farm.ManagerGone)

		time.Sleep(25 * time.Hour)
		f.manager("b")
		if got := f.states(); len(got) != 1 || got["b"] != farm.ManagerStarting {
			t.Errorf("a day later there are %v", got)
		}
	})
}

func TestAManagerThatWasToldLooksAtOnce(t *testing.T) {
	bubble(t, func(f *farmOf) {
		a := f.manager("a")
		defer f.run(a)()
		synctest.Wait()
		_, err := maintenance.Switch(f.t.Context(), f.db, true, "", "user")
		f.must(err)
		a.Refresh()
		synctest.Wait()
		if !a.Mode().On {
			t.Error("it has not heard")
		}
	})
}

func TestAReasonHasALimit(t *testing.T) {
	bubble(t, func(f *farmOf) {
		a := f.manager("a")
		_, err := a.Switch(f.t.Context(), true, strings.Repeat("x", maintenance.MaxReason+1), "user")
		if farm.CodeOf(err) != farm.CodeInvalid || a.Mode().On {
			t.Errorf("%v", err)
		}
	})
}
