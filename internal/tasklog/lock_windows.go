// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile waits until no other process has the lock.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped))
}

func unlockFile(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, new(windows.Overlapped))
}
