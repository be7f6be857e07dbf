// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package preview

import (
	"os/exec"
	"syscall"
)

// isolate gives the process a group of its own, so that a Ctrl-C in the Manager's terminal does not reach it, and makes the
// end of its context the end of all of it.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// yield lets everything else on the machine go first. A picture may wait.
func yield() error {
	const nice = 10
	return syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice)
}
