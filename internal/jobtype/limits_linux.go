// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// limitProcess lets the kernel stop what the script engine does not notice. The address space is counted from what the
// process has now, because a Go process starts with more than a gigabyte reserved.
func limitProcess(cpu time.Duration, memory int64) error {
	var pages uint64
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(string(statm), &pages); err != nil {
		return fmt.Errorf("reading /proc/self/statm: %w", err)
	}
	space := pages*uint64(os.Getpagesize()) + 2*uint64(memory) + goBudget
	seconds := uint64(math.Ceil(cpu.Seconds())) + 2
	for _, limit := range []struct {
		what     int
		cur, max uint64
	}{
		{unix.RLIMIT_CPU, seconds, seconds + 1},
		{unix.RLIMIT_AS, space, space},
		{unix.RLIMIT_CORE, 0, 0},
		{unix.RLIMIT_NOFILE, 3, 3},
	} {
		if err := unix.Setrlimit(limit.what, &unix.Rlimit{Cur: limit.cur, Max: limit.max}); err != nil {
			return fmt.Errorf("setrlimit %d: %w", limit.what, err)
		}
	}
	return nil
}
