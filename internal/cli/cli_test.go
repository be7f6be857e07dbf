// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"flamenco.farm/pkg/api"
)

const (
	jobA  = "3f2a1111-0000-4000-8000-00000000000a"
	jobB  = "3f2a2222-0000-4000-8000-00000000000b"
	taskA = "aaaa1111-0000-4000-8000-00000000000a"
	taskB = "aaaa2222-0000-4000-8000-00000000000b"
	cow   = "c0ffee00-0000-4000-8000-000000000001"
)

func ref[T any](v T) *T { return &v }

// smallFarm is a farm in the middle of its work. The times are long past, so that they are shown as dates.
func smallFarm() *fakeManager {
	then := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	worker := &api.TaskWorker{ID: cow, Name: "cow", Address: "10.0.0.7"}
	return &fakeManager{
		jobTypes: []api.AvailableJobType{echoType(), renderType()},
		jobs: []api.Job{
			{
				ID: jobA, Name: "older", Type: "echo-sleep-test", Status: api.JobStatusCompleted, Priority: 50, Created: then,
				Updated: then, StepsCompleted: 2, StepsTotal: 2, Settings: api.JobSettings{"message": "hi", "sleep_repeats": 1},
			},
			{
				ID: jobB, Name: "newer", Type: "simple-blender-render", Status: api.JobStatusActive, Priority: 5, Created: then,
				Updated: then.Add(24 * time.Hour), StepsCompleted: 12, StepsTotal: 25, Activity: "rendering",
				TaskCounts: &api.TaskCounts{Completed: 1, Active: 1}, Metadata: api.JobMetadata{"project": "Pond"},
			},
		},
		tasks: []api.Task{
			{
				ID: taskA, JobID: jobB, IndexInJob: 1, Name: "render-1-12", TaskType: "blender", Status: api.TaskStatusCompleted,
				Updated: then, StepsCompleted: 12, StepsTotal: 12, Worker: worker, Activity: "Completed",
				Commands: []api.Command{{Name: "blender-render", Parameters: api.Object{"exe": "blender", "args": []string{"-b", "-y"}}}},
				Attempts: []api.TaskAttempt{
					{Generation: 1, Worker: *worker, Started: then, Ended: ref(then.Add(time.Minute)), Outcome: ref(api.AttemptOutcomeFailed), ExitCode: ref(1), Reason: ref("no such scene")},
					{Generation: 2, Worker: *worker, Started: then, Ended: ref(then.Add(65 * time.Second)), Outcome: ref(api.AttemptOutcomeCompleted), ExitCode: ref(0)},
				},
			},
			{
				ID: taskB, JobID: jobB, IndexInJob: 2, Name: "render-13-24", TaskType: "blender", Status: api.TaskStatusActive,
				Updated: then, StepsTotal: 12,
			},
		},
		workers: []api.Worker{
			{ID: cow, Name: "cow", Status: api.WorkerStatusAwake, Version: "4.0.0", Platform: "linux", LastSeen: &then, SupportedTaskTypes: []string{"blender", "misc"}},
			{ID: "c0ffee00-0000-4000-8000-000000000002", Name: "Ant", Status: api.WorkerStatusAwake, Version: "4.0.0", StatusChange: &api.WorkerStatusChangeRequest{Status: api.WorkerStatusAsleep, IsLazy: true}},
		},
		tags: []api.WorkerTag{{ID: ref("7a600000-0000-4000-8000-000000000000"), Name: "gpu"}},
		logs: map[string]string{taskA: "one\ntwo <&>\nthree"},
	}
}

func echoType() api.AvailableJobType {
	return api.AvailableJobType{
		Name: "echo-sleep-test", Label: "Echo", Etag: "e1",
		Settings: []api.AvailableJobSetting{
			{Key: "message", Type: "string", Required: ref(true), Description: ref("What to say")},
			{Key: "sleep_repeats", Type: "int32", Default: float64(1)},
			{Key: "sleep_duration_seconds", Type: "float", Default: float64(1)},
			{Key: "loud", Type: "bool"},
		},
	}
}

