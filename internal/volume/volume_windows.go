// SPDX-License-Identifier: GPL-3.0-or-later

package volume

import (
	"math"

	"golang.org/x/sys/windows"
)

// Free is how many bytes this user may still write to the file system of a folder.
func Free(folder string) (int64, error) {
	name, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, math.MaxInt64)), nil
}

// Network is the kind of the file system of a folder if it is known to be on a network, else "".
func Network(string) string { return "" }
