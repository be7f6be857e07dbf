// SPDX-License-Identifier: GPL-3.0-or-later

// Package upstream is a Manager of Flamenco 3 as its Workers see it: made from what is known of its wire, not from its
// code, with its order of checks, its status codes and its habits (it never holds a request, it takes updates of tasks
// that have ended, it may answer 500). It notes what a Worker says and what a Worker should never say.
//
// It knows nothing of our Manager, nor of how our Worker is made.
package upstream

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// The operations that a Worker calls.
const (
	Register     = "registerWorker"
	SignOn       = "signOn"
	SignOff      = "signOff"
	State        = "workerState"
	StateChanged = "workerStateChanged"
	Schedule     = "scheduleTask"
	Update       = "taskUpdate"
	MayRun       = "mayWorkerRun"
	Output       = "taskOutputProduced"
)

// Task is a task of the farm. The Manager fills in what follows Commands.
type Task struct {
	ID       string
	Type     string // "" = misc
	Commands []any  // each {name, parameters, total_step_count}

	Status   string
	Worker   string // the last one that got it
	Activity string
	Log      string
	Steps    int
	Statuses []string // all that Workers reported, in order
}

// Worker is what the Manager knows of a Worker.
type Worker struct {
	ID, Name, Platform, Software string
	Status                       string
	CanRestart                   bool
	TaskTypes                    []string

	secret    string
	requested string
	lazy      bool
}

// Call is a request that came in and what it was answered.
type Call struct {
	Operation string
	Worker    string
	Task      string
	Header    http.Header
	Body      string
	Status    int // 0 = the connection was cut
}

// Manager is the fake. Make it with New.
type Manager struct {
	URL string

	mu      sync.Mutex
	workers []*Worker
	tasks   []*Task
	calls   []Call
	wrongs  []string
	faults  map[string][]fault
	images  int // waiting to be processed; it never happens
	changed chan struct{}
}

// fault is what goes wrong with a call.
type fault struct {
	status int  // answered instead; 0 = the connection is cut
	after  bool // the call has had its effect before that
}

// New starts a Manager that ends with the test.
func New(t testing.TB) *Manager {
	t.Helper()
	m := &Manager{faults: map[string][]fault{}, changed: make(chan struct{})}
	server := httptest.NewServer(m.handler())
	m.URL = server.URL
	t.Cleanup(server.Close)
	return m
}

// newID is a random identifier in the form that the API has.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Add queues a task of these commands and answers its id.
func (m *Manager) Add(commands ...any) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &Task{ID: newID(), Type: "misc", Commands: commands, Status: "queued"}
	m.tasks = append(m.tasks, t)
	return t.ID
}

// Command is a command of a task.
func Command(name string, parameters map[string]any) any {
	return map[string]any{"name": name, "parameters": parameters, "total_step_count": 0}
}

// Fail answers the next n calls of an operation with a status, without doing what they say; 0 cuts the connection.
func (m *Manager) Fail(operation string, status, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[operation] = append(m.faults[operation], slices.Repeat([]fault{{status: status}}, n)...)
}

// Lose cuts the connections of the next n calls of an operation, after doing what they say.
func (m *Manager) Lose(operation string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[operation] = append(m.faults[operation], slices.Repeat([]fault{{after: true}}, n)...)
}

// Ask requests a status of all Workers.
func (m *Manager) Ask(status string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workers {
		w.requested, w.lazy = status, false
	}
}

// TimeOut treats all Workers as this Manager does those that were silent for long: they get no tasks until they, or
// somebody, say that they are awake.
func (m *Manager) TimeOut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workers {
		w.Status, w.requested = "error", ""
		m.requeue(w)
	}
}

// Cancel cancels a task; its Worker hears of it when it asks.
func (m *Manager) Cancel(taskID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.task(taskID).Status = "canceled"
}

// Reassign gives a task to a Worker that does not exist.
func (m *Manager) Reassign(taskID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.task(taskID).Worker = newID()
}

// Forget makes the Manager know no Worker any more, as after its database was lost.
func (m *Manager) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.workers = nil
}

// Task is a copy of a task.
func (m *Manager) Task(id string) Task {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.task(id)
}

// Workers are copies of all Workers, in the order of their registration.
func (m *Manager) Workers() []Worker {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Worker
	for _, w := range m.workers {
		all = append(all, *w)
	}
	return all
}

// Calls are those of an operation so far; "" = of any.
func (m *Manager) Calls(operation string) []Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.calls), func(c Call) bool { return operation != "" && c.Operation != operation })
}

// Wrongs are sentences about what Workers did that they never should.
func (m *Manager) Wrongs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.wrongs)
}

// Until waits until something is so; it looks after each call. What says what, should it never be.
func (m *Manager) Until(t testing.TB, what string, so func() bool) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if so() {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			text, _ := json.MarshalIndent(m.Calls(""), "", " ")
			t.Fatalf("waited in vain until %s; the calls were:\n%s", what, text)
		}
	}
}

// UntilStatus waits until a task has a status.
func (m *Manager) UntilStatus(t testing.TB, taskID, status string) {
	t.Helper()
	m.Until(t, "the task is "+status, func() bool { return m.Task(taskID).Status == status })
}

// UntilCalls waits for the nth call of an operation.
func (m *Manager) UntilCalls(t testing.TB, operation string, n int) {
	t.Helper()
	m.Until(t, fmt.Sprintf("%s was called %d times", operation, n), func() bool { return len(m.Calls(operation)) >= n })
}

// task finds a task. The lock is held.
func (m *Manager) task(id string) *Task {
	i := slices.IndexFunc(m.tasks, func(t *Task) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	return m.tasks[i]
}

// active finds the task that a Worker runs, or nil. The lock is held.
func (m *Manager) active(w *Worker) *Task {
	i := slices.IndexFunc(m.tasks, func(t *Task) bool { return t.Status == "active" && t.Worker == w.ID })
	if i < 0 {
		return nil
	}
	return m.tasks[i]
}

// requeue takes its task from a Worker. The lock is held.
func (m *Manager) requeue(w *Worker) {
	if t := m.active(w); t != nil {
		t.Status = "queued"
	}
}

// wrong notes what a Worker should not have done. The lock is held.
func (m *Manager) wrong(format string, args ...any) {
	m.wrongs = append(m.wrongs, fmt.Sprintf(format, args...))
}
