// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager"
	"flamenco.farm/test/load/bare"
	"flamenco.farm/test/load/measure"
	"flamenco.farm/test/load/prepare"
)

// TestMain lets the test program be the processes that a Manager starts, as flamenco-manager is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "__compile":
			os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
		case manager.OperationArg:
			os.Exit(manager.OperationMain(os.Stdin, os.Stdout, os.Stderr, nil))
		}
	}
	os.Exit(m.Run())
}

// tasks is how many the databases of these tests hold.
const tasks = 40

func prepared(t *testing.T) (database string, jobs []string) {
	t.Helper()
	database = filepath.Join(t.TempDir(), "farm.sqlite")
	jobs, err := prepare.Fill(t.Context(), database, nil, prepare.Jobs{Jobs: 2, Tasks: tasks / 2, TaskType: "misc", Priority: 50})
	if err != nil {
		t.Fatal(err)
	}
	return database, jobs
}

// startManager runs a Manager on a database until the test ends.
func startManager(t *testing.T, database string) *url.URL {
	t.Helper()
	cfg := config.Default()
	cfg.Database, cfg.LocalStorage, cfg.Listen, cfg.Autodiscoverable = database, t.TempDir(), "127.0.0.1:0", false
	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	m := manager.New(manager.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), OnListen: func(a net.Addr) { listening <- a }})
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the Manager ended: %v", err)
		}
	})
	select {
	case a := <-listening:
		return &url.URL{Scheme: "http", Host: a.String()}
	case err := <-ended:
		ended <- nil
		t.Fatalf("the Manager did not start: %v", err)
	}
	return nil
}

func startBare(t *testing.T, database string) *url.URL {
	t.Helper()
	server, err := bare.New(t.Context(), database, false)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		web.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	base, err := url.Parse(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

func testDrain(base *url.URL) Drain {
	return Drain{Farm: Farm{Managers: []*url.URL{base}}, Workers: 5, TaskTypes: []string{"misc"}, Tasks: tasks, Duration: time.Minute}
}

// checkDrained looks whether every task was run once, with all its calls.
func checkDrained(t *testing.T, report *measure.Report, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if report.Tasks != tasks || report.Double != 0 || len(report.Errors) != 0 {
		t.Errorf("%d tasks done, %d given twice, errors %v; want %d, 0, none", report.Tasks, report.Double, report.Errors, tasks)
	}
	for _, call := range []string{"active", "steps and log", "may-i-run", "completed", "cycle"} {
		if n := report.Calls[call].N; n != tasks {
			t.Errorf("%d calls of kind %q, want %d", n, call, tasks)
		}
	}
}

func TestWorkersDrainAManager(t *testing.T) {
	t.Parallel()
	database, jobs := prepared(t)
	base := startManager(t, database)
	report, err := testDrain(base).Run(t.Context())
	checkDrained(t, report, err)
	for _, id := range jobs {
		if j, err := NewPerson(base).Job(t.Context(), id); err != nil || j.Status != "completed" {
			t.Errorf("job is %q, %v; want completed", j.Status, err)
		}
	}
}

func TestWorkersDrainTheBareCeiling(t *testing.T) {
	t.Parallel()
	database, jobs := prepared(t)
	report, err := testDrain(startBare(t, database)).Run(t.Context())
	checkDrained(t, report, err)
	// The Manager finds the rows as it would have written them.
	base := startManager(t, database)
	for _, id := range jobs {
		text, err := NewPerson(base).Call(t.Context(), "GET", "/jobs/"+id+"/tasks?status_in=completed", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(uuids(text)); got != tasks/2 {
			t.Errorf("%d tasks of a job are completed, want %d", got, tasks/2)
		}
	}
}

func TestATaskThatTwoWorkersGotIsCounted(t *testing.T) {
	t.Parallel()
	seen := newSightings()
	for _, g := range [][2]string{{"task", "one"}, {"task", "one"}, {"other", "two"}, {"task", "two"}} {
		seen.given(g[0], g[1])
	}
	if seen.double != 1 {
		t.Errorf("%d double assignments, want 1", seen.double)
	}
}

func TestIdleWorkersMakeNoErrors(t *testing.T) {
	t.Parallel()
	base := startManager(t, filepath.Join(t.TempDir(), "farm.sqlite"))
	report, err := Idle{Farm: Farm{Managers: []*url.URL{base}}, Workers: 3, TaskTypes: []string{"misc"}, Duration: time.Millisecond}.Run(t.Context())
	if err != nil || len(report.Errors) != 0 {
		t.Errorf("errors %v, %v", report, err)
	}
}
