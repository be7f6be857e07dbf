// SPDX-License-Identifier: GPL-3.0-or-later

package ha

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/store"
	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/pkg/api"
)

// Short tasks, and two that talk until a file is there. All note their begin and their end.
const jobType = `
const JOB_TYPE = { label: "Short and long", settings: [
  { key: "count", type: "int32", required: true },
  { key: "file", type: "string", required: true },
  { key: "stop", type: "string", required: true },
] };
function compileJob(job) {
  const note = (what) => 'echo "$0 $FLAMENCO_ASSIGNMENT ' + what + ' $(date +%s%N)" >> "$1"; ';
  const add = (name, type, script) => {
    const task = author.Task(name, type);
    task.addCommand(author.Command("exec", { exe: "sh", args: ["-c", note("begin") + script + note("end"), name, job.settings.file, job.settings.stop] }));
    job.addTask(task);
  };
  for (let i = 1; i <= 2; i++)
    add("talk-" + i, "blender", 'n=0; while [ ! -e "$2" ]; do n=$((n+1)); echo "<$0 line $n>"; sleep 0.1; done; ');
  for (let i = 1; i <= job.settings.count; i++) add("task-" + i, "misc", "sleep 0.05; ");
}
`

func TestAJobAndItsBrowsersOutliveEveryManager(t *testing.T) {
	t.Parallel()
	f := newFarm(t, jobType)
	first, second := f.managers[0], f.managers[1]
	f.worker("behind-haproxy", "misc", f.haproxy)
	f.worker("knows-both", "misc", second.url, first.url)
	f.worker("talks-to-nginx", "blender", f.nginx)
	f.worker("talks-to-both", "blender", first.url, second.url)
	browsers := []*browser{
		newBrowser(t, "4", "websocket", f.haproxy), newBrowser(t, "2", "polling", f.haproxy), newBrowser(t, "4", "polling+websocket", f.haproxy),
		newBrowser(t, "2", "websocket", f.nginx), newBrowser(t, "4", "polling", f.nginx),
	}
	const count = 300
	tally, stop := filepath.Join(f.dir, "tally"), filepath.Join(f.dir, "stop")
	c := f.client(f.nginx)
	job, err := c.SubmitJob(t.Context(), api.SubmittedJob{
		Name: "ha", Type: "test", Priority: 50, SubmitterPlatform: "linux", Settings: api.JobSettings{"count": count, "file": tally, "stop": stop},
	})
	if err != nil {
		t.Fatal(err)
	}
	// While a Manager is being killed nginx may answer 502, which a client takes as an answer.
	seen := 0
	done := func() int {
		if j, err := c.Job(t.Context(), job.ID); err == nil {
			seen = j.StepsCompleted
		}
		return seen
	}
	goesOn := func() {
		t.Helper()
		had := done()
		waitFor(t, "the job goes on", func() bool { return done() >= had+count/10 })
	}
	goesOn()
	f.gently(first, job.ID)
	goesOn()
	for _, m := range []*manager{second, first} {
		m.Kill()
		goesOn()
		m.Start()
		m.ready(t)
	}
	f.tellsEverybody(browsers, job.ID)
	f.hasOneToken()
	waitFor(t, "only the talks are left", func() bool { return done() >= count })
	writeFile(t, stop, "")
	waitFor(t, "the job is completed", func() bool {
		j, err := c.Job(t.Context(), job.ID)
		return err == nil && j.Status == api.JobStatusCompleted
	})
	tasks := f.history(job.ID)
	if len(tasks) != count+2 {
		t.Errorf("%d tasks, want %d", len(tasks), count+2)
	}
	runs, err := history.ReadTally(tally, tasks)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range append(history.Check(tasks, runs), history.BegunTwice(runs)...) {
		t.Error(wrong)
	}
	for _, task := range tasks {
		if strings.HasPrefix(task.Name, "talk-") {
			f.isWhole(task)
		}
	}
}

// gently stops a Manager and starts it again. Nobody who asks a balancer meanwhile sees anything of it.
func (f *farm) gently(m *manager, job string) {
	f.t.Helper()
	over := make(chan struct{})
	var asking sync.WaitGroup
	ask := func(method, url, body string) {
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		asked := 0
		for ; ; asked++ {
			if status, text, err := call(method, url, body); err != nil || status >= 300 {
				f.t.Errorf("%s %s: %d %s %v, while a Manager was stopped", method, url, status, text, err)
			}
			select {
			case <-tick.C:
			case <-over:
				if asked < 50 {
					f.t.Errorf("%s %s was asked only %d times", method, url, asked)
				}
				return
			}
		}
	}
	for _, balancer := range []string{f.haproxy, f.nginx} {
		asking.Go(func() { ask("GET", balancer+"/api/v3/jobs/"+job, "") })
	}
	// nginx learns of a port that closes only by trying it, so that a change may hit that very moment.
	asking.Go(func() { ask("POST", f.haproxy+"/api/v3/jobs/"+job+"/setpriority", `{"priority": 60}`) })
	m.Terminate()
	waitFor(f.t, "it says that it is not ready", func() bool {
		status, _, err := call("GET", m.url+"/readyz", "")
		if err != nil {
			f.t.Fatalf("the port was closed before anybody could see that: %v", err)
		}
		return status == http.StatusServiceUnavailable
	})
	waitFor(f.t, "the other one knows that it stops", func() bool {
		_, text, _ := call("GET", f.managers[1].url+"/api/v3/maintenance", "")
		return strings.Contains(text, `"draining"`)
	})
	if err := m.Cmd.Wait(); err != nil {
		f.t.Errorf("the Manager ended with %v", err)
	}
	m.Start()
	m.ready(f.t)
	close(over)
	asking.Wait()
}

