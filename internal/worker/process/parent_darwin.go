// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"context"
	"os"
	"syscall"
)

func ownBinary() (path, name string, err error) {
	name, err = os.Executable()
	return name, name, err
}

// shimAttributes take the shim out of the terminal's reach: Ctrl-C is for the Worker.
func shimAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// holder is the parent's own grip on the tree, for when the shim has been killed.
type holder struct{}

func hold(*os.Process) (*holder, error) { return &holder{}, nil }

func (*holder) close() {}

// endTree ends what a lost shim has left; one that finished has left nothing.
func (*holder) endTree(assignment string, s *started, finished bool) error {
	if finished {
		return nil
	}
	group := 0
	if s != nil {
		group = s.Pid
	}
	_, err := endAll(context.Background(), func() []int {
		return membersOf(group, AssignmentVariable+"="+assignment, nil)
	})
	return err
}
