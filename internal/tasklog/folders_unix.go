// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package tasklog

import (
	"os"
	"syscall"

	"flamenco.farm/internal/volume"
)

// maxFolders is how many folders stay open.
const maxFolders = 128

// maxLogs is how many logs stay open that are appended to: none on a network, where only closing one may tell that there was
// no space for it.
func maxLogs(folder string) int {
	if volume.Network(folder) != "" {
		return 0
	}
	return 256
}

// isDeleted reports whether an open folder has no name any more. What is made in it then would be lost; the system refuses.
func isDeleted(folder *os.File) bool {
	info, err := folder.Stat()
	if err != nil {
		return true
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || stat.Nlink == 0
}
