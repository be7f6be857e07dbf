// SPDX-License-Identifier: GPL-3.0-or-later

package postgres

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startChild starts a process that ends when this one does, however that happens. The signal comes when the thread
// ends that started it, so that thread is kept.
func startChild(command *exec.Cmd) error {
	command.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- command.Start()
		select {}
	}()
	return <-started
}
