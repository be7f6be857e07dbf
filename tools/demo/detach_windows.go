// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// detach keeps Ctrl-C in the console from the program, so that the farm can be ended in order.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt ends the program: Windows has no way to ask another process kindly that works without a console.
func interrupt(process *os.Process) {
	_ = process.Kill() // it may have ended already, which is all that is wanted
}
