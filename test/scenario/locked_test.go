// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/pkg/api"
)

const shortTasks = `
const JOB_TYPE = { label: "Short tasks", settings: [ { key: "count", type: "int32", required: true } ] };
function compileJob(job) {
  for (let i = 1; i <= job.settings.count; i++) {
    const task = author.Task("task-" + i, "misc");
    task.addCommand(author.Command("sleep", { duration_in_seconds: 1 }));
    task.addCommand(author.Command("echo", { message: "done" }));
    job.addTask(task);
  }
}
`

// lock keeps the database of the farm locked until unlock is called.
func (f *farm) lock() (unlock func()) {
	f.t.Helper()
	db, err := sql.Open("sqlite", f.config.Database)
	if err != nil {
		f.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(f.t.Context(), "PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE"); err != nil {
		f.t.Fatal(err)
	}
	return func() {
		_, _ = db.ExecContext(context.Background(), "ROLLBACK")
		_ = db.Close()
	}
}

// answer is what came of a request: a status and headers, or a broken connection.
type answer struct {
	status int
	header http.Header
	err    error
	took   time.Duration
}

func (f *farm) send(path, body string, credentials ...string) <-chan answer {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, "http://"+f.config.Listen+"/api/v3"+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if len(credentials) == 2 {
		req.SetBasicAuth(credentials[0], credentials[1])
	}
	answers := make(chan answer, 1)
	go func() {
		began := time.Now()
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		a := answer{err: err, took: time.Since(began)}
		if err == nil {
			a.status, a.header = resp.StatusCode, resp.Header
			_ = resp.Body.Close()
		}
		answers <- a
	}()
	return answers
}

func TestADatabaseThatIsLockedForAWhileCostsTimeAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		locked time.Duration
		fails  bool
	}{{3 * time.Second, false}, {8 * time.Second, true}} {
		t.Run(fmt.Sprint(test.locked), func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, shortTasks, func(c *config.Config) {
				c.WorkerTimeout = 20 * time.Second
			})
			saw := &witness{runs: map[string]history.Run{}}
			for n := range 2 {
				f.worker(fmt.Sprint("worker-", n+1), f.config.Listen, saw)
			}
			const count = 12
			job := f.submit(api.JobSettings{"count": count})
			locked := false
			watch(t, f.Client, job, patience, func(j api.Job) {
				if locked || j.StepsCompleted == 0 {
					return
				}
				locked = true
				f.whileLocked(job, test.locked, test.fails)
			})
			f.stop()
			tasks := load(t, f.config.Database, job)
			check(t, tasks, saw.all())
			if attempts(tasks) != count {
				t.Errorf("%d attempts, want %d", attempts(tasks), count)
			}
		})
	}
}

// whileLocked locks the database and sends requests of three kinds meanwhile.
func (f *farm) whileLocked(job string, locked time.Duration, fails bool) {
	t := f.t
	t.Helper()
	worker := api.RegisteredWorker{}
	resp, err := http.Post("http://"+f.config.Listen+"/api/v3/worker/register-worker", "application/json", //nolint:noctx // short
		strings.NewReader(`{"name":"locked","platform":"linux","secret":"open sesame","supported_task_types":["other"]}`))
	if err != nil {
		t.Fatal(err)
	}
	decode(t, resp, &worker)
	unlock := f.lock()
	person := f.send("/jobs/"+job+"/setpriority", `{"priority":60}`)
	signOn := f.send("/worker/sign-on", `{"name":"locked","software_version":"1","supported_task_types":["other"]}`, worker.UUID, "open sesame")
	<-time.After(locked) // the point of the test
	unlock()
	a, s := <-person, <-signOn
	t.Logf("locked for %v: a person is answered %d after %s, a sign-on %d (%v) after %s",
		locked, a.status, seconds(a.took), s.status, s.err, seconds(s.took))
	if !fails {
		if a.status != http.StatusNoContent || s.status != http.StatusOK {
			t.Errorf("the answers are %+v and %+v, want success", a, s)
		}
		return
	}
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "1" || a.took < 4*time.Second || a.took > 7*time.Second {
		t.Errorf("the answer is %+v, want 503 with Retry-After after 5 s", a)
	}
	if s.err == nil && s.status != http.StatusOK {
		t.Errorf("a sign-on was answered %d, want success or a broken connection", s.status)
	}
}

func decode(t *testing.T, resp *http.Response, into any) {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}
