// SPDX-License-Identifier: GPL-3.0-or-later

package operation

import (
	"os"
	"os/exec"
	"syscall"
)

// endSignals is empty: there is no way to ask a process without a console to end. An operation can be killed at any line,
// so that is no loss.
var endSignals []os.Signal

// isolate keeps a Ctrl-C in the Manager's console from the process.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func terminate(cmd *exec.Cmd) error { return cmd.Process.Kill() }

func killGroup(cmd *exec.Cmd) error { return cmd.Process.Kill() }
