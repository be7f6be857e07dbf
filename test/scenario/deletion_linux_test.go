// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/testkit/loopback"
	"flamenco.farm/internal/testkit/program"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

// tasksOfDeleted is more than one slice of a deletion.
const tasksOfDeleted = 300

// doomedFarm is a Manager as a process that can be killed.
type doomedFarm struct {
	*client.Client
	t       *testing.T
	manager *program.Program
	died    chan struct{} // closed when the Manager has ended
	local   string
	db      string
}

func newDoomedFarm(t *testing.T) *doomedFarm {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := &doomedFarm{t: t, local: filepath.Join(dir, "local"), db: filepath.Join(dir, "farm.sqlite")}
	address := loopback.FreeAddress(t)
	writeFile(t, filepath.Join(dir, "flamenco-manager.yaml"), fmt.Sprintf(
		"_meta: {version: 3}\nlisten: %q\ndatabase: farm.sqlite\nlocal_manager_storage_path: %q\nshared_storage_path: %q\n"+
			"timeout_grace: 0s\ndurability: normal\nautodiscoverable: false\nshaman: {enabled: false}\njob_compiler: {time_limit: 1m}\n",
		address, f.local, filepath.Join(dir, "shared")))
	f.manager = program.New(t, dir, self, managerArg)
	f.start()
	if f.Client, err = client.New("http://"+address, client.WithPatience(patience)); err != nil {
		t.Fatal(err)
	}
	f.awaitManager()
	return f
}

// start starts the Manager and notices its end.
func (f *doomedFarm) start() {
	f.t.Helper()
	f.manager.Start()
	cmd, died := f.manager.Cmd, make(chan struct{})
	f.died = died
	go func() {
		defer close(died)
		_ = cmd.Wait() // says that it was killed
	}()
}

// end ends the Manager as a user would.
func (f *doomedFarm) end() {
	f.t.Helper()
	if err := f.manager.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		f.t.Fatal(err)
	}
	<-f.died
}

// awaitManager waits for the first answer; from then on the client is patient by itself.
func (f *doomedFarm) awaitManager() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for {
		_, err := f.Version(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			f.t.Fatal(err)
		}
	}
}

// job submits a job with tasks and a folder of logs.
func (f *doomedFarm) job() string {
	f.t.Helper()
	job, err := f.SubmitJob(f.t.Context(), api.SubmittedJob{
		Name: "doomed", Type: "echo-sleep-test", Priority: 50, SubmitterPlatform: "linux",
		Settings: api.JobSettings{"message": "x", "sleep_repeats": tasksOfDeleted - 1, "sleep_duration_seconds": 0},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range 3 {
		writeFile(f.t, filepath.Join(f.local, "job-"+job.ID[:4], job.ID, fmt.Sprintf("task-%d.txt", i)), "a log")
	}
	return job.ID
}

func (f *doomedFarm) arm(victim string, step int) {
	f.t.Helper()
	writeFile(f.t, filepath.Join(f.manager.Dir, faultFile), fmt.Sprintf("%s %d", victim, step))
}

// fired is whether the fault that was armed has happened.
func (f *doomedFarm) fired() bool {
	_, err := os.Stat(filepath.Join(f.manager.Dir, faultFile))
	return err != nil
}

// deletion waits until the operation that deletes a job has ended.
func (f *doomedFarm) deletion(job string) (api.Operation, error) {
	ctx := f.t.Context()
	id := ""
	for o, err := range f.Operations(ctx, client.List{}) {
		if err != nil {
			return o, err
		}
		if o.Params["job"] == job {
			id = o.ID
			break
		}
	}
	for o, err := range f.WatchOperation(ctx, id) {
		if err != nil || o.Ended != nil {
			return o, err
		}
	}
	return api.Operation{}, fmt.Errorf("operation %q of job %s did not end", id, job)
}

func TestADeletionThatIsKilledInAnyPhaseIsFinishedAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"child", "manager"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			f := newDoomedFarm(t)
			bystander := f.job()
			steps := 0
			for step := 1; ; step++ {
				if step > 200 {
					t.Fatal("a deletion has no end")
				}
				if !f.deleteWithFault(victim, step) {
					break
				}
				steps = step
			}
			f.end()
			f.checkNothingLeft(bystander)
			if steps < 10 {
				t.Errorf("only %d steps were interrupted", steps)
			}
			t.Logf("killed the %s at each of %d steps", victim, steps)
		})
	}
}

// deleteWithFault deletes a job and kills at a step meanwhile. It reports whether there was such a step.
func (f *doomedFarm) deleteWithFault(victim string, step int) (fired bool) {
	t := f.t
	t.Helper()
	job := f.job()
	f.arm(victim, step)
	if err := f.DeleteJob(t.Context(), job); err != nil {
		t.Fatalf("step %d: %v", step, err)
	}
	type end struct {
		api.Operation
		err error
	}
	ended := make(chan end, 1)
	go func() {
		o, err := f.deletion(job)
		ended <- end{o, err}
	}()
	restart := func() {
		storetest.CheckInvariants(t, f.db)
		f.start()
	}
	var o end
	select {
	case o = <-ended:
		if victim == "manager" && f.fired() {
			<-f.died // just now
			restart()
		}
	case <-f.died:
		restart()
		o = <-ended
	}
	storetest.CheckInvariants(t, f.db)
	if o.err != nil || o.Status != api.OperationStatusCompleted {
		t.Fatalf("step %d: %+v, %v", step, o.Operation, o.err)
	}
	if _, err := f.Job(t.Context(), job); client.StatusOf(err) != 404 {
		t.Fatalf("step %d: the job is still there: %v", step, err)
	}
	return f.fired()
}

// checkNothingLeft checks the files and the rows of a farm whose Manager has ended: one job was not deleted.
func (f *doomedFarm) checkNothingLeft(job string) {
	t := f.t
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Database: f.db, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	jobs, _, err := st.Jobs(t.Context(), store.JobList{})
	if err != nil || len(jobs) != 1 || jobs[0].ID != job || jobs[0].Tasks.Total() != tasksOfDeleted {
		t.Errorf("jobs %+v, %v", jobs, err)
	}
	if n, err := st.CountLocks(t.Context()); err != nil || n != 0 {
		t.Errorf("%d locks, %v", n, err)
	}
	operations, _, err := st.Operations(t.Context(), store.OperationList{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range operations {
		if !o.Status.Ended() {
			t.Errorf("an operation is left: %+v", o)
		}
	}
	folders, err := fs.Glob(os.DirFS(f.local), "job-*/*")
	if want := []string{"job-" + job[:4] + "/" + job}; err != nil || !slices.Equal(folders, want) {
		t.Errorf("folders %v, want %v, %v", folders, want, err)
	}
	if pids := operationProcesses(t, f.manager.Dir); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
}

// operationProcesses finds the processes of operations whose Manager ran in a folder.
func operationProcesses(t *testing.T, dir string) (pids []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd")); err == nil && cwd == dir {
			pids = append(pids, e.Name())
		}
	}
	return pids
}
