// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/internal/testkit/loopback"
	"flamenco.farm/internal/worker"
	"flamenco.farm/internal/worker/process"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

// TestMain lets the test program be what a Manager and a Worker start: the compiler of jobs, the process of an
// operation and the shim of commands; and a Manager that can be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "__compile":
			os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
		case manager.OperationArg:
			os.Exit(operationMain())
		case managerArg:
			os.Exit(managerMain())
		case process.ShimArgument:
			os.Exit(process.ShimMain())
		}
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what should happen soon on a computer that has nothing else to do.
const patience = 4 * time.Minute

// farm is a Manager in this process, which can be stopped and started again, and what talks to it.
type farm struct {
	*client.Client
	t      *testing.T
	config config.Config
	script string // folder of job types
	stop   func() // stops the Manager
}

// newFarm starts a Manager with a job type of the test.
func newFarm(t *testing.T, jobType string, change func(*config.Config)) *farm {
	t.Helper()
	dir := t.TempDir()
	f := &farm{t: t, config: config.Default(), script: filepath.Join(dir, "scripts")}
	f.config.Listen = loopback.FreeAddress(t)
	f.config.Autodiscoverable = false
	f.config.Database = filepath.Join(dir, "farm.sqlite")
	f.config.LocalStorage = filepath.Join(dir, "local")
	f.config.SharedStorage = filepath.Join(dir, "shared")
	f.config.Durability = config.DurabilityNormal
	f.config.TimeoutGrace = 0
	f.config.JobCompiler.TimeLimit = time.Minute // under the race detector scripts are slow
	change(&f.config)
	writeFile(t, filepath.Join(f.script, "test.js"), jobType)
	f.start()
	t.Cleanup(func() { f.stop() })
	c, err := client.New("http://"+f.config.Listen, client.WithPatience(patience))
	if err != nil {
		t.Fatal(err)
	}
	f.Client = c
	return f
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start starts the Manager and returns when it answers.
func (f *farm) start() {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan struct{}), make(chan error, 1)
	m := manager.New(manager.Options{
		Config: f.config, Log: slog.New(slog.DiscardHandler), ScriptsDir: f.script, OnListen: func(net.Addr) { close(listening) },
	})
	go func() { ended <- m.Run(ctx) }()
	f.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("the Manager ended: %v", err)
		}
		ended <- nil // for those who stop it again
	}
	select {
	case <-listening:
	case err := <-ended:
		f.t.Fatalf("the Manager did not start: %v", err)
	}
}

// worker runs a Worker in this process until the test ends.
func (f *farm) worker(name, address string, log slog.Handler) {
	f.t.Helper()
	w, err := worker.New(worker.Options{
		Managers: []string{"http://" + address}, Home: filepath.Join(f.t.TempDir(), name), Name: name, Log: slog.New(log),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // ends with ctx
	}()
	f.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (f *farm) submit(settings api.JobSettings) string {
	f.t.Helper()
	job, err := f.SubmitJob(f.t.Context(), api.SubmittedJob{
		Name: "scenario", Type: "test", Priority: 50, SubmitterPlatform: "linux", Settings: settings,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return job.ID
}

// watch calls seen with every state of a job that it hears of, until the job has ended.
func watch(t *testing.T, c *client.Client, jobID string, limit time.Duration, seen func(api.Job)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var last api.Job
	for job, err := range c.WatchJob(ctx, jobID) {
		if err != nil {
			t.Fatalf("the job is %s with %+v after %v: %v", last.Status, last.TaskCounts, limit, err)
		}
		last = job
		seen(job)
		switch job.Status {
		case api.JobStatusCompleted:
			return
		case api.JobStatusFailed, api.JobStatusCanceled:
			t.Fatalf("the job is %s: %s", job.Status, job.Activity)
		}
	}
}

// load reads what a Manager that ended wrote down of a job.
func load(t *testing.T, database, jobID string) []history.Task {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Database: database, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	tasks, err := history.Load(t.Context(), st, jobID)
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

// check compares it with what ran.
func check(t *testing.T, tasks []history.Task, runs []history.Run) {
	t.Helper()
	for _, wrong := range history.Check(tasks, runs) {
		t.Error(wrong)
	}
}

func attempts(tasks []history.Task) (n int) {
	for _, t := range tasks {
		n += len(t.Attempts)
	}
	return n
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
