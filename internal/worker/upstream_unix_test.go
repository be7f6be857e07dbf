// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/testkit/upstream"
)

// employ starts a Worker under a Manager of Flamenco 3, and makes sure in the end that it did nothing wrong.
func employ(t *testing.T, m *upstream.Manager, change ...func(*Options)) (home string, stop func() error) {
	t.Helper()
	opts := newFake(t, 0).options(t)
	opts.Managers = []string{m.URL}
	for _, c := range change {
		c(&opts)
	}
	stop = start(t, opts)
	t.Cleanup(func() {
		_ = stop()
		for _, wrong := range m.Wrongs() {
			t.Error(wrong)
		}
	})
	return opts.Home, stop
}

func saying(text string) any {
	return upstream.Command("echo", map[string]any{"message": text})
}

func running(script string) any {
	return upstream.Command("exec", map[string]any{"exe": "sh", "args": []string{"-c", script}})
}

// order is the operations of all calls so far, without repetitions in a row.
func order(m *upstream.Manager) []string {
	var all []string
	for _, c := range m.Calls("") {
		all = append(all, c.Operation)
	}
	return slices.Compact(all)
}

func TestUpstreamAWorkerDoesAsThatManagerExpects(t *testing.T) {
	t.Parallel()
	m := upstream.New(t)
	task := m.Add(saying("hello"), running("echo world"))
	_, stop := employ(t, m)
	m.UntilStatus(t, task, "completed")
	m.UntilCalls(t, upstream.Schedule, 2)
	_ = stop()
	got := order(m)
	want := []string{upstream.Register, upstream.SignOn, upstream.StateChanged, upstream.Schedule, upstream.Update}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) || got[len(got)-1] != upstream.SignOff {
		t.Errorf("calls: %v", got)
	}
	w := m.Workers()[0]
	if w.Platform != runtime.GOOS || w.Name != "tester" || w.Software == "" || !w.CanRestart {
		t.Errorf("it is %+v", w)
	}
	if acknowledged := m.Calls(upstream.StateChanged)[0].Body; acknowledged != `{"status":"awake"}` {
		t.Errorf("acknowledged with %s", acknowledged)
	}
	for _, c := range m.Calls("") {
		if !strings.HasPrefix(c.Header.Get("User-Agent"), "Flamenco/") {
			t.Errorf("%s comes from %q", c.Operation, c.Header.Get("User-Agent"))
		}
	}
	done := m.Task(task)
	if fmt.Sprint(done.Statuses) != "[active completed]" || done.Activity != "Completed" || done.Steps != 2 ||
		!strings.Contains(done.Log, `echo: "hello"`) || !strings.Contains(done.Log, "> world\n") {
		t.Errorf("the task: %+v", done)
	}
}

func TestUpstreamAFailureIsFailedAndNothingElse(t *testing.T) {
	t.Parallel()
	m := upstream.New(t)
	task := m.Add(running("exit 3"), saying("never"))
	employ(t, m)
	m.UntilStatus(t, task, "failed")
	done := m.Task(task)
	if fmt.Sprint(done.Statuses) != "[active failed]" || done.Activity != "Failed: command exited abnormally with code 3" ||
		!strings.Contains(done.Log, done.Activity) || strings.Contains(done.Log, "never") {
		t.Errorf("the task: %+v", done)
	}
}

func TestUpstreamThereIsNoPauseBetweenTasks(t *testing.T) {
	t.Parallel()
	m := upstream.New(t)
	var tasks []string
	for range 20 {
		tasks = append(tasks, m.Add(saying("hello")))
	}
	w, err := New(Options{Managers: []string{m.URL}, Home: t.TempDir(), Name: "w"})
	if err != nil {
		t.Fatal(err)
	}
	// Any pause between tasks, as between questions without an answer, would be longer than the test.
	w.timing.idle, w.timing.idleMax, w.timing.empty, w.timing.emptyMax = time.Hour, time.Hour, time.Hour, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	for _, task := range tasks {
		m.UntilStatus(t, task, "completed")
	}
	cancel()
	<-ended
	if n := len(m.Calls(upstream.Schedule)); n > len(tasks)+1 {
		t.Errorf("asked %d times for %d tasks", n, len(tasks))
	}
}

func TestUpstreamAWorkerInErrorHealsItself(t *testing.T) {
	t.Parallel()
	m := upstream.New(t)
	employ(t, m)
	m.UntilCalls(t, upstream.Schedule, 1)
	m.TimeOut()
	task := m.Add(saying("hello"))
	m.UntilStatus(t, task, "completed")
	if !slices.ContainsFunc(m.Calls(upstream.Schedule), func(c upstream.Call) bool { return c.Status == 409 }) {
		t.Error("was never told that it is not awake")
	}
	if n := len(m.Calls(upstream.SignOn)); n != 1 {
		t.Errorf("signed on %d times", n)
	}
}

