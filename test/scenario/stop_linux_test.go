// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/store"
	"flamenco.farm/internal/testkit/loopback"
	"flamenco.farm/internal/testkit/program"
)

const countedTasks = `
const JOB_TYPE = { label: "Many", settings: [{ key: "count", type: "int32", required: true }] };
function compileJob(job) {
  for (let i = 1; i <= job.settings.count; i++) {
    const task = author.Task("task-" + i, "misc");
    task.addCommand(author.Command("echo", { message: "hello" }));
    job.addTask(task);
  }
}
`

func jobOf(tasks int) string {
	return fmt.Sprintf(`{"name":"many","type":"test","priority":50,"submitter_platform":"linux","settings":{"count":%d}}`, tasks)
}

// stoppable is the real Manager under the load of simulated Workers.
type stoppable struct {
	t        *testing.T
	manager  *program.Program
	database string
	url      string

	stopped   atomic.Int64 // when SIGTERM was sent, in nanoseconds; 0 = not yet
	delay     time.Duration
	completed atomic.Int64
	enough    chan struct{} // closed when the Workers may go home
}

func newStoppable(t *testing.T, delay time.Duration) *stoppable {
	t.Helper()
	bin, dir, address := program.Build(t), t.TempDir(), loopback.FreeAddress(t)
	writeFile(t, filepath.Join(bin, "scripts", "test.js"), countedTasks)
	writeFile(t, filepath.Join(dir, "flamenco-manager.yaml"), fmt.Sprintf(
		"_meta: {version: 3}\nlisten: %q\ndatabase: farm.sqlite\nlocal_manager_storage_path: %q\nshared_storage_path: %q\n"+
			"timeout_grace: 0s\nautodiscoverable: false\nshutdown_delay: %s\ndurability: normal\njob_compiler: {time_limit: 2m}\n",
		address, filepath.Join(dir, "local"), filepath.Join(dir, "shared"), delay))
	s := &stoppable{
		t: t, url: "http://" + address, delay: delay, database: filepath.Join(dir, "farm.sqlite"), enough: make(chan struct{}),
		manager: program.New(t, dir, filepath.Join(bin, "flamenco-manager")),
	}
	s.manager.Start()
	s.waitFor("the Manager is ready", func() bool { status, _, _ := s.call(http.DefaultClient, "GET", "/readyz", ""); return status == 200 })
	return s
}

// waitFor waits for what another process brings about.
func (s *stoppable) waitFor(what string, is func() bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(end) {
			s.t.Fatalf("%s: not in time", what)
		}
	}
}

func (s *stoppable) call(client *http.Client, method, path, body string, headers ...string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(read), err
}

func (s *stoppable) sigterm() {
	s.t.Helper()
	s.stopped.Store(time.Now().UnixNano())
	if err := s.manager.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
}

// mayFail reports whether the port may be closed by now: it is not before the delay is over.
func (s *stoppable) mayFail() bool {
	at := s.stopped.Load()
	return at != 0 && time.Since(time.Unix(0, at)) >= s.delay
}

// simulated is a Worker that sends again what was not answered, as every Worker does.
type simulated struct {
	*stoppable
	client *http.Client
	auth   []string
}

func (s *stoppable) simulate(n int, taskType string) *simulated {
	s.t.Helper()
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	w := &simulated{stoppable: s, client: &http.Client{Transport: transport}}
	_, text, err := s.call(w.client, "POST", "/api/v3/worker/register-worker",
		fmt.Sprintf(`{"name":"w%d","secret":"s","platform":"linux","supported_task_types":[%q]}`, n, taskType))
	var registered struct{ UUID string }
	if err != nil || json.Unmarshal([]byte(text), &registered) != nil {
		s.t.Fatalf("%s %v", text, err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth(registered.UUID, "s")
	w.auth = []string{"Authorization", req.Header.Get("Authorization")}
	w.must(200, "/api/v3/worker/sign-on", fmt.Sprintf(`{"name":"w%d","supported_task_types":[%q],"software_version":"1"}`, n, taskType))
	w.must(204, "/api/v3/worker/state-changed", `{"status":"awake"}`)
	return w
}

// must sends until there is an answer, which has to be this one.
func (w *simulated) must(want int, path, body string) {
	if status, text := w.post(path, body); status != want {
		w.t.Errorf("%s %s: %d %s, want %d", path, body, status, text, want)
	}
}

// post sends until there is an answer. That there is none is allowed only once the port may be closed.
func (w *simulated) post(path, body string) (int, string) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		status, text, err := w.call(w.client, "POST", path, body, w.auth...)
		if err == nil {
			return status, text
		}
		if !w.mayFail() {
			w.t.Errorf("%s: %v, although the Manager has to answer still", path, err)
		}
		<-time.After(50 * time.Millisecond)
	}
	return 0, "no answer at all"
}

// work runs tasks until there were enough. Whatever is asked is answered as the API says, before, in and after the stop.
func (w *simulated) work() {
	for {
		select {
		case <-w.enough:
			return
		default:
		}
		status, text := w.post("/api/v3/worker/task", "")
		switch status {
		case 200:
		case 204: // while it stops; every Worker asks again after some time
			<-time.After(50 * time.Millisecond)
			continue
		default:
			w.t.Errorf("a request for a task got %d %s", status, text)
			return
		}
		var task struct{ UUID string }
		if err := json.Unmarshal([]byte(text), &task); err != nil {
			w.t.Errorf("%s: %v", text, err)
			return
		}
		path := "/api/v3/worker/task/" + task.UUID
		w.must(204, path, `{"taskStatus":"active","activity":"started"}`)
		w.must(204, path, `{"log":"a line\n","steps_completed":1}`)
		w.must(204, path, `{"taskStatus":"completed","activity":"done"}`)
		w.completed.Add(1)
	}
}

