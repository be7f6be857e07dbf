// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/event"
	vocabulary "flamenco.farm/internal/farm"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/maintenance"
	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/tasklog"
	"flamenco.farm/internal/testkit/fault"
	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/internal/testkit/loopback"
	"flamenco.farm/internal/variables"
	"flamenco.farm/internal/worker"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

// managers is a farm of several Managers in this process, each with a scheduler and an address of its own, on one store.
type managers struct {
	t     *testing.T
	store *store.Store
	logs  *tasklog.Store
	bus   *event.Bus
	types *jobtype.Service
	files *os.Root
	lease time.Duration
	all   []*member
	lives atomic.Int64 // Managers that were started
}

// member is one of them, behind a network of its own.
type member struct {
	*managers
	address string
	network *fault.Proxy
	stop    func() // as kill -9 does: what is on its way breaks

	mu   sync.Mutex
	seen map[string]int // updates that it has answered, by assignment and sequence
}

func newManagers(t *testing.T, n int, jobType string, lease time.Duration, plan fault.Plan) *managers {
	t.Helper()
	dir := t.TempDir()
	m := &managers{t: t, bus: &event.Bus{}, lease: lease}
	log := slog.New(slog.DiscardHandler)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "scripts", "test.js"), jobType)
	var err error
	m.logs, err = tasklog.New(tasklog.Options{Folder: filepath.Join(dir, "local")})
	must(err)
	t.Cleanup(func() { _ = m.logs.Close() })
	m.files, err = os.OpenRoot(filepath.Join(dir, "local"))
	must(err)
	t.Cleanup(func() { _ = m.files.Close() })
	m.store, err = store.Open(t.Context(), store.Options{
		Database: filepath.Join(dir, "farm.sqlite"), Durability: store.Durability(config.DurabilityNormal), Log: log, OnCommit: m.bus.Publish,
	})
	must(err)
	t.Cleanup(func() { _ = m.store.Close() })
	m.types, err = jobtype.New(jobtype.Options{
		ScriptsDir: filepath.Join(dir, "scripts"), Log: log, TimeLimit: time.Minute, MemoryLimit: 256 << 20, MaxTasks: 200000,
	})
	must(err)
	for range n {
		one := &member{managers: m, address: loopback.FreeAddress(t), seen: map[string]int{}}
		one.start()
		t.Cleanup(func() { one.stop() })
		one.network = fault.New(t, one.address, plan)
		plan.Seed++
		m.all = append(m.all, one)
	}
	return m
}

// start starts a Manager on its address.
func (m *member) start() {
	m.t.Helper()
	log := slog.New(slog.DiscardHandler)
	keeper := maintenance.New(maintenance.Options{Store: m.store, Bus: m.bus, Log: log, Self: vocabulary.ManagerState{
		ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", m.lives.Add(1)), Name: m.address, Started: time.Now(),
	}})
	if err := keeper.Register(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	scheduler := sched.New(m.store, sched.Options{
		TaskLog: m.logs, Bus: m.bus, Log: log, WorkerTimeout: m.lease, TaskTimeout: 10 * time.Minute, RequestHold: 10 * time.Second,
		BlocklistThreshold: 3, SoftFailLimit: 1000, Enter: keeper.Enter,
	})
	workers, err := auth.NewWorkers(scheduler)
	if err != nil {
		m.t.Fatal(err)
	}
	set := variables.NewOn("linux", nil, "")
	handler, err := httpapi.New(httpapi.Options{
		Log: log, Config: config.Fixed(config.Default()), Store: m.store, Sched: scheduler, JobTypes: m.types, TaskLogs: m.logs,
		Variables: func() *variables.Set { return set }, Workers: workers, Files: m.files,
		FarmStatus: func() vocabulary.StatusReport { return vocabulary.StatusReport{} }, Events: http.NotFoundHandler(), Admin: auth.NewAdminToken(),
		Maintenance: keeper,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", m.address)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{
		Handler: m.noting(handler), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	var parts sync.WaitGroup
	parts.Go(func() { _ = scheduler.Run(ctx) })
	parts.Go(func() { _ = server.Serve(listener) })
	m.stop = sync.OnceFunc(func() {
		_ = server.Close()
		cancel()
		parts.Wait()
	})
}

// noting notes the updates that a Manager takes.
func (m *member) noting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if id := r.Header.Get("X-Flamenco-Assignment"); id != "" && r.Method == http.MethodPost {
			m.mu.Lock()
			m.seen[id+" "+r.Header.Get("X-Flamenco-Sequence")]++
			m.mu.Unlock()
		}
	})
}

