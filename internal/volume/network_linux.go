// SPDX-License-Identifier: GPL-3.0-or-later

package volume

import "golang.org/x/sys/unix"

// Numbers from statfs(2).
var networkMagic = map[uint32]string{
	0x6969:     "NFS",
	0x517B:     "SMB",
	0xFF534D42: "CIFS",
	0xFE534D42: "SMB2",
	0x0BD00BD0: "Lustre",
	0x01021997: "9p",
}

// Network is the kind of the file system of a folder if it is known to be on a network, else "".
func Network(folder string) string {
	var st unix.Statfs_t
	if unix.Statfs(folder, &st) != nil {
		return ""
	}
	return networkMagic[uint32(st.Type)]
}
