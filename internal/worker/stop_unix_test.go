// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package worker

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/internal/farm"
)

// gated is a script that says through up that it runs, ends when told through release, and leaves a word in its log.
func gated(up, release string) map[string]any {
	return shell(fmt.Sprintf(`exec 3>%s; echo up >&3; read x <%s; echo "got $x"`, up, release))
}

func TestAWorkerThatIsStoppedMayEndItsTask(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	up, release := fifo(t), fifo(t)
	f.give(fakeTask{id: "t", commands: []map[string]any{gated(up, release)}}, fakeTask{id: "u", commands: []map[string]any{echo("no")}})
	opts := f.options(t)
	opts.StopGrace = time.Hour
	stop := start(t, opts)
	held(t, up)
	asked := len(f.all("may-i-run"))
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	f.await(t, "may-i-run", asked+2, nil) // it goes on, and stays in touch
	if err := os.WriteFile(release, []byte("it\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	<-stopped
	f.await(t, "update", 1, completed)
	f.await(t, "sign-off", 1, nil)
	if n := len(f.all("task")); n != 1 {
		t.Errorf("asked for %d tasks", n)
	}
}

func TestAWorkerThatIsStoppedTwiceGivesItsTaskBackAtOnce(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"hurry", "grace"} {
		f := newFake(t, 60)
		up := fifo(t)
		f.give(fakeTask{id: "t", commands: []map[string]any{holding(up)}})
		opts := f.options(t)
		hurry := make(chan struct{})
		opts.StopGrace, opts.Hurry = time.Hour, hurry
		if how == "grace" {
			opts.StopGrace = 50 * time.Millisecond
		} else {
			close(hurry)
		}
		stop := start(t, opts)
		gone := held(t, up)
		_ = stop()
		gone()
		f.await(t, "sign-off", 1, nil)
		if slices.ContainsFunc(f.all("update"), func(c fakeCall) bool { return c.update.Status.Final() }) {
			t.Errorf("%s: an end of the task was reported", how)
		}
	}
}

func TestASignalCountsOnceHoweverOftenItComesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signals, over := make(chan os.Signal, 3), make(chan struct{})
		var steps []string
		var all sync.WaitGroup
		all.Go(func() {
			heed(over, signals, func() { steps = append(steps, "stop") }, func() { steps = append(steps, "hurry") }, func() { steps = append(steps, "never") })
		})
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM
		synctest.Wait()
		if got := fmt.Sprint(steps); got != "[stop]" {
			t.Errorf("after two at once: %s", got)
		}
		time.Sleep(twice) // of the bubble's clock
		synctest.Wait()
		signals <- os.Interrupt
		synctest.Wait()
		if got := fmt.Sprint(steps); got != "[stop hurry]" {
			t.Errorf("after a later one: %s", got)
		}
		close(over)
		all.Wait()
	})
}

// program starts the test program as flamenco-worker.
func (f *fakeManager) program(t *testing.T, config string, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte("manager_url: "+f.server.URL+"\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), asWorkerVariable+"=1", "FLAMENCO_HOME="+filepath.Join(dir, "home"))
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestSignalsStopTheProgramStepByStep(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	up := fifo(t)
	f.give(fakeTask{id: "t", commands: []map[string]any{holding(up)}})
	cmd := f.program(t, "stop_grace: 1h\n")
	gone := held(t, up)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.await(t, "may-i-run", 1, nil) // after at most 10 s
	<-time.After(twice + 100*time.Millisecond)
	if len(f.all("sign-off")) > 0 {
		t.Fatal("did not let the task go on")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	gone()
	f.await(t, "sign-off", 1, nil)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailure {
		t.Errorf("ended with %v", err)
	}
}

func TestTheProgramEndsWithTheCodeOfARestart(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	cmd := f.program(t, "restart_exit_code: 46\n", "-restart-exit-code", "47")
	c := f.await(t, "sign-on", 1, nil)
	if !strings.Contains(c.body, `"can_restart":true`) {
		t.Errorf("signed on with %s", c.body)
	}
	f.await(t, "task", 1, nil)
	f.ask(farm.WorkerRestart)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 47 {
		t.Errorf("ended with %v", err)
	}
}

func TestTwoWorkersOfOneMachineWorkSideBySide(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	first, second := fifo(t), fifo(t)
	f.give(fakeTask{id: "a", commands: []map[string]any{holding(first)}}, fakeTask{id: "b", commands: []map[string]any{holding(second)}})
	for _, name := range []string{"render1-a", "render1-b"} {
		opts := f.options(t)
		opts.Name = name
		start(t, opts)
	}
	gone := held(t, first)
	held(t, second) // both tasks run
	f.await(t, "may-i-run", 1, func(c fakeCall) bool { return c.task == "a" })
	f.script(func() {
		f.on["may-i-run"] = func(w http.ResponseWriter, c fakeCall) bool {
			answerJSON(w, 200, map[string]any{"mayKeepRunning": c.task != "a", "reason": "scripted"})
			return true
		}
	})
	gone() // what ends one task leaves the other alone
	n := len(f.all("may-i-run"))
	f.await(t, "may-i-run", n+2, nil)
	if users := f.all("sign-on"); len(users) != 2 || users[0].user == users[1].user {
		t.Error("they are one and the same Worker")
	}
}
