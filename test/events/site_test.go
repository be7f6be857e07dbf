// SPDX-License-Identifier: GPL-3.0-or-later

package events

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/worker"
	"flamenco.farm/internal/worker/process"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

// TestMain lets the test program be what a Manager and a Worker start, and the clients of the benchmark.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "__compile":
			os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
		case process.ShimArgument:
			os.Exit(process.ShimMain())
		case listenersArgument:
			os.Exit(listenersMain(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what should happen soon on a computer that has nothing else to do.
const patience = 4 * time.Minute

// site is a Manager in this process, and what talks to it.
type site struct {
	*client.Client
	t       *testing.T
	address string
	stop    func() // stops the Manager
}

func startSite(t *testing.T, change func(*config.Config)) *site {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Listen = "127.0.0.1:0"
	cfg.Database = filepath.Join(dir, "farm.sqlite")
	cfg.LocalStorage = filepath.Join(dir, "local")
	cfg.SharedStorage = filepath.Join(dir, "shared")
	cfg.Durability = config.DurabilityNormal
	cfg.TimeoutGrace = 0
	cfg.JobCompiler.TimeLimit = time.Minute // under the race detector scripts are slow
	change(&cfg)

	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	m := manager.New(manager.Options{Config: cfg, Log: testLog(t), OnListen: func(a net.Addr) { listening <- a }})
	go func() { ended <- m.Run(ctx) }()
	f := &site{t: t}
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the Manager ended: %v", err)
		}
	})
	t.Cleanup(f.stop)
	select {
	case addr := <-listening:
		f.address = "http://" + addr.String()
	case err := <-ended:
		t.Fatalf("the Manager did not start: %v", err)
	}
	var err error
	if f.Client, err = client.New(f.address, client.WithPatience(patience)); err != nil {
		t.Fatal(err)
	}
	return f
}

// testLog shows the log of a Manager if the test fails.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// worker runs a Worker in this process until the test ends.
func (f *site) worker(name string) {
	f.t.Helper()
	w, err := worker.New(worker.Options{
		Managers: []string{f.address}, Home: filepath.Join(f.t.TempDir(), name), Name: name, Log: slog.New(slog.DiscardHandler),
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

// submit submits a job that says something, and then sleeps a second as often as asked. It waits to be started.
func (f *site) submit(message string, sleeps int) api.Job {
	f.t.Helper()
	paused := api.JobStatusPaused
	job, err := f.SubmitJob(f.t.Context(), api.SubmittedJob{
		Name: "events", Type: "echo-sleep-test", Priority: 50, SubmitterPlatform: "linux", InitialStatus: &paused,
		Settings: api.JobSettings{"message": message, "sleep_duration_seconds": 1, "sleep_repeats": sleeps},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return job
}

func (f *site) begin(jobID string) {
	f.t.Helper()
	if err := f.SetJobStatus(f.t.Context(), jobID, api.JobStatusRequeueing, "the test begins"); err != nil {
		f.t.Fatal(err)
	}
}
