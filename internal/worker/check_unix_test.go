// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package worker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

func TestWhatATaskNeedsIsTriedOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		checks Checks
		want   string // "" = all is well
	}{
		"nothing":                  {Checks{}, ""},
		"folder and file":          {Checks{Readable: []string{dir, file}, Writable: []string{dir, file}}, ""},
		"no folder to read":        {Checks{Readable: []string{dir, dir + "/none"}}, "cannot read " + dir + "/none: no such file or directory"},
		"no folder to write to":    {Checks{Writable: []string{dir + "/none"}}, "cannot write to " + dir + "/none: no such file or directory"},
		"nothing may be made here": {Checks{Writable: []string{"/proc"}}, "cannot write to /proc: "},
		"two reasons":              {Checks{Readable: []string{dir + "/a", dir + "/b"}}, "/a: no such file or directory\ncannot read"},
	} {
		if name == "nothing may be made here" {
			if _, err := os.Stat("/proc"); err != nil {
				continue // not on this system
			}
		}
		err := newChecker(c.checks).check(t.Context())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAPathThatHangsIsTriedOnceAndNeverHangsTheWorker(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil { // opening it waits for a writer, as a lost file server makes one wait
		t.Fatal(err)
	}
	c := newChecker(Checks{Readable: []string{pipe}, Limit: 20 * time.Millisecond})
	for range 3 {
		if err := c.check(t.Context()); err == nil || !strings.Contains(err.Error(), pipe+": no answer within 20ms") {
			t.Errorf("check: %v", err)
		}
	}
	if len(c.hanging) != 1 {
		t.Errorf("%d hang", len(c.hanging))
	}
	// One reader waits, or else this would fail; it is answered, and the path is well again.
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	c.checks.Limit = time.Minute
	if err := c.check(t.Context()); err != nil {
		t.Errorf("after the answer: %v", err)
	}
	_ = writer.Close()
}

func TestGoodNewsIsBelievedForAWhile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := newChecker(Checks{Readable: []string{dir}})
	if err := c.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(dir)
	if err := c.check(t.Context()); err != nil {
		t.Errorf("looked again at once: %v", err)
	}
	c.passed = c.passed.Add(-checkAge)
	if err := c.check(t.Context()); err == nil {
		t.Error("never looked again")
	}
}

// status matches a change to this status.
func status(wanted farm.WorkerStatus) func(fakeCall) bool {
	return func(c fakeCall) bool {
		return strings.HasPrefix(c.body, `{"status":"`+string(wanted)+`"`) || strings.Contains(c.body, `"status":"`+string(wanted)+`"`)
	}
}

func TestAWorkerWithoutItsFilesSaysErrorAndWhyAndRecoversByItself(t *testing.T) {
	t.Parallel()
	for kind, lease := range map[string]int{"ours": 60, "upstream": 0} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, lease)
			opts := f.options(t)
			mount := filepath.Join(t.TempDir(), "mount")
			opts.Checks.Readable = []string{mount}
			f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello")}})
			start(t, opts)
			c := f.await(t, "state-changed", 1, status(farm.WorkerError))
			if said := strings.Contains(c.body, "cannot read "+mount); said != (kind == "ours") {
				t.Errorf("said %s", c.body)
			}
			f.await(t, "state", 2, nil) // it stays in touch
			if n := len(f.all("task")); n != 0 {
				t.Errorf("asked for %d tasks", n)
			}
			if err := os.Mkdir(mount, 0o700); err != nil {
				t.Fatal(err)
			}
			f.await(t, "state-changed", 1, status(farm.WorkerAwake))
			f.await(t, "update", 1, completed)
			if n := len(f.all("sign-on")); n != 1 {
				t.Errorf("signed on %d times", n)
			}
		})
	}
}

func TestAWorkerWithoutItsFilesStillDoesWhatTheManagerAsks(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	opts := f.options(t)
	opts.Checks.Writable = []string{filepath.Join(t.TempDir(), "none")}
	stop := start(t, opts)
	f.await(t, "state-changed", 1, status(farm.WorkerError))
	f.ask(farm.WorkerAsleep)
	f.await(t, "state-changed", 1, status(farm.WorkerAsleep))
	f.ask(farm.WorkerAwake)
	f.await(t, "state-changed", 2, status(farm.WorkerError))
	f.ask(farm.WorkerOffline)
	if err := f.ended(t, stop); err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := len(f.all("task")); n != 0 {
		t.Errorf("asked for %d tasks", n)
	}
}

func TestAStoppedCheckIsNoTrouble(t *testing.T) {
	t.Parallel()
	pipe := fifo(t)
	f := newFake(t, 60)
	opts := f.options(t)
	opts.Checks = Checks{Readable: []string{pipe}, Limit: time.Minute}
	stop := start(t, opts)
	f.await(t, "sign-on", 1, nil)
	if err := stop(); err != context.Canceled { //nolint:errorlint // it is the cause itself
		t.Errorf("Run: %v", err)
	}
	if slice := f.all("state-changed"); len(slice) != 0 {
		t.Errorf("said %s", slice[0].body)
	}
	release, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0) // let the goroutine go, if it waits by now
	if err == nil {
		_ = release.Close()
	}
}