func (m *member) updates() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]int{}
	for k, n := range m.seen {
		all[k] = n
	}
	return all
}

// client talks to a Manager without its network.
func (m *member) client() *client.Client {
	m.t.Helper()
	c, err := client.New("http://"+m.address, client.WithPatience(patience))
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

func (m *managers) submit(settings api.JobSettings) string {
	m.t.Helper()
	job, err := m.all[0].client().SubmitJob(m.t.Context(), api.SubmittedJob{
		Name: "scenario", Type: "test", Priority: 50, SubmitterPlatform: "linux", Settings: settings,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return job.ID
}

// worker runs a Worker with all Managers until the test ends or stop is called; the Manager of this number is the first it tries.
func (m *managers) worker(name string, first int, log slog.Handler) (stop func()) {
	m.t.Helper()
	var addresses []string
	for i := range m.all {
		addresses = append(addresses, "http://"+m.all[(first+i)%len(m.all)].network.Address())
	}
	w, err := worker.New(worker.Options{Managers: addresses, Home: filepath.Join(m.t.TempDir(), name), Name: name, Log: slog.New(log)})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // ends with ctx
	}()
	stop = func() { cancel(); <-done }
	m.t.Cleanup(stop)
	return stop
}

// ended waits for the end of a job by the store, which every Manager shares.
func (m *managers) ended(job string, limit time.Duration) {
	m.t.Helper()
	sub := m.bus.Subscribe(func(c vocabulary.Change) bool { return c.Kind == vocabulary.ChangeJob })
	defer sub.Close()
	ctx, cancel := context.WithTimeoutCause(m.t.Context(), limit, errors.New("the job does not end"))
	defer cancel()
	for {
		j, err := m.store.Job(ctx, job)
		if err != nil {
			m.t.Fatalf("%v: %v", context.Cause(ctx), err)
		}
		switch j.Status {
		case vocabulary.JobCompleted:
			return
		case vocabulary.JobFailed, vocabulary.JobCanceled:
			m.t.Fatalf("the job is %s: %s", j.Status, j.Activity)
		}
		select {
		case <-sub.C:
		case <-ctx.Done():
			m.t.Fatalf("%v: it is %s, %s", context.Cause(ctx), j.Status, j.Activity)
		}
	}
}

// proof compares what the farm wrote down with what ran, and returns the tasks.
func (m *managers) proof(job string, count int, saw *witness) []history.Task {
	m.t.Helper()
	tasks, err := history.Load(m.t.Context(), m.store, job)
	if err != nil {
		m.t.Fatal(err)
	}
	check(m.t, tasks, saw.all())
	if len(tasks) != count {
		m.t.Errorf("%d tasks, want %d", len(tasks), count)
	}
	return tasks
}

// once makes sure that the log of a task has each of the lines once, in order.
func (m *managers) once(task history.Task, lines ...string) {
	m.t.Helper()
	var text strings.Builder
	if err := m.all[0].client().TaskLog(m.t.Context(), task.ID, &text); err != nil {
		m.t.Errorf("the log of %s: %v", task.Name, err)
		return
	}
	at := 0
	for _, line := range lines {
		where := strings.Index(text.String(), line)
		if where < at || strings.Count(text.String(), line) != 1 {
			m.t.Errorf("the log of %s has %q %d times, want once and in order:\n%s", task.Name, line, strings.Count(text.String(), line), &text)
			return
		}
		at = where
	}
}

func lines(task string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("<%s line %d>", task, i+1))
	}
	return all
}