func TestListsAndDetailsAreTables(t *testing.T) {
	t.Parallel()
	run := smallFarm().start(t)
	for name, args := range map[string][]string{
		"jobs-list":    {"jobs", "list"},
		"tasks-list":   {"tasks", "list", "3f2a2"},
		"workers-list": {"workers", "list"},
		"workers-show": {"workers", "show", "cow"},
		"tasks-show":   {"tasks", "show", "3f2a2/1"},
	} {
		got := run(args...)
		got.want(t, ExitOK, "", "")
		golden(t, name+".txt", got.out.String())
	}
}

func TestAJobIsShownWithItsSettings(t *testing.T) {
	t.Parallel()
	run := smallFarm().start(t)
	shown := run("jobs", "show", jobB)
	shown.want(t, ExitOK, "1 completed, 1 active", "")
	shown.want(t, ExitOK, "project  Pond", "")
	run("jobs", "show", "3f2a1").want(t, ExitOK, "message        hi\n", "")
}

func TestJSONIsOneTypedObjectALine(t *testing.T) {
	t.Parallel()
	run := smallFarm().start(t)
	for kind, args := range map[string][]string{
		"job": {"jobs", "list"}, "task": {"tasks", "list", jobB}, "worker": {"workers", "list"}, "log": {"tasks", "log", taskA},
		"version": {"version"},
	} {
		got := run(append(args, "--json")...)
		lines := strings.Split(strings.TrimSpace(got.out.String()), "\n")
		for _, line := range lines {
			var message map[string]any
			if err := json.Unmarshal([]byte(line), &message); err != nil || message["type"] != kind {
				t.Errorf("%s: line %q: %v", kind, line, err)
			}
		}
	}
	run("jobs", "show", jobA, "--json").want(t, ExitOK, `"type":"job"`, "")
	run("jobs", "show", strings.Replace(jobA, "a", "f", 1), "--json").want(t, ExitNotFound, "", `"code":4`)
	if got := run("tasks", "log", taskA, "--json"); strings.Count(got.out.String(), "\n") != 3 || !strings.Contains(got.out.String(), `two <&>`) {
		t.Errorf("log: %s", &got.out)
	}
}

func TestExitCodesSayWhatHappened(t *testing.T) {
	t.Parallel()
	run := smallFarm().start(t)
	run("jobs", "show", "3f2a").want(t, ExitUsage, "", `"3f2a" may be any of 2 jobs`)
	run("jobs", "show", "3f2").want(t, ExitUsage, "", "too short")
	run("jobs", "show", "beef").want(t, ExitNotFound, "", "no job whose id begins with")
	run("jobs", "show", "00000000-0000-4000-8000-000000000000").want(t, ExitNotFound, "", "it is not there")
	run("tasks", "show", "3f2a2/9").want(t, ExitUsage, "", "too short")
	run("tasks", "show", "3f2a2/render-99").want(t, ExitNotFound, "", "no task")
	run("tasks", "show", "aaaa1").want(t, ExitOK, "render-1-12", "")
	run("tasks", "show", "bbbb1").want(t, ExitNotFound, "", "JOB/NUMBER")
	run("workers", "show", "c0ffee00-0").want(t, ExitUsage, "", "any of 2 workers")
	run("jobs", "list", "--status", "done").want(t, ExitUsage, "", `no status "done"`)
	run("jobs", "list", "--limit=-1").want(t, ExitUsage, "", "--limit")
	run("jobs", "list", "--nonsense").want(t, ExitUsage, "", "nonsense")
	run("jobs", "wrong").want(t, ExitUsage, "", "wrong")
	run("wait").want(t, ExitUsage, "", "accepts 1 arg")
	run("frobnicate").want(t, ExitUsage, "", "frobnicate")
	run("submit", "no-such-type").want(t, ExitNotFound, "", "there is echo-sleep-test, simple-blender-render")
	unreachable := map[string]string{"FLAMENCO_MANAGER": "http://127.0.0.1:1"}
	runCLI(t.Context(), unreachable, "", "jobs", "list").want(t, ExitUnreachable, "", "cannot reach a Manager at http://127.0.0.1:1")
	runCLI(t.Context(), map[string]string{"FLAMENCO_MANAGER": "gopher://x"}, "", "jobs", "list").want(t, ExitUsage, "", "gopher")
}

