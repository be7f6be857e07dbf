// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !linux

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// detach keeps Ctrl-C in the terminal from the program, so that the farm can be ended in order.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

func interrupt(process *os.Process) {
	_ = process.Signal(syscall.SIGTERM) // it may have ended already, which is all that is wanted
}
