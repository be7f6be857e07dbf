// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"math/rand/v2"
	"sync"
	"time"
)

// dice decides what goes wrong and when. The same seed throws the same, though what it meets differs with every run.
type dice struct {
	mu     sync.Mutex
	source *rand.Rand
	calm   bool // nothing goes wrong any more
}

func newDice(seed, stream uint64) *dice {
	return &dice{source: rand.New(rand.NewPCG(seed, stream))} //nolint:gosec // a test wants the same dice again
}

// fault reports whether something goes wrong that does so in so many of a thousand cases.
func (d *dice) fault(perMille int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.calm && d.source.IntN(1000) < perMille
}

func (d *dice) chance(percent int) bool { return d.below(100) < percent }

func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.source.IntN(n)
}

func (d *dice) between(from, to time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return from + time.Duration(d.source.Int64N(int64(to-from)))
}

// settle ends the faults.
func (d *dice) settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calm = true
}
