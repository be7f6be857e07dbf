// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/pkg/api"
)

var update = flag.Bool("update", false, "write what the tests get into testdata")

// fakeManager answers like a Manager that holds what a test puts into it. It knows no entity tags and no pages, as
// Flamenco 3, so that the command line is tested with what it cannot rely on.
type fakeManager struct {
	mu        sync.Mutex
	jobTypes  []api.AvailableJobType
	jobs      []api.Job
	tasks     []api.Task
	workers   []api.Worker
	tags      []api.WorkerTag
	logs      map[string]string // by task
	submitted []api.SubmittedJob
	onJob     func(m *fakeManager, job *api.Job) // called at each look at a job
	refuse    []int                              // statuses that the next submissions are answered with
}

func (m *fakeManager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/v3")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case r.Method == http.MethodPost && path == "/jobs":
		m.submit(w, r)
	case path == "/jobs/types":
		answer(w, 200, api.AvailableJobTypes{JobTypes: m.jobTypes})
	case path == "/jobs":
		answer(w, 200, api.JobsQueryResult{Jobs: m.jobs})
	case path == "/worker-mgt/tags":
		answer(w, 200, api.WorkerTagList{Tags: m.tags})
	case path == "/worker-mgt/workers":
		m.listWorkers(w)
	case len(parts) == 3 && parts[1] == "type":
		find(w, m.jobTypes, func(t *api.AvailableJobType) bool { return t.Name == parts[2] }, nil)
	case len(parts) == 2 && parts[0] == "jobs":
		find(w, m.jobs, func(j *api.Job) bool { return j.ID == parts[1] }, func(j *api.Job) {
			if m.onJob != nil {
				m.onJob(m, j)
			}
		})
	case len(parts) == 3 && parts[0] == "jobs" && parts[2] == "tasks":
		m.listTasks(w, parts[1])
	case len(parts) == 2 && parts[0] == "tasks":
		find(w, m.tasks, func(t *api.Task) bool { return t.ID == parts[1] }, nil)
	case len(parts) == 3 && parts[2] == "log":
		url, size := "/job-files/"+parts[1], len(m.logs[parts[1]])
		answer(w, 200, api.TaskLogInfo{
			TaskID: parts[1], URL: url, Size: size, Attempts: []api.AttemptLog{{Generation: 2, URL: url, Size: int64(size)}},
		})
	case len(parts) == 2 && parts[0] == "job-files":
		http.ServeContent(w, r, "log.txt", time.Time{}, strings.NewReader(m.logs[parts[1]]))
	case len(parts) == 3 && parts[0] == "worker-mgt":
		find(w, m.workers, func(w *api.Worker) bool { return w.ID == parts[2] }, nil)
	default:
		answer(w, 404, api.Error{Code: 404, Message: "Not Found"})
	}
}

func (m *fakeManager) submit(w http.ResponseWriter, r *http.Request) {
	var job api.SubmittedJob
	if err := json.NewDecoder(r.Body).Decode(&job); err != nil {
		answer(w, 400, api.Error{Code: 400, Message: err.Error()})
		return
	}
	if len(m.refuse) > 0 {
		status := m.refuse[0]
		m.refuse = m.refuse[1:]
		answer(w, status, api.Error{Code: int32(status), Message: fmt.Sprintf("refused with %d", status)})
		return
	}
	m.submitted = append(m.submitted, job)
	made := api.Job{
		ID: fmt.Sprintf("%08d-0000-4000-8000-000000000000", len(m.submitted)), Name: job.Name, Type: job.Type, Priority: job.Priority,
		Status: api.JobStatusQueued, Settings: job.Settings, Created: time.Now(), Updated: time.Now(),
	}
	m.jobs = append(m.jobs, made)
	answer(w, 200, made)
}

func (m *fakeManager) listWorkers(w http.ResponseWriter) {
	var list api.WorkerList
	for _, worker := range m.workers {
		list.Workers = append(list.Workers, api.WorkerSummary{
			ID: worker.ID, Name: worker.Name, Status: worker.Status, StatusChange: worker.StatusChange, LastSeen: worker.LastSeen,
			Version: worker.Version,
		})
	}
	answer(w, 200, list)
}

func (m *fakeManager) listTasks(w http.ResponseWriter, jobID string) {
	var list api.JobTasksSummary
	for _, task := range m.tasks {
		if task.JobID == jobID {
			list.Tasks = append(list.Tasks, api.TaskSummary{
				ID: task.ID, Name: task.Name, Status: task.Status, IndexInJob: task.IndexInJob, TaskType: task.TaskType,
				Updated: task.Updated, Worker: task.Worker, StepsCompleted: task.StepsCompleted, StepsTotal: task.StepsTotal,
			})
		}
	}
	answer(w, 200, list)
}

func find[T any](w http.ResponseWriter, all []T, is func(*T) bool, before func(*T)) {
	for i := range all {
		if is(&all[i]) {
			if before != nil {
				before(&all[i])
			}
			answer(w, 200, all[i])
			return
		}
	}
	answer(w, 404, api.Error{Code: 404, Message: "it is not there"})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// terminal is a run of the command line with what it wrote.
type terminal struct {
	out, err bytes.Buffer
	code     int
}

// start serves m and returns a way to run the command line with it.
func (m *fakeManager) start(t *testing.T) func(args ...string) *terminal {
	t.Helper()
	run := m.startWith(t)
	return func(args ...string) *terminal { return run(t.Context(), args...) }
}

// startWith is start for tests that interrupt.
func (m *fakeManager) startWith(t *testing.T) func(ctx context.Context, args ...string) *terminal {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return func(ctx context.Context, args ...string) *terminal {
		return runCLI(ctx, map[string]string{"FLAMENCO_MANAGER": server.URL}, "", args...)
	}
}

func runCLI(ctx context.Context, env map[string]string, stdin string, args ...string) *terminal {
	var terminal terminal
	streams := Streams{In: strings.NewReader(stdin), Out: &terminal.out, Err: &terminal.err}
	terminal.code = run(ctx, args, &globalOptions{
		streams: streams, getenv: func(name string) string { return env[name] },
		find: func(context.Context) (string, error) { return "", errors.New("a test does not search the network") },
	})
	return &terminal
}

func (r *terminal) want(t *testing.T, code int, inOut, inErr string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.out.String(), inOut) || !strings.Contains(r.err.String(), inErr) {
		t.Errorf("exit code %d, want %d\nout: %s\nerr: %s\nwant in out: %s\nwant in err: %s", r.code, code, &r.out, &r.err, inOut, inErr)
	}
}

// golden compares with a file of testdata, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; if that is right, run the test with -update:\n%s", path, diff)
	}
}
