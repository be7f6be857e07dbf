// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package volume

import (
	"math"

	"golang.org/x/sys/unix"
)

// Free is how many bytes this user may still write to the file system of a folder, -1 if it does not tell.
func Free(folder string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return 0, err
	}
	if st.Blocks == 0 {
		return -1, nil
	}
	free := uint64(st.Bavail) * uint64(st.Bsize) //nolint:unconvert // the types differ between systems
	return int64(min(free, math.MaxInt64)), nil
}
