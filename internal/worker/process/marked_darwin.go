// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// zombie is the state of a process that has ended but was not yet waited for.
const zombie = 5

// EndLeftovers kills every process that an earlier run of the Worker with this home has left behind, as far as the
// system shows their environment, and returns how many there were. It returns when they are gone, or with an error when
// ctx is done.
//
// The caller must be sure that no other Worker uses the home: its commands would be ended too.
func EndLeftovers(ctx context.Context, home string) (int, error) {
	return endAll(ctx, func() []int { return membersOf(0, homeMarker(home), nil) })
}

// endAll kills what list shows until it shows nothing.
func endAll(ctx context.Context, list func() []int) (int, error) {
	count := map[int]bool{}
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		pids := list()
		if len(pids) == 0 {
			return len(count), nil
		}
		for _, pid := range pids {
			count[pid] = true
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return len(count), fmt.Errorf("end process %d: %w", pid, err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return len(count), fmt.Errorf("process %d does not end: %w", pids[0], ctx.Err())
		}
	}
}

// membersOf finds the living processes of a group, those with the marker, those known from before that still are what
// they were, and the descendants of all of these; never this process or one above it.
func membersOf(group int, marker string, known map[int]bool) []int {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	children, parent, member := map[int][]int{}, map[int]int{}, map[int]bool{}
	var next []int
	for _, p := range all {
		pid := int(p.Proc.P_pid)
		if p.Proc.P_stat == zombie || pid <= 1 {
			continue
		}
		parent[pid] = int(p.Eproc.Ppid)
		children[parent[pid]] = append(children[parent[pid]], pid)
		if group != 0 && int(p.Eproc.Pgid) == group || known[pid] || hasMarker(pid, marker) {
			next = append(next, pid)
		}
	}
	spared := map[int]bool{}
	for pid := os.Getpid(); pid > 1 && !spared[pid]; pid = parent[pid] {
		spared[pid] = true
	}
	var found []int
	for len(next) > 0 {
		pid := next[0]
		next = next[1:]
		if member[pid] || spared[pid] {
			continue
		}
		member[pid] = true
		found = append(found, pid)
		next = append(next, children[pid]...)
	}
	return found
}

// hasMarker looks in what the system shows of a process: its arguments, then its environment, divided by zero bytes.
func hasMarker(pid int, marker string) bool {
	shown, err := unix.SysctlRaw("kern.procargs2", pid)
	return err == nil && bytes.Contains(shown, []byte("\x00"+marker+"\x00"))
}
