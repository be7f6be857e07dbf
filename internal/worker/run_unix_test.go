// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package worker

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

// fifo makes a named pipe. A script that holds it open tells the test when the last of its processes is gone.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// held opens a fifo for reading, waits for the script's first line, and answers a wait for the end of its processes.
func held(t *testing.T, path string) (gone func()) {
	t.Helper()
	var reader *bufio.Reader
	within(t, "the script did not start", func() {
		file, err := os.Open(path) // waits for a writer
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = file.Close() })
		reader = bufio.NewReader(file)
		_, _ = reader.ReadString('\n')
	})
	return func() {
		t.Helper()
		within(t, "the processes of the task are still there", func() {
			_, _ = reader.ReadString('\n') // end of file
		})
	}
}

// within fails the test with this complaint when do takes too long.
func within(t *testing.T, complaint string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal(complaint)
	}
}

// holding is a script that holds the fifo open with a child that ignores TERM.
func holding(fifo string) map[string]any {
	return shell(fmt.Sprintf(`exec 3>%s; echo up >&3; (trap '' TERM; sleep 600) & sleep 600`, fifo))
}

func TestATaskIsReportedInTheMannerOfTheContract(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello"), echo("world")}})
	start(t, f.options(t))
	f.await(t, "update", 1, completed)
	var log strings.Builder
	var sequences, commands []string
	updates := f.all("update")
	for _, u := range updates {
		log.WriteString(u.update.Log)
		sequences = append(sequences, u.header.Get(headerSequence))
		if c := u.update.Command; c != nil {
			commands = append(commands, fmt.Sprint(c.Index, c.Name, c.Ended))
		}
		if u.task != "t" || u.header.Get(headerAssignment) != "assignment-of-t" || u.header.Get(headerSession) != "session-1" {
			t.Errorf("update of %s with headers %v", u.task, u.header)
		}
	}
	first, last := updates[0].update, updates[len(updates)-1].update
	if first.Status != farm.TaskActive || first.Activity != "Started" {
		t.Errorf("begins with %+v", first)
	}
	if last.Activity != "Completed" || last.Steps == nil || *last.Steps != 2 {
		t.Errorf("ends with %+v", last)
	}
	if l := log.String(); !strings.Contains(l, "hello") || !strings.Contains(l, "world") {
		t.Errorf("log: %s", l)
	}
	if got := fmt.Sprint(sequences); got != "[1 2 3]" {
		t.Errorf("sequences %s", got)
	}
	if got := fmt.Sprint(commands); got != "[0echofalse 0echotrue 1echotrue]" {
		t.Errorf("commands %s", got)
	}
	f.await(t, "task", 2, nil)
}

func TestAFailureIsReportedWithItsReason(t *testing.T) {
	t.Parallel()
	for script, c := range map[string]struct {
		commands []map[string]any
		want     string
	}{
		"exit code":      {[]map[string]any{shell("echo before; exit 3"), echo("never")}, "command exited abnormally with code 3"},
		"no such thing":  {[]map[string]any{cmd("exec", map[string]any{"exe": "/no/such/thing", "args": []string{}})}, "/no/such/thing"},
		"unknown":        {[]map[string]any{echo("never"), cmd("teleport", nil)}, "teleport"},
		"bad parameters": {[]map[string]any{cmd("echo", map[string]any{})}, "message"},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 60)
			f.give(fakeTask{id: "t", commands: c.commands})
			start(t, f.options(t))
			u := f.await(t, "update", 1, func(c fakeCall) bool { return c.update.Status == farm.TaskFailed }).update
			if !strings.HasPrefix(u.Activity, "Failed: ") || !strings.Contains(u.Activity, c.want) || !strings.Contains(u.Log, c.want) {
				t.Errorf("reported as %q with log %q", u.Activity, u.Log)
			}
			for _, u := range f.all("update") {
				if strings.Contains(u.update.Log, "never") {
					t.Error("a command ran that should not have")
				}
			}
		})
	}
}

func TestAnUpstreamManagerGetsNoneOfOurHeaders(t *testing.T) {
	t.Parallel()
	f := newFake(t, 0)
	f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello"), cmd("sleep", map[string]any{"duration_in_seconds": 0})}})
	gate := fifo(t)
	f.give(fakeTask{id: "u", commands: []map[string]any{holding(gate)}})
	start(t, f.options(t))
	f.await(t, "update", 1, completed)
	held(t, gate)
	f.await(t, "may-i-run", 2, nil)
	for _, c := range f.all("") {
		for name := range c.header {
			if strings.HasPrefix(name, "X-Flamenco") {
				t.Errorf("%s carries %s", c.what, name)
			}
		}
		if c.update.Command != nil {
			t.Errorf("an update carries a command: %s", c.body)
		}
	}
}

