// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameExclusively renames only if nothing is at the new name.
func renameExclusively(from, to string) error {
	err := unix.RenamexNp(from, to, unix.RENAME_EXCL)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP):
		return renameIfAbsent(from, to) // network file systems do not know how
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}
