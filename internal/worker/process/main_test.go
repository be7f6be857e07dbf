// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

// The test binary is its own shim, and with helperVariable set it is a Worker that can be killed.
const helperVariable = "PROCESS_TEST_WORKER"

// leftVariable is how much time a command of a helper Worker has left, at any moment.
const leftVariable = "PROCESS_TEST_LEFT"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ShimArgument {
		os.Exit(ShimMain())
	}
	if script := os.Getenv(helperVariable); script != "" {
		os.Exit(helperWorker(script))
	}
	os.Exit(m.Run())
}

// helperWorker runs a script as a Worker would, until it is told to stop.
func helperWorker(script string) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	var left func() time.Duration
	if always, err := time.ParseDuration(os.Getenv(leftVariable)); err == nil {
		left = func() time.Duration { return always }
	}
	result, err := Run(ctx, Spec{
		Left:       left,
		Path:       "/bin/sh",
		Args:       []string{"-c", script},
		Assignment: os.Getenv(AssignmentVariable + "_TEST"),
		Home:       os.Getenv(HomeVariable + "_TEST"),
		Grace:      100 * time.Millisecond,
		OnStart:    func(pid int) { fmt.Println("pid", pid) },
	}, os.Stdout)
	fmt.Printf("ended %s %q\n", result.Reason, fmt.Sprint(err))
	return 0
}

// asUser says as whom a helper Worker runs: nobody cannot make a cgroup, so the shim must do without.
type asUser struct {
	name  string
	attrs *syscall.SysProcAttr
}

func users() []asUser {
	found := []asUser{{name: "as the user of the tests"}}
	if os.Geteuid() == 0 {
		found = append(found, asUser{
			name:  "as nobody, without a cgroup",
			attrs: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
		})
	}
	return found
}

// helper is a running helper Worker.
type helper struct {
	cmd        *exec.Cmd
	assignment string
	home       string
	lines      chan string
	command    int // pid of the command
}

func startHelper(t *testing.T, user asUser, script string, env ...string) *helper {
	t.Helper()
	h := &helper{assignment: newID(t), home: "/nonexistent/" + newID(t), lines: make(chan string, 1000)}
	h.cmd = &exec.Cmd{Path: "/proc/self/exe", Args: []string{"worker"}, Dir: "/", SysProcAttr: user.attrs}
	h.cmd.Env = append(append(os.Environ(), helperVariable+"="+script,
		AssignmentVariable+"_TEST="+h.assignment, HomeVariable+"_TEST="+h.home), env...)
	output, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := NewLines(func(line string) { h.lines <- line })
		_, _ = io.Copy(lines, output)
		close(h.lines)
	}()
	t.Cleanup(func() {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		eventuallyNoneAlive(t, h.assignment)
	})
	h.command, err = strconv.Atoi(strings.TrimPrefix(h.until(t, "pid "), "pid "))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// until returns the next line of output that begins with prefix.
func (h *helper) until(t *testing.T, prefix string) string {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		select {
		case line, ok := <-h.lines:
			if !ok {
				t.Fatalf("the output ended without a line %q", prefix)
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-limit.C:
			t.Fatalf("no line %q in 20 s", prefix)
		}
	}
}

// alive finds the processes that carry an assignment's marker, in a way of its own.
func alive(assignment string) []int {
	var found []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append([]byte{0}, environ...), []byte("\x00FLAMENCO_ASSIGNMENT="+assignment+"\x00")) {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
		found = append(found, pid)
	}
	return found
}

// eventuallyNoneAlive is for when nobody is left who could tell that the last process is gone.
func eventuallyNoneAlive(t *testing.T, assignment string) {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(alive(assignment)) > 0 {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("still alive after 10 s: %v", alive(assignment))
		}
	}
}

func noneAlive(t *testing.T, assignment string) {
	t.Helper()
	if pids := alive(assignment); len(pids) > 0 {
		t.Errorf("processes survived: %v", pids)
	}
}

var ids struct { // numbers for assignments, unlike those of another run of the tests
	sync.Mutex
	last int
}

func newID(t *testing.T) string {
	t.Helper()
	ids.Lock()
	defer ids.Unlock()
	ids.last++
	return fmt.Sprintf("test-%d-%d-%d", os.Getpid(), time.Now().UnixNano(), ids.last)
}

// sh runs a script to its end and returns its output.
func sh(t *testing.T, script string) (Result, string) {
	t.Helper()
	var output bytes.Buffer
	assignment := newID(t)
	result, err := Run(t.Context(), Spec{
		Path: "/bin/sh", Args: []string{"-c", script}, Assignment: assignment, Home: t.TempDir(), Grace: time.Second,
	}, &output)
	if err != nil {
		t.Fatal(err)
	}
	noneAlive(t, assignment)
	return result, output.String()
}

func code(err error) farm.Code { return farm.CodeOf(err) }
