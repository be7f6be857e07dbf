// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup is a control group (version 2) of a command's own: the kernel kills all of its members in one step, whoever
// they run as. No controller is enabled in it, so it may stand beside processes in its parent.
type cgroup struct{ dir string }

// newCgroup makes one below the present cgroup, or returns nil where that is not possible or not ours to do.
func newCgroup(home string) *cgroup {
	parent := ownCgroup()
	if parent == "" || !mayDivide(parent) {
		return nil
	}
	c := &cgroup{dir: filepath.Join(parent, cgroupPrefix(home)+fmt.Sprint(os.Getpid()))}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(c.dir, "cgroup.kill")); err != nil {
		c.remove() // before Linux 5.14
		return nil
	}
	return c
}

// cgroupPrefix begins the names of the cgroups of one Worker home.
func cgroupPrefix(home string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(homeMarker(home)))
	return fmt.Sprintf("flamenco-%08x-", sum.Sum32())
}

func (c *cgroup) kill() {
	_ = os.WriteFile(filepath.Join(c.dir, "cgroup.kill"), []byte("1"), 0)
}

// remove takes the empty cgroup away, with the cgroups that the command may have made in it.
func (c *cgroup) remove() {
	entries, _ := os.ReadDir(c.dir)
	for _, entry := range entries {
		if entry.IsDir() {
			(&cgroup{filepath.Join(c.dir, entry.Name())}).remove()
		}
	}
	// Since Linux 6.18 a process is counted for a moment after it has been waited for.
	for until := time.Now().Add(time.Second); unix.Rmdir(c.dir) == unix.EBUSY && time.Now().Before(until); {
		c.untilChanged()
	}
}

// untilChanged waits, though not for long, until the cgroup gains or loses its last process.
func (c *cgroup) untilChanged() {
	events, err := os.Open(filepath.Join(c.dir, "cgroup.events"))
	if err != nil {
		return
	}
	defer events.Close()
	state, err := io.ReadAll(events) // what changes from here on wakes the poll
	if err != nil || strings.Contains(string(state), "populated 0") {
		return
	}
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}, 20)
}

// ownCgroup is the folder of this process's cgroup, or "".
func ownCgroup() string {
	membership, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	return cgroupFolder(string(membership), string(mounts))
}

// cgroupFolder finds the folder from the texts of /proc/self/cgroup and /proc/self/mountinfo.
func cgroupFolder(membership, mounts string) string {
	path := ""
	for line := range strings.Lines(membership) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			path = rest
		}
	}
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "..") {
		return "" // no version 2, or outside of what we see
	}
	for line := range strings.Lines(mounts) {
		mount, filesystem, ok := strings.Cut(line, " - ")
		fields := strings.Fields(mount)
		if !ok || len(fields) < 5 || !strings.HasPrefix(filesystem, "cgroup2 ") {
			continue
		}
		root, point := fields[3], fields[4]
		below, err := filepath.Rel(root, path)
		if err != nil || below == ".." || strings.HasPrefix(below, "../") {
			continue
		}
		return filepath.Join(point, below)
	}
	return ""
}

// mayDivide reports whether the cgroup was given to us. Whoever is not root can only write to what was; root can write
// everywhere, but on a systemd machine everything that is not delegated is systemd's.
func mayDivide(dir string) bool {
	if os.Geteuid() != 0 {
		return true
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return true
	}
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(dir, name, value); err == nil && strings.TrimSpace(string(value[:n])) == "1" {
			return true
		}
	}
	return false
}
