// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package jobtype

import (
	"os/exec"
	"syscall"
)

// isolate gives the process a group of its own, so that a Ctrl-C in the Manager's terminal does not reach it.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// killGroup ends the process and whatever it started. It must not have been waited for yet.
func killGroup(cmd *exec.Cmd) error {
	return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

// overCPU reports whether the kernel ended the process because it used up its processor time.
func (p *process) overCPU() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGXCPU
}
