// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux && !race

package preview

import (
	"fmt"
	"math"
	"os"
	"syscall"
	"time"
)

// addressSpace is what the process may take beside what it has at its start, in bytes: decoding, scaling and the room
// that Go's collector needs.
const addressSpace = 2*decodeMemory + 1<<30

// restrict lets the kernel end a process whose decoder does not know its limits.
func restrict(limit time.Duration) error {
	var pages uint64
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(string(statm), &pages); err != nil {
		return fmt.Errorf("reading /proc/self/statm: %w", err)
	}
	space := pages*uint64(os.Getpagesize()) + addressSpace
	seconds := 4 * (uint64(math.Ceil(limit.Seconds())) + 1) // of all processors together
	for what, most := range map[int]uint64{syscall.RLIMIT_AS: space, syscall.RLIMIT_CPU: seconds, syscall.RLIMIT_CORE: 0} {
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("setrlimit %d: %w", what, err)
		}
	}
	return yield()
}
