// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/worker/process"
)

// asWorkerVariable makes the test program a Worker.
const asWorkerVariable = "FLAMENCO_TEST_AS_WORKER"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.ShimArgument {
		os.Exit(process.ShimMain())
	}
	if os.Getenv(asWorkerVariable) != "" {
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		os.Exit(Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr, signals))
	}
	os.Exit(m.Run())
}

// fakeManager is a scripted Manager that notes every call. Its on functions may answer a call in its place.
type fakeManager struct {
	server *httptest.Server
	lease  int // seconds; 0 = an upstream Manager, which names no session

	mu      sync.Mutex
	secrets map[string]string
	status  farm.WorkerStatus // answered to a sign-on
	request farm.WorkerStatus // pending request, "" = none
	tasks   []fakeTask        // to be handed out
	given   map[string]givenTask
	session int
	begun   map[string]int // sessions by what a Worker called them
	calls   []fakeCall
	on      map[string]func(w http.ResponseWriter, c fakeCall) bool
	changed chan struct{}
}

type fakeTask struct {
	id           string
	onDisconnect string
	commands     []map[string]any
}

// givenTask is a task that a Worker got after so many calls.
type givenTask struct {
	fakeTask
	after int
}

// fakeCall is a call that came in. What is the last part of its path, or update, or may-i-run.
type fakeCall struct {
	what   string
	task   string
	user   string
	header http.Header
	body   string
	update update
	host   string // that was called
}

func newFake(t *testing.T, lease int) *fakeManager {
	t.Helper()
	f := &fakeManager{
		lease: lease, secrets: map[string]string{}, status: farm.WorkerAwake, begun: map[string]int{}, given: map[string]givenTask{},
		on: map[string]func(http.ResponseWriter, fakeCall) bool{}, changed: make(chan struct{}),
	}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *fakeManager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := fakeCall{header: r.Header, body: string(body), host: r.Host}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/v3/worker/"), "/")
	c.what = parts[len(parts)-1]
	if parts[0] == "task" && len(parts) > 1 {
		c.task = parts[1]
		if len(parts) == 2 {
			c.what = "update"
			_ = json.Unmarshal(body, &c.update)
		}
	}
	user, secret, _ := r.BasicAuth()
	c.user = user
	f.mu.Lock()
	f.calls = append(f.calls, c)
	on := f.on[c.what]
	known := c.what == "register-worker" || secret != "" && f.secrets[user] == secret
	f.wake()
	f.mu.Unlock()
	switch {
	case on != nil && on(w, c):
	case !known:
		answerJSON(w, 403, map[string]any{"message": "security requirements failed"})
	default:
		f.answer(w, r, c)
	}
}

func (f *fakeManager) answer(w http.ResponseWriter, r *http.Request, c fakeCall) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch c.what {
	case "register-worker":
		var body struct{ Secret string }
		_ = json.Unmarshal([]byte(c.body), &body)
		id := fmt.Sprintf("worker-%d", len(f.secrets)+1)
		f.secrets[id] = body.Secret
		answerJSON(w, 200, map[string]any{"uuid": id})
	case "sign-on":
		if f.lease > 0 {
			var body struct{ Session string }
			_ = json.Unmarshal([]byte(c.body), &body)
			if f.begun[body.Session] == 0 {
				f.session++
				f.begun[body.Session] = f.session
			}
			w.Header().Set(headerSession, "session-"+strconv.Itoa(f.begun[body.Session]))
			w.Header().Set(headerLease, strconv.Itoa(f.lease))
		}
		answerJSON(w, 200, map[string]any{"status_requested": f.status})
	case "state":
		if f.request == "" {
			w.WriteHeader(204)
			return
		}
		answerJSON(w, 200, map[string]any{"status_requested": f.request})
	case "state-changed":
		f.request = ""
		w.WriteHeader(204)
	case "task":
		f.hold(r.Context(), c.user)
		f.answerTask(w, c.user)
	case "may-i-run":
		answerJSON(w, 200, map[string]any{"mayKeepRunning": true, "reason": ""})
	default:
		w.WriteHeader(204)
	}
}

// hold waits with the lock until there is something to say.
func (f *fakeManager) hold(ctx context.Context, user string) {
	limit := time.NewTimer(2 * time.Second)
	defer limit.Stop()
	for len(f.tasks) == 0 && !f.unheard(user) && f.request == "" && ctx.Err() == nil {
		changed := f.changed
		f.mu.Unlock()
		over := false
		select {
		case <-changed:
		case <-ctx.Done():
		case <-limit.C:
			over = true
		}
		f.mu.Lock()
		if over {
			return
		}
	}
}

// unheard is whether nothing was heard yet of the task that a Worker got last: the answer may have been lost.
func (f *fakeManager) unheard(user string) bool {
	last, ok := f.given[user]
	return ok && !slices.ContainsFunc(f.calls[last.after:], func(c fakeCall) bool { return c.what == "update" && c.task == last.id })
}

