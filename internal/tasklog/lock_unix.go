// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package tasklog

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile waits until no other process has the lock.
func lockFile(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func unlockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
