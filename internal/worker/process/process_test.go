// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

// unruly starts a background child and a daemon: double fork, own session, deaf to TERM, holding the output. It prints
// "ready" once all of them run. They end by themselves after a minute, should a test fail.
const unruly = `
trap '' TERM
sleep 60 &
( setsid sh -c 'trap "" TERM; echo ready; for i in 1 2 3; do sleep 20; done' & )
for i in 1 2 3; do sleep 20; done
`

func TestTheEndOfACommandIsReported(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		script string
		want   Result
	}{
		{"exit 0", Result{}},
		{"exit 7", Result{ExitCode: 7, Reason: "exit code 7"}},
		{"kill -9 $$", Result{ExitCode: -1, Signal: 9, Reason: "killed by signal 9 (killed)"}},
		{"kill -TERM $$", Result{ExitCode: -1, Signal: 15, Reason: "killed by signal 15 (terminated)"}},
		{"ulimit -c 0; kill -SEGV $$", Result{ExitCode: -1, Signal: 11, Reason: "crashed with signal 11 (segmentation fault)"}},
	} {
		t.Run(test.script, func(t *testing.T) {
			t.Parallel()
			got, _ := sh(t, test.script)
			if got.Pid <= 0 {
				t.Errorf("pid %d", got.Pid)
			}
			got.Pid = 0
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestWhatCannotBeStartedIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct {
		name string
		spec Spec
		code farm.Code
		want string
	}{
		{"name", Spec{Path: "no-such-blender"}, farm.CodeNotFound, `executable "no-such-blender" not found in PATH`},
		{"path", Spec{Path: "/no/such/blender"}, farm.CodeNotFound, `executable "/no/such/blender" not found`},
		{"mode", Spec{Path: write("plain", "x", 0o644)}, farm.CodeForbidden, "not an executable file"},
		{"folder", Spec{Path: dir}, farm.CodeForbidden, "not an executable file"},
		{"interpreter", Spec{Path: write("script", "#!/no/such/interpreter\n", 0o755)}, farm.CodeInvalid, "interpreter"},
		{"format", Spec{Path: write("junk", "\x01\x02\x03\x04", 0o755)}, farm.CodeInvalid, "not a program for this kind of machine"},
		{"directory", Spec{Path: "/bin/true", Dir: "/no/such/folder"}, farm.CodeNotFound, `working directory "/no/such/folder"`},
		{"nothing", Spec{}, farm.CodeInvalid, "no executable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.spec.Assignment = newID(t)
			_, err := Run(t.Context(), test.spec, io.Discard)
			if err == nil || code(err) != test.code || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v (%s), want %q (%s)", err, code(err), test.want, test.code)
			}
			noneAlive(t, test.spec.Assignment)
		})
	}
}

func TestAStopEndsDaemonsAndTheDeaf(t *testing.T) {
	t.Parallel()
	for _, user := range users() {
		t.Run(user.name, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, user, unruly)
			h.until(t, "ready")
			if n := len(alive(h.assignment)); n < 4 {
				t.Fatalf("only %d processes run: the test would prove nothing", n)
			}
			if err := h.cmd.Process.Signal(stopSignal); err != nil {
				t.Fatal(err)
			}
			if line := h.until(t, "ended"); !strings.Contains(line, "stopped") {
				t.Error(line)
			}
			noneAlive(t, h.assignment)
		})
	}
}

func TestACommandMayEndByItselfAfterTerm(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the task was canceled")
	var output bytes.Buffer
	lines := NewLines(func(line string) {
		output.WriteString(line + "\n")
		if line == "ready" {
			cancel(stop)
		}
	})
	assignment := newID(t)
	start := time.Now()
	result, err := Run(ctx, Spec{
		Path: "/bin/sh", Args: []string{"-c", `trap 'echo bye; exit 5' TERM; sleep 60 & echo ready; wait`},
		Assignment: assignment, Grace: time.Minute,
	}, lines)
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want the cause of the stop", err)
	}
	if result.ExitCode != 5 || output.String() != "ready\nbye\n" {
		t.Errorf("got %+v and %q", result, output.String())
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("waited %v for a command that had ended", took)
	}
	noneAlive(t, assignment)
}

