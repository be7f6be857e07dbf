// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package operation

import (
	"os"
	"os/exec"
	"syscall"
)

// endSignals are what asks the process of an operation to end.
var endSignals = []os.Signal{syscall.SIGTERM}

// isolate gives the process a group of its own, so that a Ctrl-C in the Manager's terminal does not reach it.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// terminate asks the process, and what it started, to end.
func terminate(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

// killGroup ends the process and what it started.
func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
