// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package worker

import (
	"os"

	"golang.org/x/sys/unix"
)

func tryLock(file *os.File) error {
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