func TestTheDaemonThatACommandLeavesBehindIsEnded(t *testing.T) {
	t.Parallel()
	start := time.Now()
	result, output := sh(t, `( setsid sh -c 'trap "" TERM HUP; echo daemon; sleep 60' & ); sleep 0.05; exit 3`)
	if result.ExitCode != 3 || output != "daemon\n" {
		t.Errorf("got %+v and %q", result, output)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestAHelperMayFinishItsOutput(t *testing.T) {
	t.Parallel()
	if _, output := sh(t, `( sleep 0.05; echo late ) & exit 0`); output != "late\n" {
		t.Errorf("got %q", output)
	}
}

func TestACommandMayCloseItsOutput(t *testing.T) {
	t.Parallel()
	result, output := sh(t, `echo first; exec >&- 2>&-; sleep 0.05; exit 4`)
	if result.ExitCode != 4 || output != "first\n" {
		t.Errorf("got %+v and %q", result, output)
	}
}

func TestOutputAndErrorsComeInOrder(t *testing.T) {
	t.Parallel()
	if _, output := sh(t, `echo 1; echo 2 >&2; echo 3`); output != "1\n2\n3\n" {
		t.Errorf("got %q", output)
	}
}

func TestACommandHasNoInput(t *testing.T) {
	t.Parallel()
	if result, output := sh(t, `cat; echo done`); result.ExitCode != 0 || output != "done\n" {
		t.Errorf("got %+v and %q", result, output)
	}
}

func TestAHundredMegabytesOfOutputTakeNoMemory(t *testing.T) { // not parallel: it measures memory
	const size = 100_000_000
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var lines, total, most int
	splitter := NewLines(func(line string) {
		total += len(line) + 1
		if lines++; lines%10_000 == 0 {
			runtime.ReadMemStats(&during)
			most = max(most, int(during.HeapAlloc))
		}
	})
	_, err := Run(t.Context(), Spec{
		Path: "/bin/sh", Args: []string{"-c", `yes "$(printf %0999d 0)" | head -c 100000000`}, Assignment: newID(t),
	}, splitter)
	if err != nil {
		t.Fatal(err)
	}
	if lines != size/1000 || total != size {
		t.Errorf("got %d lines, %d bytes", lines, total)
	}
	if limit := int(before.HeapAlloc) + 20<<20; most > limit {
		t.Errorf("memory in use rose to %d bytes, limit %d", most, limit)
	}
}

func TestAWriterThatFailsDoesNotHoldTheCommandUp(t *testing.T) {
	t.Parallel()
	result, err := Run(t.Context(), Spec{
		Path: "/bin/sh", Args: []string{"-c", `yes | head -c 1000000; exit 6`}, Assignment: newID(t),
	}, brokenWriter{})
	if !errors.Is(err, io.ErrShortWrite) || result.ExitCode != 6 {
		t.Errorf("got %+v, %v", result, err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestTheEnvironmentIsPassedOnWithOneMarker(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	id := newID(t)
	_, err := Run(t.Context(), Spec{
		Path: "/usr/bin/env", Assignment: id, Home: "/farm/home",
		Env: []string{"COLOR=blue", AssignmentVariable + "=old", HomeVariable + "=old"},
	}, &output)
	if err != nil {
		t.Fatal(err)
	}
	want := "COLOR=blue\nFLAMENCO_ASSIGNMENT=" + id + "\nFLAMENCO_WORKER_HOME=/farm/home\n"
	if output.String() != want {
		t.Errorf("got %q, want %q", output.String(), want)
	}
}

func TestTheOOMScoreIsTheCommandsAlone(t *testing.T) {
	t.Parallel()
	before, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	score := 321
	var output bytes.Buffer
	_, err = Run(t.Context(), Spec{
		Path: "/bin/sh", Args: []string{"-c", `cat /proc/self/oom_score_adj; sleep 0.05; cat /proc/$PPID/oom_score_adj`},
		Assignment: newID(t), OOMScoreAdjust: &score,
	}, &output)
	if err != nil || output.String() != "321\n"+string(before) {
		t.Errorf("got %q, %v", output.String(), err)
	}
}

func TestStartIsToldBeforeTheFirstOutput(t *testing.T) {
	t.Parallel()
	told := 0
	result, err := Run(t.Context(), Spec{
		Path: "/bin/echo", Args: []string{"x"}, Assignment: newID(t), OnStart: func(pid int) { told = pid },
	}, writerFunc(func(p []byte) {
		if told == 0 {
			t.Error("output before the start")
		}
	}))
	if err != nil || told != result.Pid {
		t.Errorf("told %d, result %+v, %v", told, result, err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestNothingStartsOnceTheContextIsDone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mark := filepath.Join(t.TempDir(), "mark")
	_, err := Run(ctx, Spec{Path: "/usr/bin/touch", Args: []string{mark}, Assignment: newID(t)}, io.Discard)
	if _, statErr := os.Stat(mark); !errors.Is(err, context.Canceled) || statErr == nil {
		t.Errorf("got %v; file: %v", err, statErr)
	}
}

func TestABinaryThatIsNoShimDoesNotMultiply(t *testing.T) {
	t.Setenv(shimVariable, "1")
	if _, err := Run(t.Context(), Spec{Path: "/bin/true", Assignment: newID(t)}, io.Discard); err == nil {
		t.Error("ran although this process was started as a shim")
	}
}

func TestRealBlenderTellsItsVersion(t *testing.T) {
	t.Parallel()
	var first string
	lines := NewLines(func(line string) {
		if first == "" && strings.HasPrefix(line, "Blender ") {
			first = line
		}
	})
	result, err := Run(t.Context(), Spec{
		Path: "blender", Args: []string{"-b", "--version"}, Assignment: newID(t), Grace: time.Second,
	}, lines)
	if err != nil || result.ExitCode != 0 || first == "" {
		t.Errorf("got %+v, %v, version %q", result, err, first)
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		if _, err := Run(b.Context(), Spec{Path: "/bin/true", Assignment: "benchmark"}, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