// slowBody is a body that is sent only as far as it was released.
type slowBody struct {
	parts chan string
	left  string
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == "" {
		part, more := <-b.parts
		if !more {
			return 0, io.EOF
		}
		b.left = part
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func TestAManagerThatIsStoppedUnderLoadFailsNobodyAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := newStoppable(t, 3*time.Second)
	if status, text, err := s.call(http.DefaultClient, "POST", "/api/v3/jobs", jobOf(20_000)); err != nil || status != 200 {
		t.Fatalf("%d %s %v", status, text, err)
	}
	var workers sync.WaitGroup
	for n := range 8 {
		w := s.simulate(n, "misc")
		workers.Go(w.work)
	}
	idle := s.simulate(8, "render")
	held := make(chan int, 1)
	go func() {
		status, _, _ := s.call(idle.client, "POST", "/api/v3/worker/task", "", idle.auth...)
		held <- status
	}()
	s.waitFor("work is done, one waits", func() bool {
		_, text, _ := s.call(http.DefaultClient, "GET", "/metrics", "")
		return s.completed.Load() > 200 && strings.Contains(text, "\nflamenco_task_requests_held 1\n")
	})

	// A submission that has begun before the stop ends after the port was closed.
	slow := &slowBody{parts: make(chan string, 2)}
	arrived, submitted := make(chan struct{}), make(chan int, 1)
	go func() {
		// The Manager asks for the body, with 100 Continue, when its handler begins to read it.
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(arrived) }})
		req, err := http.NewRequestWithContext(ctx, "POST", s.url+"/api/v3/jobs", slow)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Expect", "100-continue")
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: patience}}).Do(req)
		if err != nil {
			t.Errorf("the slow submission: %v", err)
			submitted <- 0
			return
		}
		_ = resp.Body.Close()
		submitted <- resp.StatusCode
	}()
	slow.parts <- jobOf(10)[:20]
	select {
	case <-arrived:
	case status := <-submitted:
		t.Fatalf("the slow submission was answered %d before its body came", status)
	case <-time.After(patience):
		t.Fatal("the slow submission does not arrive")
	}

	s.sigterm()
	if status := <-held; status != 204 {
		t.Errorf("the request that was held got %d, want 204", status)
	}
	s.waitFor("it says that it is not ready", func() bool {
		status, text, err := s.call(http.DefaultClient, "GET", "/readyz", "")
		if err != nil && !s.mayFail() {
			t.Fatal(err)
		}
		return err != nil || (status == 503 && strings.Contains(text, "stopping: the Manager stops"))
	})
	s.waitFor("the port is closed", func() bool {
		_, _, err := s.call(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "GET", "/livez", "")
		if err != nil && !s.mayFail() {
			t.Error("the port was closed before its time")
		}
		return err != nil
	})
	slow.parts <- jobOf(10)[20:]
	close(slow.parts)
	if status := <-submitted; status != 200 {
		t.Errorf("the slow submission got %d, want 200", status)
	}
	if err := s.manager.Cmd.Wait(); err != nil {
		t.Errorf("the Manager ended with %v", err)
	}
	before := s.completed.Load()
	s.manager.Start()
	s.waitFor("work goes on", func() bool { return s.completed.Load() > before+200 || t.Failed() })
	close(s.enough)
	workers.Wait()
	s.manager.End()
	s.checkTasks()
}

// checkTasks looks at what the Manager wrote down: each task that was completed ran once, and nothing else happened.
func (s *stoppable) checkTasks() {
	s.t.Helper()
	st, err := store.Open(s.t.Context(), store.Options{Database: s.database, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	jobs, _, err := st.Jobs(s.t.Context(), store.JobList{})
	if err != nil || len(jobs) != 2 {
		s.t.Fatalf("%d jobs, want 2; %v", len(jobs), err)
	}
	completed := int64(0)
	for _, job := range jobs {
		tasks, _, err := st.Tasks(s.t.Context(), store.TaskList{JobID: job.ID})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, task := range tasks {
			switch { // the generation is how often it was handed out
			case task.Status == "queued" && task.Generation == 0:
			case task.Status == "completed" && task.Generation == 1:
				completed++
			default:
				s.t.Errorf("task %s is %s after it was handed out %d times", task.Name, task.Status, task.Generation)
			}
		}
	}
	if want := s.completed.Load(); completed != want {
		s.t.Errorf("%d tasks are completed, %d were reported", completed, want)
	}
}

func TestASecondSignalEndsAManagerThatStopsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStoppable(t, 10*time.Minute)
	s.sigterm()
	s.waitFor("it stops", func() bool { status, _, _ := s.call(http.DefaultClient, "GET", "/readyz", ""); return status == 503 })
	s.sigterm()
	_ = s.manager.Cmd.Wait() // says that it was killed
	if status, ok := s.manager.Cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %s", s.manager.Cmd.ProcessState)
	}
	if _, err := os.Stat(s.database); err != nil {
		t.Error(err)
	}
}
