// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"context"
	"os"
	"syscall"
)

// ownBinary is this program, as it was when it started: an update may have replaced the file since.
func ownBinary() (path, name string, err error) {
	name, err = os.Executable()
	if _, statErr := os.Stat("/proc/self/exe"); statErr == nil {
		return "/proc/self/exe", name, nil
	}
	return name, name, err
}

// shimAttributes take the shim out of the terminal's reach: Ctrl-C is for the Worker.
func shimAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// holder is the parent's own grip on the tree, for when the shim has been killed. Here the kernel keeps what it needs.
type holder struct{}

func hold(*os.Process) (*holder, error) { return &holder{}, nil }

func (*holder) close() {}

// endTree ends what a lost shim has left; one that finished has left nothing.
func (*holder) endTree(assignment string, s *started, finished bool) error {
	if finished {
		return nil
	}
	if s != nil {
		// While a member lives, the number of its group is not given out again.
		_ = syscall.Kill(-s.Pid, syscall.SIGKILL)
		if s.Cgroup != "" {
			if _, err := endCgroup(context.Background(), cgroup{s.Cgroup}, ancestors()); err != nil {
				return err
			}
		}
	}
	_, err := endMarked(context.Background(), AssignmentVariable+"="+assignment, ancestors())
	return err
}
