// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameExclusively renames only if nothing is at the new name.
func renameExclusively(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP):
		return renameIfAbsent(from, to) // network file systems do not know how
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}
