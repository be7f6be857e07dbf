// SPDX-License-Identifier: GPL-3.0-or-later

package preview

import (
	"os/exec"
	"syscall"
	"time"
)

// isolate keeps a Ctrl-C in the Manager's console from the process, and lets everything else on the machine go first.
func isolate(cmd *exec.Cmd) {
	const belowNormalPriority = 0x4000
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | belowNormalPriority}
}

// restrict adds nothing here: the limits of the decoder and the Manager's clock apply.
func restrict(time.Duration) error { return nil }
