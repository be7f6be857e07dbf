// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// tree is all that a command has started, seen from its shim. The shim is its sub-reaper: whoever loses a parent
// becomes the shim's child, so the tree is gone when there is no child left to wait for.
type tree struct {
	pid        int
	cgroup     *cgroup // nil = none
	assignment string
	exited     chan exit     // one value: how the command itself ended
	changed    chan struct{} // something ended since the last look
	gone       chan struct{} // closed when no process is left
}

// startTree starts the command on the calling thread, which must outlive it.
func startTree(o order) (*tree, started, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, started{}, fmt.Errorf("become sub-reaper: %w", err)
	}
	t := &tree{
		assignment: o.Assignment,
		exited:     make(chan exit, 1),
		changed:    make(chan struct{}, 1),
		gone:       make(chan struct{}),
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, started{}, err
	}
	defer null.Close()
	restore, warning := adjustOOMScore(o.OOMScoreAdjust)
	defer restore()

	t.cgroup = newCgroup(o.Home)
	process, err := t.start(o, null)
	if err != nil && t.cgroup != nil {
		// Old kernels and some containers let us make a cgroup but not start into it.
		t.close()
		t.cgroup = nil
		process, err = t.start(o, null)
	}
	if err != nil {
		return nil, started{}, err
	}
	t.pid = process.Pid
	_ = process.Release() // reap waits for all children, this one included
	go t.reap()
	s := started{Pid: t.pid, Warning: warning}
	if t.cgroup != nil {
		s.Cgroup = t.cgroup.dir
	}
	return t, s, nil
}

func (t *tree) start(o order, null *os.File) (*os.Process, error) {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if t.cgroup != nil {
		folder, err := os.Open(t.cgroup.dir)
		if err != nil {
			return nil, err
		}
		defer folder.Close()
		attributes.UseCgroupFD = true
		attributes.CgroupFD = int(folder.Fd())
	}
	return os.StartProcess(o.Path, append([]string{o.Path}, o.Args...), &os.ProcAttr{
		Dir:   o.Dir,
		Files: []*os.File{null, os.Stdout, os.Stdout},
		Sys:   attributes,
	})
}

// reap collects every process of the tree as it ends.
func (t *tree) reap() {
	defer close(t.gone)
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil: // ECHILD: nobody is left
			return
		case pid == t.pid && status.Signaled():
			t.exited <- exit{Code: -1, Signal: int(status.Signal())}
		case pid == t.pid:
			t.exited <- exit{Code: status.ExitStatus()}
		}
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
}

// terminate asks every process of the tree to end; false means that nobody could be asked.
func (t *tree) terminate() bool {
	asked := false
	for _, pid := range t.members() {
		asked = syscall.Kill(pid, syscall.SIGTERM) == nil || asked
	}
	return asked
}

// kill ends what it sees of the tree. It is called again whenever a process has ended, until the tree is gone: whatever
// is started in between has a parent that dies, and is then a child of ours.
func (t *tree) kill() {
	if t.cgroup != nil {
		t.cgroup.kill()
	}
	for _, pid := range t.members() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func (t *tree) close() {
	if t.cgroup != nil {
		t.cgroup.remove()
	}
}

// members are all descendants of the shim.
func (t *tree) members() []int {
	children := map[int][]int{}
	for _, pid := range allProcesses() {
		if parent, ok := parentOf(pid); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	var found []int
	next := []int{os.Getpid()}
	for len(next) > 0 {
		mine := children[next[0]]
		found = append(found, mine...)
		next = append(next[1:], mine...)
	}
	return found
}

func allProcesses() []int {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parentOf reads the fourth field of /proc/PID/stat; the second, the name, may itself hold spaces and brackets.
func parentOf(pid int) (int, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(fields[1])
	return parent, err == nil
}

// adjustOOMScore changes the shim's own score, so that the command inherits it from its first instruction on; restore
// puts it back.
func adjustOOMScore(score *int) (restore func(), warning string) {
	const file = "/proc/self/oom_score_adj"
	if score == nil {
		return func() {}, ""
	}
	before, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strconv.Itoa(*score)), 0)
	}
	if err != nil {
		return func() {}, fmt.Sprintf("could not set the OOM score: %v", err)
	}
	return func() { _ = os.WriteFile(file, before, 0) }, ""
}
