// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to damage a database

	"flamenco.farm/internal/config"
)

// change runs SQL on the database of a running Manager, without its rules.
func change(t *testing.T, cfg config.Config, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+cfg.Database+"?_pragma=foreign_keys(OFF)&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// farmStatus asks until the farm has a status, and returns its problems.
func farmStatus(t *testing.T, client *http.Client, url, want string) (problems []string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for {
		_, text := call(t, client, "GET", url+"/api/v3/status", "")
		var report struct {
			Status   string
			Problems []string
		}
		if err := json.Unmarshal([]byte(text), &report); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if report.Status == want {
			return report.Problems
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the farm's status is %s, not %s", text, want)
		}
	}
}

const submission = `{"name":"x","type":"echo-sleep-test","submitter_platform":"linux","settings":{"message":"x"}}`

func TestADamagedDatabaseStopsNewWorkAndNothingElse(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	cfg.DatabaseCheckPeriod = 20 * time.Millisecond
	cfg.TaskRequestHold = 0
	client := newClient(t)
	url, stop := start(t, cfg)
	_, text := call(t, client, "POST", url+"/api/v3/worker/register-worker", `{"name":"w","secret":"s","platform":"linux","supported_task_types":["misc"]}`)
	var worker, task struct{ UUID string }
	if err := json.Unmarshal([]byte(text), &worker); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	as := func(path, body string) (int, string) {
		return call(t, client, "POST", url+"/api/v3/worker"+path, body, worker.UUID, "s")
	}
	as("/sign-on", `{"name":"w","supported_task_types":["misc"],"software_version":"1"}`)
	as("/state-changed", `{"status":"awake"}`)
	for range 2 {
		if status, text := call(t, client, "POST", url+"/api/v3/jobs", submission); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	}
	status, text := as("/task", "")
	if err := json.Unmarshal([]byte(text), &task); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, text, err)
	}

	farmStatus(t, client, url, "active")
	change(t, cfg, "UPDATE job_specs SET job_id = job_id + 1000")
	problems := farmStatus(t, client, url, "inoperative")
	if len(problems) != 1 || !strings.Contains(problems[0], "job_specs names a row of jobs that is not there") {
		t.Errorf("problems: %q", problems)
	}
	if status, text := call(t, client, "POST", url+"/api/v3/jobs", submission); status != 503 || !strings.Contains(text, "damaged") {
		t.Errorf("a submission got %d %s", status, text)
	}
	if status, text := as("/task/"+task.UUID, `{"taskStatus":"completed"}`); status != 204 {
		t.Errorf("the report of a task that ran got %d %s", status, text)
	}
	if status, text := as("/task", ""); status != 204 {
		t.Errorf("a request for a task got %d %s", status, text)
	}

	change(t, cfg, "UPDATE job_specs SET job_id = job_id - 1000")
	farmStatus(t, client, url, "active")
	if status, text := as("/task", ""); status != 200 {
		t.Errorf("a request for a task got %d %s once all was well", status, text)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