func TestListsAreSelectedAndCutWhateverTheManagerSends(t *testing.T) {
	t.Parallel()
	run := smallFarm().start(t)
	run("jobs", "list", "--limit", "1").want(t, ExitOK, "newer", "more than these 1")
	if got := run("jobs", "list", "--status", "completed"); strings.Contains(got.out.String(), "newer") {
		t.Errorf("an active job among the completed ones:\n%s", &got.out)
	}
	run("jobs", "list", "--search", "OLD").want(t, ExitOK, "older", "")
	run("jobs", "list", "--search", "nothing").want(t, ExitOK, "", "No jobs.")
	run("tasks", "list", jobB, "--status", "failed").want(t, ExitOK, "", "No tasks.")
}

func TestTheManagerIsFoundInTheDocumentedOrder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	config := filepath.Join(folder, "flamenco.yaml")
	if err := os.WriteFile(config, []byte("manager: http://from-file:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	home := map[string]string{"XDG_CONFIG_HOME": folder, "AppData": folder, "HOME": folder}
	if runtime.GOOS == "darwin" {
		home["HOME"] = t.TempDir()
	}
	for _, test := range []struct {
		flag, env, want string
	}{
		{"http://flag:1", "http://env:1", "http://flag:1"},
		{"", "http://env:1", "http://env:1"},
		{"", "", "http://from-file:1"},
	} {
		g := &globalOptions{manager: test.flag, getenv: func(name string) string {
			if name == "FLAMENCO_MANAGER" {
				return test.env
			}
			return home[name]
		}}
		if got, err := g.managerAddress(t.Context()); err != nil || got != test.want {
			t.Errorf("%+v: %q, %v", test, got, err)
		}
	}
	nowhere := &globalOptions{
		getenv: func(string) string { return "" },
		find:   func(context.Context) (string, error) { return "http://found:1", nil },
	}
	if got, err := nowhere.managerAddress(t.Context()); err != nil || got != "http://found:1" {
		t.Errorf("without anything: %q, %v", got, err)
	}
	if err := os.WriteFile(config, []byte("manger: http://typo:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runCLI(t.Context(), home, "", "jobs", "list").want(t, ExitUsage, "", "manger")
}

func TestALogIsPrintedWhole(t *testing.T) {
	t.Parallel()
	run := smallFarm().start(t)
	run("tasks", "log", "3f2a2/render-1-12").want(t, ExitOK, "one\ntwo <&>\nthree", "")
	run("tasks", "log", "-f", taskA).want(t, ExitOK, "one\ntwo <&>\nthree", "")
	run("tasks", "log", "--attempt", "2", taskA).want(t, ExitOK, "one\ntwo <&>\nthree", "")
	run("tasks", "log", "--attempt", "1", taskA).want(t, ExitNotFound, "", "no log of an attempt 1")
}

func TestShellsGetLiveNames(t *testing.T) {
	t.Parallel()
	run := smallFarm().start(t)
	run("__complete", "wait", "").want(t, ExitOK, "3f2a2222\tnewer (active)", "")
	run("__complete", "submit", "").want(t, ExitOK, "echo-sleep-test\tEcho", "")
	run("__complete", "submit", "echo-sleep-test", "").want(t, ExitOK, "message=\tWhat to say (string)", "")
	run("__complete", "tasks", "log", "3f2a2/").want(t, ExitOK, "3f2a2/2\trender-13-24 (active)", "")
	run("__complete", "workers", "show", "").want(t, ExitOK, "cow\tawake", "")
	run("__complete", "jobs", "list", "--status", "").want(t, ExitOK, "pause-requested", "")
}

func TestHelpNamesEveryCommand(t *testing.T) {
	t.Parallel()
	got := runCLI(context.Background(), nil, "", "--help")
	for _, command := range []string{"submit", "wait", "jobs", "tasks", "workers", "maintenance", "managers", "version", "completion"} {
		got.want(t, ExitOK, "\n  "+command, "")
	}
}
