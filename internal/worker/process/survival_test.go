// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package process

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const stopSignal = syscall.SIGTERM

func TestNothingOutlivesAKilledWorker(t *testing.T) {
	t.Parallel()
	for _, user := range users() {
		t.Run(user.name, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, user, unruly)
			h.until(t, "ready")
			if err := h.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			eventuallyNoneAlive(t, h.assignment)
			noCgroupLeft(t, h.home)
		})
	}
}

func TestNothingOutlivesAKilledShim(t *testing.T) {
	t.Parallel()
	for _, user := range users() {
		t.Run(user.name, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, user, unruly)
			h.until(t, "ready")
			if err := syscall.Kill(h.shim(t), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if line := h.until(t, "ended"); !strings.Contains(line, "was lost") {
				t.Error(line)
			}
			noneAlive(t, h.assignment)
			noCgroupLeft(t, h.home)
		})
	}
}

func TestNothingOutlivesItsTimeWhenTheWorkerStandsStill(t *testing.T) {
	t.Parallel()
	h := startHelper(t, users()[0], unruly, leftVariable+"=1s")
	h.until(t, "ready")
	if err := h.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventuallyNoneAlive(t, h.assignment)
	noCgroupLeft(t, h.home)
	if err := h.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if line := h.until(t, "ended"); !strings.Contains(line, ErrOver.Error()) {
		t.Error(line)
	}
}

func TestACommandGoesOnAsLongAsItsWorkerSaysSo(t *testing.T) {
	t.Parallel()
	h := startHelper(t, users()[0], "sleep 7", leftVariable+"=5s")
	if line := h.until(t, "ended"); strings.TrimSpace(line) != `ended  "<nil>"` {
		t.Error(line)
	}
}

func TestAShimThatIsToldToEndEndsItsTree(t *testing.T) {
	t.Parallel()
	h := startHelper(t, users()[0], unruly)
	h.until(t, "ready")
	if err := syscall.Kill(h.shim(t), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if line := h.until(t, "ended"); !strings.Contains(line, "its shim was told to stop") {
		t.Error(line)
	}
	noneAlive(t, h.assignment)
}

func TestLeftoversOfAnEarlierRunAreEnded(t *testing.T) {
	t.Parallel()
	for _, user := range users() {
		t.Run(user.name, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, user, unruly)
			h.until(t, "ready")
			// The worst case: shim and Worker die, and neither can do anything about the other's end.
			for _, step := range []struct {
				pid    int
				signal syscall.Signal
			}{{h.cmd.Process.Pid, syscall.SIGSTOP}, {h.shim(t), syscall.SIGKILL}, {h.cmd.Process.Pid, syscall.SIGKILL}} {
				if err := syscall.Kill(step.pid, step.signal); err != nil {
					t.Fatal(err)
				}
			}
			_ = h.cmd.Wait()
			if len(alive(h.assignment)) == 0 {
				t.Fatal("nothing is left over: the test would prove nothing")
			}
			bystander := startHelper(t, user, unruly)
			bystander.until(t, "ready")
			count, err := EndLeftovers(t.Context(), h.home)
			if err != nil || count < 3 {
				t.Errorf("ended %d, %v", count, err)
			}
			noneAlive(t, h.assignment)
			noCgroupLeft(t, h.home)
			if len(alive(bystander.assignment)) < 4 {
				t.Error("the command of another home was ended too")
			}
			if count, err := EndLeftovers(t.Context(), h.home); count != 0 || err != nil {
				t.Errorf("the second time: %d, %v", count, err)
			}
		})
	}
}

func TestManyForksAtOnceAllEnd(t *testing.T) {
	t.Parallel()
	for _, user := range users() {
		t.Run(user.name, func(t *testing.T) {
			t.Parallel()
			// Processes that keep starting others while they are being killed; for a few seconds, should the test fail.
			h := startHelper(t, user, `
				for i in 1 2 3 4; do
					setsid sh -c 'trap "" TERM; i=0; while [ $i -lt 200 ]; do i=$((i+1)); ( ( sleep 20 & ) & ); done' &
				done
				echo ready; sleep 60`)
			h.until(t, "ready")
			if err := h.cmd.Process.Signal(stopSignal); err != nil {
				t.Fatal(err)
			}
			if line := h.until(t, "ended"); strings.Contains(line, "was lost") {
				t.Error(line)
			}
			noneAlive(t, h.assignment)
		})
	}
}

func TestAShimThatNobodyListensToStillEndsItsTree(t *testing.T) {
	t.Parallel()
	id := newID(t)
	s, err := startShim(Spec{Assignment: id})
	if err != nil {
		t.Fatal(err)
	}
	// As if the Worker died at the worst moment: after the order, before the first report.
	_ = s.reports.Close()
	o := order{Path: "/bin/sh", Args: []string{"-c", unruly}, Assignment: id}
	if err := json.NewEncoder(s.control).Encode(message{Start: &o}); err != nil {
		t.Fatal(err)
	}
	ready, err := bufio.NewReader(s.output).ReadString('\n')
	if ready != "ready\n" {
		t.Errorf("got %q, %v", ready, err)
	}
	_ = s.control.Close()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the shim ended badly: %v", err)
	}
	noneAlive(t, id)
	s.close()
}

func TestTheCgroupFolderIsFound(t *testing.T) {
	t.Parallel()
	const v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
	const hybrid = "31 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	const part = "32 24 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
	for _, test := range []struct{ name, membership, mounts, want string }{
		{"version 2", "0::/system.slice/worker.service\n", v2, "/sys/fs/cgroup/system.slice/worker.service"},
		{"root", "0::/\n", v2, "/sys/fs/cgroup"},
		{"hybrid", "4:memory:/x\n1:cpu:/\n0::/y\n", hybrid, "/sys/fs/cgroup/unified/y"},
		{"version 1 only", "4:memory:/x\n1:cpu:/\n", "", ""},
		{"not mounted", "0::/\n", "", ""},
		{"part of the tree", "0::/docker/abc/def\n", part, "/sys/fs/cgroup/def"},
		{"outside of what is mounted", "0::/other\n", part, ""},
		{"outside of the namespace", "0::/../other\n", v2, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := cgroupFolder(test.membership, test.mounts); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// shim is the process number of the helper's shim.
func (h *helper) shim(t *testing.T) int {
	t.Helper()
	pid, ok := parentOf(h.command)
	if !ok || pid == h.cmd.Process.Pid {
		t.Fatalf("the parent of %d is %d", h.command, pid)
	}
	return pid
}

func noCgroupLeft(t *testing.T, home string) {
	t.Helper()
	parent := ownCgroup()
	if parent == "" {
		return
	}
	if left, _ := filepath.Glob(filepath.Join(parent, cgroupPrefix(home)+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func BenchmarkPlainExec(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