func TestUpstreamTroubleOfTheManagerCostsNeitherIdentityNorResults(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 503, 0} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			m := upstream.New(t)
			for _, operation := range []string{upstream.Register, upstream.SignOn, upstream.StateChanged, upstream.Schedule, upstream.MayRun, upstream.State} {
				m.Fail(operation, status, 2)
			}
			m.Fail(upstream.Update, status, 5)
			task := m.Add(running("echo one"), saying("two"))
			employ(t, m)
			m.UntilStatus(t, task, "completed")
			m.Fail(upstream.SignOn, status, 2)
			done := m.Task(task)
			one, two := strings.Index(done.Log, "> one\n"), strings.Index(done.Log, `echo: "two"`)
			if fmt.Sprint(done.Statuses) != "[active completed]" || one < 0 || two < one {
				t.Errorf("the task: %+v", done)
			}
			if n := len(m.Workers()); n != 1 {
				t.Errorf("it registered %d times", n)
			}
		})
	}
}

func TestUpstreamWhatTheManagerGotIsNotTurnedBackByALostAnswer(t *testing.T) {
	t.Parallel()
	m := upstream.New(t)
	m.Lose(upstream.Update, 4)
	m.Lose(upstream.Schedule, 1) // the task is handed out, and its Worker does not hear of it
	task := m.Add(saying("hello"))
	employ(t, m)
	m.UntilStatus(t, task, "completed")
	next := m.Add(saying("hello"))
	m.UntilStatus(t, next, "completed")
	if done := m.Task(task); done.Statuses[len(done.Statuses)-1] != "completed" || done.Steps != 1 {
		t.Errorf("the task: %+v", done)
	}
}

func TestUpstreamTheManagersNoEndsATaskWithAllItsProcesses(t *testing.T) {
	t.Parallel()
	for how, change := range map[string]func(*upstream.Manager, string){
		"canceled": (*upstream.Manager).Cancel, "reassigned": (*upstream.Manager).Reassign,
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			m := upstream.New(t)
			pipe := fifo(t)
			task := m.Add(running(fmt.Sprintf(`exec 3>%s; echo up >&3; (trap '' TERM; sleep 600) & sleep 600`, pipe)))
			employ(t, m)
			gone := held(t, pipe)
			change(m, task)
			gone()
			next := m.Add(saying("hello"))
			m.UntilStatus(t, next, "completed")
			if done := m.Task(task); fmt.Sprint(done.Statuses) != "[active]" {
				t.Errorf("reported %v", done.Statuses)
			}
		})
	}
}

func TestUpstreamAWorkerThatStopsResumesWhereItWas(t *testing.T) {
	t.Parallel()
	m := upstream.New(t)
	home, stop := employ(t, m)
	m.UntilCalls(t, upstream.Schedule, 1)
	m.Ask("asleep")
	m.Until(t, "it sleeps", func() bool { return m.Workers()[0].Status == "asleep" })
	_ = stop()
	asked := len(m.Calls(upstream.Schedule))
	employ(t, m, func(o *Options) { o.Home = home })
	m.UntilCalls(t, upstream.State, 3)
	if n := len(m.Calls(upstream.Schedule)); n != asked || len(m.Workers()) != 1 {
		t.Errorf("asked %d times as one of %d Workers", n-asked, len(m.Workers()))
	}
}

func TestUpstreamAManagerCanEndAndRestartAWorker(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]error{"offline": nil, "restart": ErrRestart} {
		m := upstream.New(t)
		_, stop := employ(t, m)
		m.UntilCalls(t, upstream.Schedule, 1)
		m.Ask(status)
		m.UntilCalls(t, upstream.SignOff, 1)
		if err := stop(); !errors.Is(err, want) {
			t.Errorf("%s: Run: %v", status, err)
		}
	}
}

func TestUpstreamAWorkerThatIsForgottenRegistersAnew(t *testing.T) {
	t.Parallel()
	m := upstream.New(t)
	home, _ := employ(t, m)
	m.UntilCalls(t, upstream.Schedule, 1)
	before, err := os.ReadFile(filepath.Join(home, credentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	m.Forget()
	task := m.Add(saying("hello"))
	m.UntilStatus(t, task, "completed")
	if after, err := os.ReadFile(filepath.Join(home, credentialsFile)); err != nil || string(after) == string(before) {
		t.Errorf("its credentials are the old ones, %v", err)
	}
}

func TestUpstreamAStoppedTaskGoesBackToTheQueue(t *testing.T) {
	t.Parallel()
	m := upstream.New(t)
	pipe := fifo(t)
	task := m.Add(running(fmt.Sprintf(`exec 3>%s; echo up >&3; sleep 600`, pipe)))
	_, stop := employ(t, m)
	gone := held(t, pipe)
	_ = stop()
	gone()
	if got := m.Task(task); got.Status != "queued" || fmt.Sprint(got.Statuses) != "[active]" {
		t.Errorf("the task: %+v", got)
	}
}

func TestUpstreamImagesAreSentAsThatManagerTakesThem(t *testing.T) {
	t.Parallel()
	m := upstream.New(t)
	var commands []any
	for _, c := range rendering(t, "") {
		commands = append(commands, c)
	}
	task := m.Add(commands...)
	employ(t, m)
	m.UntilStatus(t, task, "completed")
	m.UntilCalls(t, upstream.Output, 1)
	if c := m.Calls(upstream.Output)[0]; c.Status != 202 || c.Task != task {
		t.Errorf("answered %d for the task %s", c.Status, c.Task)
	}
}
