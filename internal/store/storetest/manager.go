// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"slices"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func managerTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"a farm has an id from its beginning":                       testFarmID,
		"each change of the maintenance mode is a new epoch":        testMaintenanceEpochs,
		"nothing is claimed in a maintenance":                       testClaimInMaintenance,
		"a Manager is kept as it was saved last":                    testSaveManager,
		"a Manager is gone that says so, and forgotten a day later": testForgetManagers,
	}
}

func testFarmID(f *Farm) {
	id, err := f.Store.FarmID(f.ctx)
	if err != nil || len(id) != 36 {
		f.t.Errorf("%q, %v", id, err)
	}
}

func (f *Farm) maintain(on bool, reason string) (m farm.Maintenance) {
	f.t.Helper()
	f.do(func(tx *store.Tx) (err error) {
		m, err = tx.SetMaintenance(on, reason, "user")
		return err
	})
	return m
}

func testMaintenanceEpochs(f *Farm) {
	before := time.Now().Add(-time.Minute)
	for _, c := range []struct {
		on     bool
		reason string
		epoch  int64
		told   bool
	}{
		{false, "it is off already", 0, false},
		{true, "a new disk", 1, true},
		{true, "a new disk", 1, false},
		{true, "and a new fan", 2, true},
		{false, "", 3, true},
		{false, "", 3, false},
	} {
		f.takeChanges()
		m := f.maintain(c.on, c.reason)
		if m.On != c.on || m.Epoch != c.epoch || (c.told && (m.Reason != c.reason || m.Who != "user" || m.Since.Before(before))) {
			f.t.Errorf("%+v: %+v", c, m)
		}
		stored, err := f.Store.Maintenance(f.ctx)
		if err != nil || stored != m {
			f.t.Errorf("stored is %+v, %v", stored, err)
		}
		told := slices.ContainsFunc(f.takeChanges(), func(c farm.Change) bool { return c.Kind == farm.ChangeMaintenance })
		if told != c.told {
			f.t.Errorf("%+v: told is %v", c, told)
		}
	}
}

func testClaimInMaintenance(f *Farm) {
	w := f.Worker("w", "a")
	_, tasks := f.Submit(NewJob("j", NewTask("a")))
	f.maintain(true, "a new disk")
	f.wantClaim(w, "")
	err := f.Store.Do(f.ctx, func(tx *store.Tx) error { return tx.OutsideMaintenance() })
	if farm.CodeOf(err) != farm.CodeMaintenance || !strings.HasSuffix(err.Error(), ": a new disk") {
		f.t.Errorf("%v", err)
	}
	f.maintain(false, "")
	f.wantClaim(w, tasks[0])
	f.do((*store.Tx).OutsideMaintenance)
}

func (f *Farm) managers() []farm.ManagerState {
	f.t.Helper()
	managers, err := f.Store.Managers(f.ctx)
	if err != nil {
		f.t.Fatalf("%v", err)
	}
	return managers
}

func (f *Farm) saveManager(m farm.ManagerState) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error { return tx.SaveManager(m) })
}

func testSaveManager(f *Farm) {
	started := time.Now().Truncate(time.Microsecond).UTC()
	b := farm.ManagerState{ID: "2", Name: "b", State: farm.ManagerStarting, Started: started}
	a := farm.ManagerState{ID: "1", Name: "a", Version: "4.0", PID: 7, State: farm.ManagerStarting, Started: started}
	f.saveManager(b)
	f.saveManager(a)
	a.State, a.URLs, a.Epoch = farm.ManagerRunning, []string{"http://a:8080/"}, 3
	f.saveManager(a)
	got := f.managers()
	if len(got) != 2 || got[0].ID != "1" || got[1].ID != "2" {
		f.t.Fatalf("%+v", got)
	}
	m := got[0]
	if m.Version != "4.0" || m.PID != 7 || m.State != farm.ManagerRunning || !slices.Equal(m.URLs, a.URLs) || m.Epoch != 3 ||
		!m.Started.Equal(started) || m.Seen.Before(started) {
		f.t.Errorf("%+v", m)
	}
	awaited := farm.Maintenance{Epoch: 3}.Awaits(got)
	if len(awaited) != 1 || awaited[0].ID != "2" {
		f.t.Errorf("waits for %+v", awaited)
	}
}

func testForgetManagers(f *Farm) {
	f.saveManager(farm.ManagerState{ID: "1", Name: "a", State: farm.ManagerGone})
	f.do((*store.Tx).ForgetManagers)
	got := f.managers()
	if len(got) != 1 || got[0].State != farm.ManagerGone || len(farm.Maintenance{Epoch: 9}.Awaits(got)) != 0 {
		f.t.Errorf("%+v", got)
	}
}
