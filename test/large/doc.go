// SPDX-License-Identifier: GPL-3.0-or-later

// Package large holds benchmarks of a Manager with large jobs and a full database, in a process of its own whose memory
// and processor time they read. They print figures and judge nothing:
//
//	go test ./test/large -run '^$' -bench .
package large
