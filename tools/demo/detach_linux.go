// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// The kernel ends a child with the thread that started it. The main goroutine, which starts all, stays on the main thread.
func init() { runtime.LockOSThread() }

// detach keeps Ctrl-C in the terminal from the program, so that the farm can be ended in order. Should the demo be killed
// without a chance to do so, the kernel asks the program to end.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

func interrupt(process *os.Process) {
	_ = process.Signal(syscall.SIGTERM) // it may have ended already, which is all that is wanted
}
