// SPDX-License-Identifier: GPL-3.0-or-later

package measure

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a server and its child processes used while it was watched.
type Usage struct {
	PID        int     `json:"pid"`
	CPUSeconds float64 `json:"cpu_seconds"`
	PeakMiB    float64 `json:"peak_mib"` // of the largest process: the children of PostgreSQL share memory
}

// Watch looks at processes from now on; Stop says what they used. It reads /proc, which only Linux has.
type Watch struct {
	pids  []int
	start []time.Duration
}

// tick is the unit of CPU times in /proc: Linux shows hundredths of a second to programs, on every machine.
const tick = 10 * time.Millisecond

// StartWatch begins to watch processes. No processes are no error.
func StartWatch(pids []int) (*Watch, error) {
	w := &Watch{pids: pids}
	for _, pid := range pids {
		used, _, err := family(pid, true)
		if err != nil {
			return nil, fmt.Errorf("watching process %d: %w", pid, err)
		}
		w.start = append(w.start, used)
	}
	return w, nil
}

// Stop is what the processes used since the start; nil when none is watched.
func (w *Watch) Stop() ([]Usage, error) {
	var all []Usage
	for i, pid := range w.pids {
		used, peak, err := family(pid, false)
		if err != nil {
			return nil, fmt.Errorf("watching process %d: %w", pid, err)
		}
		all = append(all, Usage{PID: pid, CPUSeconds: (used - w.start[i]).Seconds(), PeakMiB: float64(peak) / 1024})
	}
	return all, nil
}

// family is the CPU time of a process and its children, living or dead, and the peak of the largest in KiB. reset lets
// the peak begin anew, where that is allowed; otherwise it is that of the whole life.
func family(pid int, reset bool) (cpu time.Duration, peak int64, err error) {
	members, err := descendants(pid)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range members {
		if reset {
			_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0)
		}
		cpu += p.cpu
		peak = max(peak, peakOf(p.pid))
	}
	return cpu, peak, nil
}

type process struct {
	pid, parent int
	cpu         time.Duration
}

// descendants is a process with its children and theirs.
func descendants(pid int) ([]process, error) {
	first, err := readProcess(pid)
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]process{}
	for _, name := range names {
		id, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if p, err := readProcess(id); err == nil { // else it has ended meanwhile
			children[p.parent] = append(children[p.parent], p)
		}
	}
	found := []process{first}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found, nil
}

func readProcess(pid int) (process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The name, in brackets, may hold anything; what follows it is numbers.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return process{}, fmt.Errorf("/proc/%d/stat has too few fields", pid)
	}
	p := process{pid: pid}
	var ticks int64
	for _, field := range []int{11, 12, 13, 14} { // of itself and of children that have ended, in user and system mode
		n, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return process{}, err
		}
		ticks += n
	}
	p.cpu = time.Duration(ticks) * tick
	p.parent, err = strconv.Atoi(fields[1])
	return p, err
}

// peakOf is the most memory a process had at once, in KiB; 0 if it has ended.
func peakOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return n
		}
	}
	return 0
}
