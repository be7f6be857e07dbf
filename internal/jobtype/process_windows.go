// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"os/exec"
	"syscall"
)

// isolate keeps a Ctrl-C in the Manager's console from the process.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// killGroup ends the process, which has no way of starting others.
func killGroup(cmd *exec.Cmd) error {
	return cmd.Process.Kill()
}

// overCPU is false: there is no limit of processor time here, only the clock.
func (p *process) overCPU() bool { return false }