func TestUpdatesArriveOnceAndInOrderWhateverTheManagerAnswers(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	cut := func(http.ResponseWriter, fakeCall) bool { panic(http.ErrAbortHandler) }
	var mu sync.Mutex
	n := 0
	var accepted []string
	f.on["update"] = func(w http.ResponseWriter, c fakeCall) bool {
		mu.Lock()
		defer mu.Unlock()
		n++
		switch n % 4 {
		case 1:
			return cut(w, c)
		case 2:
			return fails(503)(w, c)
		case 3:
			return fails(429)(w, c)
		}
		accepted = append(accepted, c.task+c.header.Get(headerSequence))
		return false
	}
	f.give(
		fakeTask{id: "a", commands: []map[string]any{echo("1"), echo("2"), echo("3")}},
		fakeTask{id: "b", commands: []map[string]any{echo("1"), echo("2")}},
	)
	start(t, f.options(t))
	f.await(t, "task", 3, nil)
	mu.Lock()
	defer mu.Unlock()
	if got := fmt.Sprint(accepted); got != "[a1 a2 a3 a4 b1 b2 b3]" {
		t.Errorf("accepted %s", got)
	}
}

func TestTheNextTaskIsAskedForOnlyWhenTheLastOneIsReported(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	f.on["update"] = times(5, fails(500))
	f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello")}})
	start(t, f.options(t))
	f.await(t, "task", 2, nil)
	var order []string
	for _, c := range f.all("") {
		if c.what == "task" || c.what == "update" {
			order = append(order, c.what)
		}
	}
	if got, want := strings.Join(order, " "), "task update update update update update update update task"; got != want {
		t.Errorf("calls:\n%s, want\n%s", got, want)
	}
}

func TestARefusedUpdateEndsTheTaskAndAllThatItHadToSay(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	gate := fifo(t)
	started := make(chan struct{}) // refused earlier, the script would not start
	f.on["update"] = func(w http.ResponseWriter, c fakeCall) bool {
		if c.update.Status != "" {
			return false
		}
		<-started
		return fails(409)(w, c)
	}
	f.give(fakeTask{id: "t", commands: []map[string]any{echo("first"), holding(gate)}})
	start(t, f.options(t))
	gone := held(t, gate)
	close(started)
	gone()
	f.await(t, "task", 2, nil)
	for _, c := range f.all("update") {
		if c.update.Status.Final() {
			t.Errorf("reported an end: %s", c.body)
		}
	}
}

func TestANoToMayIRunEndsTheWholeTree(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	gate := fifo(t)
	f.give(fakeTask{id: "t", commands: []map[string]any{holding(gate)}})
	start(t, f.options(t))
	gone := held(t, gate)
	c := f.await(t, "may-i-run", 1, nil)
	if got := c.header.Get(headerAssignment); got != "assignment-of-t" {
		t.Errorf("asked for %q", got)
	}
	f.script(func() {
		f.on["may-i-run"] = func(w http.ResponseWriter, _ fakeCall) bool {
			answerJSON(w, 200, map[string]any{"mayKeepRunning": false, "reason": "scripted"})
			return true
		}
	})
	gone()
	f.await(t, "task", 2, nil)
	for _, c := range f.all("update") {
		if c.update.Status.Final() {
			t.Errorf("reported an end: %s", c.body)
		}
	}
}

// silent makes the Manager fail every call from now on, and answers how to bring it back.
func (f *fakeManager) silent() (back func()) {
	kinds := []string{"update", "may-i-run", "task", "state-changed", "sign-off"}
	f.script(func() {
		for _, kind := range kinds {
			f.on[kind] = fails(503)
		}
	})
	return func() {
		f.script(func() {
			for _, kind := range kinds {
				delete(f.on, kind)
			}
		})
	}
}

func TestWhenTheManagerIsLostAStopTaskEndsBeforeItsLeaseDoes(t *testing.T) {
	t.Parallel()
	f := newFake(t, 3)
	gate := fifo(t)
	f.give(fakeTask{id: "t", onDisconnect: "stop", commands: []map[string]any{holding(gate)}})
	start(t, f.options(t))
	gone := held(t, gate)
	f.await(t, "may-i-run", 3, nil)
	back := f.silent()
	lost := time.Now()
	gone()
	if took := time.Since(lost); took > 3*time.Second {
		t.Errorf("the task lived %v into a lease of 3s", took)
	}
	back()
	f.await(t, "task", 2, nil)
}

func TestAStopTaskThatWasLongWaitedForGetsItsWholeLease(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1)
	start(t, f.options(t))
	f.await(t, "task", 1, nil)
	<-time.After(1200 * time.Millisecond) // the request is held beyond the lease
	f.give(fakeTask{id: "t", onDisconnect: "stop", commands: []map[string]any{shell("sleep 0.3"), echo("still here")}})
	f.await(t, "update", 1, completed)
	if n := len(f.all("task")); n > 2 {
		t.Errorf("asked %d times: the task was stopped", n)
	}
}

