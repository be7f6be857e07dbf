// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !race

package scenario

const (
	manyTasksCount   = 5000
	lostManagerTasks = 500
)
