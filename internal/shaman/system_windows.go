// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// isFull reports whether err says that the disk or somebody's share of it is full.
func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// syncFolder has nothing to do: Windows writes renames to its journal in order.
func syncFolder(*os.Root, string) error { return nil }

// names is how many names a file has, 1 if that cannot be found out.
func names(root *os.Root, name string, _ fs.FileInfo) uint64 {
	f, err := root.Open(name)
	if err != nil {
		return 1
	}
	defer f.Close()
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info); err != nil {
		return 1
	}
	return uint64(info.NumberOfLinks)
}
