// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rescan is how long to wait for one process to end before looking again at all of them.
const rescan = time.Second

// EndLeftovers kills every process that an earlier run of the Worker with this home has left behind, and returns how
// many there were. It returns when they are gone, or with an error when ctx is done.
//
// The caller must be sure that no other Worker uses the home: its commands would be ended too.
func EndLeftovers(ctx context.Context, home string) (int, error) {
	spared := ancestors()
	count := 0
	if parent := ownCgroup(); parent != "" && mayDivide(parent) {
		groups, _ := filepath.Glob(filepath.Join(parent, cgroupPrefix(home)+"*"))
		for _, dir := range groups {
			ended, err := endCgroup(ctx, cgroup{dir}, spared)
			count += ended
			if err != nil {
				return count, err
			}
		}
	}
	ended, err := endMarked(ctx, homeMarker(home), spared)
	return count + ended, err
}

// endCgroup kills the members of a cgroup and takes it away.
func endCgroup(ctx context.Context, c cgroup, spared map[int]bool) (int, error) {
	members, err := os.ReadFile(filepath.Join(c.dir, "cgroup.procs"))
	if err != nil {
		return 0, nil // gone meanwhile
	}
	var processes []*os.Process
	for _, field := range strings.Fields(string(members)) {
		pid, err := strconv.Atoi(field)
		if err != nil || spared[pid] {
			return 0, nil // we ourselves run in it
		}
		if p, err := os.FindProcess(pid); err == nil {
			processes = append(processes, p)
		}
	}
	c.kill()
	for _, p := range processes {
		if err := untilEnded(ctx, p); err != nil {
			return len(processes), fmt.Errorf("process %d of an earlier run does not end: %w", p.Pid, err)
		}
	}
	c.remove()
	return len(processes), nil
}

// endMarked kills all processes whose environment holds the marker until none is left, and counts them.
func endMarked(ctx context.Context, marker string, spared map[int]bool) (int, error) {
	count := map[int]bool{}
	for {
		processes := markedProcesses(marker, spared)
		if len(processes) == 0 {
			return len(count), nil
		}
		var failed error
		for _, p := range processes {
			count[p.Pid] = true
			if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
				failed = errors.Join(failed, fmt.Errorf("end process %d: %w", p.Pid, err))
			}
		}
		if failed != nil {
			return len(count), failed
		}
		for _, p := range processes {
			err := untilEnded(ctx, p)
			_ = p.Release()
			if err != nil {
				return len(count), fmt.Errorf("process %d does not end: %w", p.Pid, err)
			}
		}
	}
}

// markedProcesses takes hold of each process before it reads its environment, so that the number cannot come to mean
// another process in between. Processes of other users do not show theirs and are left alone.
func markedProcesses(marker string, spared map[int]bool) []*os.Process {
	var found []*os.Process
	for _, pid := range allProcesses() {
		if spared[pid] || !hasMarker(pid, marker) {
			continue
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if !hasMarker(pid, marker) {
			_ = p.Release()
			continue
		}
		found = append(found, p)
	}
	return found
}

// hasMarker reports whether the process was started with the marker. One that has ended has no environment any more.
func hasMarker(pid int, marker string) bool {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil || !bytes.Contains(environ, []byte(marker)) {
		return false
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if string(entry) == marker {
			return true
		}
	}
	return false
}

// untilEnded waits until a process that is not our child has ended, though not for long: the caller looks again.
func untilEnded(ctx context.Context, p *os.Process) error {
	ended := false
	err := p.WithHandle(func(handle uintptr) {
		poll := []unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}
		for until := time.Now().Add(rescan); time.Now().Before(until) && ctx.Err() == nil && !ended; {
			n, err := unix.Poll(poll, 50)
			ended = n > 0 || err != nil && err != unix.EINTR
		}
	})
	if err != nil { // a kernel without process handles, or ended already
		pause := time.NewTimer(5 * time.Millisecond)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// ancestors are this process and all above it: a Worker may itself run inside of a command.
func ancestors() map[int]bool {
	found := map[int]bool{}
	for pid, ok := os.Getpid(), true; ok && pid > 0 && !found[pid]; pid, ok = parentOf(pid) {
		found[pid] = true
	}
	return found
}