func (f *fakeManager) answerTask(w http.ResponseWriter, user string) {
	if f.unheard(user) {
		f.tasks = append([]fakeTask{f.given[user].fakeTask}, f.tasks...)
	}
	switch {
	case f.request != "":
		answerJSON(w, 423, map[string]any{"status_requested": f.request})
	case len(f.tasks) > 0:
		task := f.tasks[0]
		f.tasks = f.tasks[1:]
		f.given[user] = givenTask{task, len(f.calls)}
		if f.lease > 0 {
			w.Header().Set(headerAssignment, "assignment-of-"+task.id)
			w.Header().Set(headerOnDisconnect, task.onDisconnect)
		}
		answerJSON(w, 200, map[string]any{
			"uuid": task.id, "job": "job", "name": task.id, "task_type": "misc", "commands": task.commands,
		})
	default:
		w.WriteHeader(204)
	}
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// fails answers a call with this status, and no more than that.
func fails(status int) func(http.ResponseWriter, fakeCall) bool {
	return func(w http.ResponseWriter, _ fakeCall) bool {
		answerJSON(w, status, map[string]any{"code": status, "message": "scripted"})
		return true
	}
}

// times lets only the first n calls through to answer.
func times(n int, answer func(http.ResponseWriter, fakeCall) bool) func(http.ResponseWriter, fakeCall) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, c fakeCall) bool {
		mu.Lock()
		n--
		left := n >= 0
		mu.Unlock()
		return left && answer(w, c)
	}
}

func (f *fakeManager) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// script changes what the Manager does.
func (f *fakeManager) script(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.wake()
}

func (f *fakeManager) give(tasks ...fakeTask) {
	f.script(func() { f.tasks = append(f.tasks, tasks...) })
}

func (f *fakeManager) ask(status farm.WorkerStatus) { f.script(func() { f.request = status }) }

// all are the calls of this kind so far; "" = of any.
func (f *fakeManager) all(what string) []fakeCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []fakeCall
	for _, c := range f.calls {
		if what == "" || c.what == what {
			found = append(found, c)
		}
	}
	return found
}

// await waits for the nth call of this kind that satisfies which (nil = any).
func (f *fakeManager) await(t *testing.T, what string, n int, which func(fakeCall) bool) fakeCall {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		count := 0
		for _, c := range f.all(what) {
			if which == nil || which(c) {
				if count++; count == n {
					return c
				}
			}
		}
		select {
		case <-changed:
		case <-limit.C:
			var seen []string
			for _, c := range f.all("") {
				seen = append(seen, c.what+" "+c.body)
			}
			t.Fatalf("waited in vain for call %d of %s; there were:\n%s", n, what, strings.Join(seen, "\n"))
		}
	}
}

func completed(c fakeCall) bool { return c.update.Status == farm.TaskCompleted }

// options are those of a Worker of this Manager with a home of its own.
func (f *fakeManager) options(t *testing.T) Options {
	t.Helper()
	return Options{
		Managers: []string{f.server.URL}, Home: t.TempDir(), Name: "tester", RestartExitCode: 47,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// start runs a Worker until the test ends or stop is called, which answers what Run answered.
func start(t *testing.T, opts Options) (stop func() error) {
	t.Helper()
	w, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	w.timing = timing{
		retry: 10 * time.Millisecond, retryMax: 50 * time.Millisecond,
		empty: 10 * time.Millisecond, emptyMax: 50 * time.Millisecond,
		idle: 10 * time.Millisecond, idleMax: 50 * time.Millisecond,
		poll: 20 * time.Millisecond, mayRun: 50 * time.Millisecond,
		update: 10 * time.Millisecond, updateMax: 50 * time.Millisecond,
		leftovers: time.Second, flush: 200 * time.Millisecond, signOff: time.Second,
		grace: 300 * time.Millisecond, check: 20 * time.Millisecond, checkMax: 50 * time.Millisecond,
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case result = <-done:
			case <-time.After(30 * time.Second):
				t.Error("the Worker does not stop")
			}
		})
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// ended waits until a Worker that start began ends by itself: the Manager has seen its sign-off.
func (f *fakeManager) ended(t *testing.T, stop func() error) error {
	t.Helper()
	f.await(t, "sign-off", 1, nil)
	return stop()
}

func cmd(name string, parameters map[string]any) map[string]any {
	return map[string]any{"name": name, "parameters": parameters, "total_step_count": 0}
}

func echo(text string) map[string]any { return cmd("echo", map[string]any{"message": text}) }

func shell(script string) map[string]any {
	return cmd("exec", map[string]any{"exe": "sh", "args": []string{"-c", script}})
}
