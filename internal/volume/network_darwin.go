// SPDX-License-Identifier: GPL-3.0-or-later

package volume

import "golang.org/x/sys/unix"

// Network is the kind of the file system of a folder if it is known to be on a network, else "".
func Network(folder string) string {
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
