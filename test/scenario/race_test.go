// SPDX-License-Identifier: GPL-3.0-or-later

//go:build race

package scenario

// manyTasksCount is smaller under the race detector, which makes the databases ten times as slow.
const manyTasksCount = 1000