func TestWhenTheManagerIsLostAKeepTaskGoesOnAndIsReportedLater(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1)
	gate, release := fifo(t), fifo(t)
	script := fmt.Sprintf(`exec 3>%s; echo up >&3; read x <%s; echo "got $x"`, gate, release)
	f.give(fakeTask{id: "t", onDisconnect: "keep", commands: []map[string]any{shell(script)}})
	start(t, f.options(t))
	gone := held(t, gate)
	back := f.silent()
	asked := len(f.all("may-i-run"))
	// Questions go unanswered for longer than the lease.
	for since := time.Now(); time.Since(since) < 1500*time.Millisecond; asked++ {
		f.await(t, "may-i-run", asked+1, nil)
	}
	if err := os.WriteFile(release, []byte("it\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone()
	back()
	u := f.await(t, "update", 1, completed)
	if got := u.header.Get(headerSession) + " " + u.header.Get(headerAssignment); got != "session-1 assignment-of-t" {
		t.Errorf("reported in %s", got)
	}
	if !slices.ContainsFunc(f.all("update"), func(c fakeCall) bool { return strings.Contains(c.update.Log, "got it") }) {
		t.Error("the log of the time without a Manager is missing")
	}
}

func TestStoppingTheWorkerEndsItsTaskAndGivesItBack(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	gate := fifo(t)
	f.give(fakeTask{id: "t", commands: []map[string]any{holding(gate)}})
	stop := start(t, f.options(t))
	gone := held(t, gate)
	if err := stop(); err == nil {
		t.Error("Run knows nothing of being stopped")
	}
	gone()
	f.await(t, "sign-off", 1, nil)
	if slices.ContainsFunc(f.all("update"), func(c fakeCall) bool { return c.update.Status.Final() }) {
		t.Error("an end of the task was reported")
	}
}

func TestWhatCouldNotBeSaidIsSaidAfterARestartBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	opts := f.options(t)
	f.on["update"] = fails(503)
	f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello")}})
	stop := start(t, opts)
	f.await(t, "update", 2, nil)
	_ = stop()
	before := len(f.all(""))
	f.script(func() { delete(f.on, "update") })
	start(t, opts)
	f.await(t, "task", 2, nil)
	after := f.all("")[before:]
	var order []string
	for _, c := range after {
		order = append(order, c.what)
		if c.what == "update" && (c.header.Get(headerSession) != "session-1" || c.header.Get(headerAssignment) != "assignment-of-t") {
			t.Errorf("sent with headers %v", c.header)
		}
	}
	if got, want := strings.Join(order, " "), "update update sign-on state-changed task"; got != want {
		t.Errorf("calls: %s, want %s", got, want)
	}
}

func TestFlushingDeliversWhatIsLeftAndEnds(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	opts := f.options(t)
	f.on["update"] = fails(503)
	f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello")}})
	stop := start(t, opts)
	f.await(t, "update", 2, nil)
	_ = stop()
	asked := len(f.all("task"))
	f.script(func() { f.on["update"] = times(3, fails(503)) })
	opts.FlushOnly = true
	start(t, opts)
	f.await(t, "sign-off", 2, nil)
	f.await(t, "update", 1, completed)
	if len(f.all("task")) != asked {
		t.Error("asked for a task")
	}
}

func TestLongOutputIsCutIntoChunksAndNothingIsLost(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	f.give(fakeTask{id: "t", commands: []map[string]any{shell(`i=0; while [ $i -lt 3000 ]; do echo "line $i of many"; i=$((i+1)); done`)}})
	start(t, f.options(t))
	f.await(t, "update", 1, completed)
	var all strings.Builder
	for _, c := range f.all("update") {
		all.WriteString(c.update.Log)
		if len(c.update.Log) > backlogChunk+100 {
			t.Errorf("a chunk of %d bytes", len(c.update.Log))
		}
	}
	text, at := all.String(), 0
	for i := range 3000 {
		next := strings.Index(text[at:], fmt.Sprintf("line %d of many\n", i))
		if next < 0 {
			t.Fatalf("line %d is missing or out of order", i)
		}
		at += next
	}
}

func TestAHundredShortTasksTakeThreeCallsEach(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	for i := range 100 {
		f.give(fakeTask{id: fmt.Sprint("t", i), commands: []map[string]any{echo("hello")}})
	}
	began := time.Now()
	start(t, f.options(t))
	f.await(t, "update", 100, completed)
	t.Logf("took %v", time.Since(began))
	if n := len(f.all("update")) + len(f.all("task")) + len(f.all("may-i-run")); n > 305 {
		t.Errorf("%d calls", n)
	}
}
