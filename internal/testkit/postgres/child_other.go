// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix && !linux

package postgres

import "os/exec"

func startChild(command *exec.Cmd) error { return command.Start() }
