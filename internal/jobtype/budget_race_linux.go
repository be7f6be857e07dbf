// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && race

package jobtype

// goBudget has room for the shadow memory of the race detector, which reserves it as it goes.
const goBudget = 1 << 40