// tellsEverybody changes a job at one Manager after the other. All browsers hear of it, wherever they are.
func (f *farm) tellsEverybody(browsers []*browser, job string) {
	f.t.Helper()
	for i, m := range f.managers {
		var sent []int
		next := time.Now()
		for _, b := range browsers {
			waitFor(f.t, fmt.Sprintf("%s hears what happens at Manager %d", b.name, i+1), func() bool {
				if time.Now().After(next) && len(sent) < 19 { // one that still connects again missed the one before
					sent = append(sent, 61+20*i+len(sent))
					if status, text, err := call("POST", m.url+"/api/v3/jobs/"+job+"/setpriority", fmt.Sprintf(`{"priority": %d}`, sent[len(sent)-1])); err != nil || status != 204 {
						f.t.Fatalf("%d %s %v", status, text, err)
					}
					next = time.Now().Add(10 * time.Second)
				}
				return b.heardOf(sent)
			})
		}
	}
}

// hasOneToken begins a maintenance at one Manager and ends it at the other, with the one admin token of the farm.
func (f *farm) hasOneToken() {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "local", "admin.token"))
	if err != nil {
		f.t.Fatal(err)
	}
	for i, m := range f.managers {
		if _, err := f.client(m.url).SetMaintenance(f.t.Context(), strings.TrimSpace(string(text)), i == 0, "a test"); err != nil {
			f.t.Errorf("Manager %d: %v", i+1, err)
		}
	}
}

// isWhole checks that all that a task said is in its log once and in order, whichever Manager is asked.
func (f *farm) isWhole(task history.Task) {
	f.t.Helper()
	if len(task.Attempts) != 1 {
		f.t.Errorf("%s was begun %d times: nothing happened to its Worker", task.Name, len(task.Attempts))
	}
	for i, m := range f.managers {
		var text strings.Builder
		if err := f.client(m.url).TaskLog(f.t.Context(), task.ID, &text); err != nil {
			f.t.Errorf("Manager %d: %v", i+1, err)
			continue
		}
		n, parts := 0, strings.Split(text.String(), "<"+task.Name+" line ")
		for _, part := range parts[1:] {
			n++
			if !strings.HasPrefix(part, fmt.Sprint(n, ">")) {
				f.t.Errorf("Manager %d: after line %d of %s comes %.20q", i+1, n-1, task.Name, part)
				break
			}
		}
		if n < 50 {
			f.t.Errorf("Manager %d has %d lines of %s, which talked all the time", i+1, n, task.Name)
		}
	}
}

// history is what the farm wrote down of a job.
func (f *farm) history(job string) []history.Task {
	f.t.Helper()
	st, err := store.Open(f.t.Context(), store.Options{Database: f.database, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	tasks, err := history.Load(f.t.Context(), st, job)
	if err != nil {
		f.t.Fatal(err)
	}
	return tasks
}

func TestARequestForATaskIsHeldThroughBothBalancers(t *testing.T) {
	t.Parallel()
	f := newFarm(t, jobType)
	var waiting sync.WaitGroup
	for name, balancer := range map[string]string{"haproxy": f.haproxy, "nginx": f.nginx} {
		status, text, err := call("POST", balancer+"/api/v3/worker/register-worker", `{"name":"`+name+`","secret":"s","platform":"linux","supported_task_types":["misc"]}`)
		var registered struct{ UUID string }
		if err != nil || json.Unmarshal([]byte(text), &registered) != nil {
			t.Fatalf("%d %s %v", status, text, err)
		}
		secret := "Basic " + base64.StdEncoding.EncodeToString([]byte(registered.UUID+":s"))
		for _, c := range [][2]string{{"sign-on", `{"name":"w","supported_task_types":["misc"],"software_version":"1"}`}, {"state-changed", `{"status":"awake"}`}} {
			if status, text, err := call("POST", balancer+"/api/v3/worker/"+c[0], c[1], "Authorization", secret); err != nil || status >= 300 {
				t.Fatalf("%s: %d %s %v", c[0], status, text, err)
			}
		}
		waiting.Go(func() {
			began := time.Now()
			status, text, err := call("POST", balancer+"/api/v3/worker/task", "", "Authorization", secret)
			if took := time.Since(began); err != nil || status != http.StatusNoContent || took < 30*time.Second {
				t.Errorf("%s: %d %s %v after %s", name, status, text, err, took)
			}
		})
	}
	waiting.Wait()
}
