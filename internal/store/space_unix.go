// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package store

import "golang.org/x/sys/unix"

// freeSpace is how many bytes this user may still write to the disk of a folder.
func freeSpace(folder string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return 0, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil //nolint:unconvert // the types differ between systems
}
