// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// look is how often the process list is read while leftovers are dying: macOS has no sub-reaper, so nothing tells when
// the last of them is gone.
const look = 20 * time.Millisecond

// tree is all that a command has started, seen from its shim: its process group, the descendants of what was seen of
// it, and whatever shows the assignment's marker.
type tree struct {
	pid     int
	marker  string
	exited  chan exit
	changed chan struct{} // never written to: kill is repeated by settle
	gone    chan struct{}

	mu   sync.Mutex
	seen map[int]bool // members at earlier looks, because a process that loses its parent no longer shows where it came from
	dead bool         // kill was called
}

func startTree(o order) (*tree, started, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, started{}, err
	}
	defer null.Close()
	process, err := os.StartProcess(o.Path, append([]string{o.Path}, o.Args...), &os.ProcAttr{
		Dir:   o.Dir,
		Files: []*os.File{null, os.Stdout, os.Stdout},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, started{}, err
	}
	t := &tree{
		pid:     process.Pid,
		marker:  AssignmentVariable + "=" + o.Assignment,
		exited:  make(chan exit, 1),
		changed: make(chan struct{}),
		gone:    make(chan struct{}),
		seen:    map[int]bool{process.Pid: true},
	}
	go t.settle(process)
	return t, started{Pid: t.pid}, nil
}

// settle waits for the command, and then for what it left behind.
func (t *tree) settle(process *os.Process) {
	defer close(t.gone)
	state, err := process.Wait()
	e := exit{Code: -1}
	if err == nil {
		status := state.Sys().(syscall.WaitStatus)
		e.Code = status.ExitStatus()
		if status.Signaled() {
			e.Signal = int(status.Signal())
		}
	}
	t.exited <- e
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		if t.signalMembers(0) == 0 {
			return
		}
		<-ticker.C
	}
}

func (t *tree) terminate() bool { return t.signalMembers(syscall.SIGTERM) > 0 }

func (t *tree) kill() {
	t.mu.Lock()
	t.dead = true
	t.mu.Unlock()
	t.signalMembers(syscall.SIGKILL)
}

func (t *tree) close() {}

// signalMembers sends a signal to all members, KILL once kill was called, and returns how many there are. Signal 0
// sends nothing.
func (t *tree) signalMembers(s syscall.Signal) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead {
		s = syscall.SIGKILL
	}
	members := membersOf(t.pid, t.marker, t.seen)
	t.seen = map[int]bool{t.pid: true}
	for _, pid := range members {
		t.seen[pid] = true
		if s != 0 {
			_ = syscall.Kill(pid, s)
		}
	}
	return len(members)
}
