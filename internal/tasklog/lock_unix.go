// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package tasklog

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLockFile takes the lock of a file; false if another process has it.
func tryLockFile(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		default:
			return err == nil, err
		}
	}
}

func unlockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
