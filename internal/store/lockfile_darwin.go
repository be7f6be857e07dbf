// SPDX-License-Identifier: GPL-3.0-or-later

package store

import "golang.org/x/sys/unix"

func networkFileSystem(folder string) string {
	var st unix.Statfs_t
	if unix.Statfs(folder, &st) != nil {
		return ""
	}
	switch kind := unix.ByteSliceToString(st.Fstypename[:]); kind {
	case "nfs", "smbfs", "afpfs", "webdav":
		return kind
	}
	return ""
}
