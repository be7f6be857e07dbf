// SPDX-License-Identifier: GPL-3.0-or-later

package store

import "golang.org/x/sys/windows"

// freeSpace is how many bytes this user may still write to the disk of a folder.
func freeSpace(folder string) (free uint64, err error) {
	name, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return 0, err
	}
	return free, windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
}
