// SPDX-License-Identifier: GPL-3.0-or-later

// Package process runs one operating system command so that nothing of it survives a stop.
//
// Run starts the program's own binary again as a shim, which starts the command and holds a pipe to its parent: end of
// file on it means that the parent is gone, and the shim kills the whole tree at once. The package owns the shim, the
// markers in the environment that find what is left of an earlier run, and the splitting of output into lines.
//
// It must not know what a task, a Manager or a Blender is, and it stays light on imports: the shim starts once per
// command, and every package that it initialises is paid for each time.
//
// How the tree is held together:
//
//	Linux    the shim is the sub-reaper of all that the command starts, however often that forks and daemonises, so that
//	         "no child left to wait for" means that the tree is gone. A cgroup v2 of its own is used where the present
//	         one may have children. If the shim itself is killed, the parent ends what carries the assignment's marker.
//	macOS    process group, descendants by parent, and the marker in the environment, as far as the system shows it.
//	Windows  a job object that kills all of its members when its last handle, held by the parent, is closed.
package process
