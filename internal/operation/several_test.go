// SPDX-License-Identifier: GPL-3.0-or-later

package operation_test

import (
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/store"
)

// oneOfSeveral lets a service be that of the Manager with an id, on a database that others use too.
func oneOfSeveral(id string) func(*operation.Options) {
	return func(o *operation.Options) { o.Several, o.Manager = true, id }
}

// manager puts a Manager into the table of Managers.
func (f *farmOf) manager(id string, state farm.ManagerStatus) {
	f.t.Helper()
	err := f.store.Do(f.t.Context(), func(tx *store.Tx) error {
		return tx.SaveManager(farm.ManagerState{ID: id, Name: "host-" + id, URLs: []string{"http://" + id}, State: state, Started: tx.Now()})
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// saved changes an operation as its Manager would.
func (f *farmOf) saved(id string, change func(*farm.Operation)) farm.Operation {
	f.t.Helper()
	var o farm.Operation
	err := f.store.Do(f.t.Context(), func(tx *store.Tx) (err error) {
		if o, err = tx.Operation(id); err != nil {
			return err
		}
		change(&o)
		return tx.SaveOperation(o)
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return o
}

func TestWhatNeedsFilesOfOneMachineIsRunByItsManagerAlone(t *testing.T) {
	t.Parallel()
	f := setup(t, oneOfSeveral("here"))
	f.manager("here", farm.ManagerRunning)
	f.manager("there", farm.ManagerRunning)
	theirs := f.start("insert here", orders{Text: "a"})
	f.saved(theirs, func(o *farm.Operation) {
		if o.Manager != "here" {
			t.Errorf("it is for the Manager %q", o.Manager)
		}
	})
	moved := f.otherManager("there").start("insert here", orders{Text: "a"})
	if moved == theirs {
		t.Fatal("that of another machine is taken for the same")
	}
	anywhere := f.otherManager("there").start("insert", orders{Text: "c"})
	f.run()
	f.ended(theirs, farm.OperationCompleted)
	f.ended(anywhere, farm.OperationCompleted)
	if o, err := f.Get(t.Context(), moved); err != nil || o.Status != farm.OperationQueued || o.Runs != 0 {
		t.Errorf("what another Manager alone can do: %+v, %v", o, err)
	}
}

func TestWhatOnlyAManagerCouldDoThatIsGoneFails(t *testing.T) {
	t.Parallel()
	f := setup(t, oneOfSeveral("here"))
	f.manager("here", farm.ManagerRunning)
	there := f.otherManager("there")
	queued, running := there.start("insert here", orders{Text: "a"}), there.start("insert here", orders{Text: "b"})
	elsewhere := there.start("insert", orders{Text: "c"})
	for _, id := range []string{running, elsewhere} {
		f.saved(id, func(o *farm.Operation) { o.Status, o.Manager, o.Runs = farm.OperationRunning, "there", 1 })
	}
	f.manager("there", farm.ManagerGone)
	f.run()
	for _, id := range []string{queued, running} {
		if o := f.ended(id, farm.OperationFailed); !strings.Contains(o.Activity, "only the Manager on host-there http://there could do it") {
			t.Errorf("it says %q", o.Activity)
		}
	}
	if o := f.ended(elsewhere, farm.OperationCompleted); o.Runs != 2 || o.Manager != "here" {
		t.Errorf("what anybody can do: %+v", o)
	}
}

func TestALogThatAnotherManagerKeepsIsNotTakenForAnEmptyOne(t *testing.T) {
	t.Parallel()
	f := setup(t, oneOfSeveral("here"))
	f.manager("there", farm.ManagerRunning)
	id := f.start("insert", orders{Text: "a"})
	if text, err := f.ReadLog(t.Context(), f.saved(id, func(*farm.Operation) {})); err != nil || len(text) != 0 {
		t.Errorf("before it began: %q, %v", text, err)
	}
	done := f.saved(id, func(o *farm.Operation) {
		o.Status, o.Manager, o.Runs, o.Started, o.Ended = farm.OperationCompleted, "there", 1, o.Created, o.Created
	})
	_, err := f.ReadLog(t.Context(), done)
	if farm.CodeOf(err) != farm.CodeNotFound || !strings.Contains(err.Error(), "the Manager on host-there http://there has it") {
		t.Errorf("of another Manager: %v", err)
	}
	mine := f.saved(id, func(o *farm.Operation) { o.Manager = "here" })
	if text, err := f.ReadLog(t.Context(), mine); err != nil || len(text) != 0 {
		t.Errorf("one that is not written: %q, %v", text, err)
	}
}

// otherManager is the service of another Manager on the same database; it does not run.
func (f *farmOf) otherManager(id string) *farmOf {
	f.t.Helper()
	opts := f.Options
	oneOfSeveral(id)(&opts)
	service, err := operation.New(opts)
	if err != nil {
		f.t.Fatal(err)
	}
	other := *f
	other.Service = service
	return &other
}
