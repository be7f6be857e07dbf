// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// renameExclusively renames only if nothing is at the new name.
func renameExclusively(from, to string) error {
	oldName, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	newName, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	// Neither REPLACE_EXISTING nor COPY_ALLOWED.
	if err := windows.MoveFileEx(oldName, newName, 0); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func isOtherDisk(err error) bool { return errors.Is(err, windows.ERROR_NOT_SAME_DEVICE) }

func isDiskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
