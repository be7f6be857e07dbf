// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !race

package jobtype

// goBudget is the address space that the Go side of a compiler process may take beside the script's own memory.
const goBudget = 512 << 20
