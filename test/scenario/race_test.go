// SPDX-License-Identifier: GPL-3.0-or-later

//go:build race

package scenario

// There are fewer tasks under the race detector, which makes the databases ten times as slow.
const (
	manyTasksCount   = 1000
	lostManagerTasks = 150
)
