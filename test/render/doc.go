// SPDX-License-Identifier: GPL-3.0-or-later

// Package render holds tests only. They render with the real programs, from the submission of a job to frames on disk:
// the Manager and the Worker as they are shipped, Blender and FFmpeg of the system, and programs that misbehave in
// Blender's place. The tests know the programs from outside only: their configuration, their API, their processes and
// their files. They need Linux, whose /proc shows what is left of a process.
package render
