// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package blender

import (
	"os/exec"
	"syscall"
)

// runAlone runs cmd in a process group of its own, of which nothing is left when it returns.
func runAlone(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killGroup := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = killGroup
	if err := cmd.Start(); err != nil {
		return err
	}
	// What it left in the background still is in the group, which keeps the group's number from being given again.
	defer func() { _ = killGroup() }() // usually there is nobody
	return cmd.Wait()
}
