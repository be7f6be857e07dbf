// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package command

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// renameIfAbsent does what can be done without the kernel's help. A file gets its new name as a link, which never
// replaces; a folder cannot replace anything but an empty folder.
func renameIfAbsent(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		err := os.Link(from, to)
		if err == nil {
			return os.Remove(from)
		}
		if errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

func isOtherDisk(err error) bool { return errors.Is(err, syscall.EXDEV) }

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
