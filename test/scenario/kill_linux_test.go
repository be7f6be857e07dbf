// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/internal/testkit/loopback"
	"flamenco.farm/internal/testkit/program"
	"flamenco.farm/internal/worker/process"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

// Every task notes its begin and its end in one file. A grandchild that ignores signals shows whether anything is left.
const tally = `
const JOB_TYPE = { label: "Tally", settings: [
  { key: "count", type: "int32", required: true },
  { key: "file", type: "string", required: true },
] };
function compileJob(job) {
  const note = (what) => 'echo "$0 $FLAMENCO_ASSIGNMENT ' + what + ' $(date +%s%N)" >> "$1"; ';
  for (let i = 1; i <= job.settings.count; i++) {
    const task = author.Task("task-" + i, i % 2 ? "misc" : "blender");
    task.addCommand(author.Command("exec", { exe: "sh", args: ["-c",
      note("begin") + "(trap '' TERM INT HUP; sleep 0.05) & wait; " + note("end"), task.name, job.settings.file] }));
    job.addTask(task);
  }
}
`

// killed is how often each, the Manager and a Worker, is killed.
const killed = 10

func TestAJobSurvivesTheKillingOfItsManagerAndOfItsWorkersTenTimesEach(t *testing.T) {
	t.Parallel()
	bin := program.Build(t)
	dir := t.TempDir()
	address := loopback.FreeAddress(t)
	writeFile(t, filepath.Join(bin, "scripts", "test.js"), tally)
	writeFile(t, filepath.Join(dir, "manager", "flamenco-manager.yaml"), fmt.Sprintf(
		"_meta: {version: 3}\nlisten: %q\ndatabase: farm.sqlite\nlocal_manager_storage_path: %q\nshared_storage_path: %q\n"+
			"worker_timeout: 10s\ntimeout_grace: 0s\nautodiscoverable: false\nshaman: {enabled: false}\n",
		address, filepath.Join(dir, "local"), filepath.Join(dir, "shared")))
	m := program.New(t, filepath.Join(dir, "manager"), filepath.Join(bin, "flamenco-manager"))
	m.Start()
	workers := make([]*program.Program, 3)
	for i := range workers {
		w := program.New(t, filepath.Join(dir, fmt.Sprint("worker-", i+1)), filepath.Join(bin, "flamenco-worker"))
		writeFile(t, filepath.Join(w.Dir, "flamenco-worker.yaml"), fmt.Sprintf(
			"manager_url: http://%s\nworker_name: worker-%d\ntask_types: [blender, misc]\n", address, i+1))
		w.Start()
		workers[i] = w
	}
	c, err := client.New("http://"+address, client.WithPatience(patience))
	if err != nil {
		t.Fatal(err)
	}

	const count = 500
	began := time.Now()
	file := filepath.Join(dir, "tally")
	job, err := c.SubmitJob(t.Context(), api.SubmittedJob{
		Name: "kill", Type: "test", Priority: 50, SubmitterPlatform: "linux", Settings: api.JobSettings{"count": count, "file": file},
	})
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	watch(t, c, job.ID, patience, func(j api.Job) {
		if kills == 2*killed || j.StepsCompleted < (kills+1)*count/(2*killed+1) {
			return
		}
		victim := m
		if kills%2 == 1 {
			victim = workers[kills/2%len(workers)]
		}
		kills++
		victim.Kill()
		victim.Start()
	})
	took := time.Since(began)
	for _, p := range append(workers, m) {
		p.End()
	}
	tasks := load(t, filepath.Join(dir, "manager", "farm.sqlite"), job.ID)
	runs, err := history.ReadTally(file, tasks)
	if err != nil {
		t.Fatal(err)
	}
	check(t, tasks, runs)
	for _, wrong := range history.BegunTwice(runs) {
		t.Error(wrong)
	}
	if kills != 2*killed {
		t.Errorf("%d kills, want %d", kills, 2*killed)
	}
	if len(tasks) != count {
		t.Errorf("%d tasks, want %d", len(tasks), count)
	}
	assignments := make([]string, len(runs))
	for i, r := range runs {
		assignments[i] = r.Assignment
	}
	if pids := left(t, assignments...); len(pids) != 0 {
		t.Errorf("processes %v are left behind", pids)
	}
	t.Logf("%d tasks in %s with %d kills, %d attempts, %d runs", len(tasks), seconds(took), kills, attempts(tasks), len(runs))
}

// left finds the processes with the mark of one of these assignments.
func left(t *testing.T, assignments ...string) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environment, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil {
			continue // ended, or somebody else's
		}
		for variable := range strings.SplitSeq(string(environment), "\x00") {
			if id, found := strings.CutPrefix(variable, process.AssignmentVariable+"="); found && slices.Contains(assignments, id) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func TestAProcessThatIsLeftBehindIsFound(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	cmd.Env = append(os.Environ(), process.AssignmentVariable+"=control")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := left(t, "other", "control"); !slices.Equal(got, []int{cmd.Process.Pid}) {
		t.Errorf("found %v, want %d", got, cmd.Process.Pid)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // says that it was killed
	if got := left(t, "control"); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}
