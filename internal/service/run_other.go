// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !windows

package service

import "os"

// Run runs a program, which is told by signals to stop. systemd and launchd start a program like anybody else.
func Run(_ string, signals chan os.Signal, program func(signals <-chan os.Signal) int) int {
	return program(signals)
}
