// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAClockIsNotSetByAnAnswerThatTookLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ahead = time.Hour // of the database
		ask := func(c *clock, there, back time.Duration) bool {
			asked := time.Now()
			time.Sleep(there)
			said := time.Now().Add(ahead)
			time.Sleep(back)
			return c.set(said, asked, time.Now())
		}
		off := func(c *clock) time.Duration {
			now, _ := c.now()
			return now.Sub(time.Now().Add(ahead)).Abs()
		}
		var c clock
		if !ask(&c, time.Millisecond, time.Millisecond) || off(&c) != 0 {
			t.Errorf("a prompt answer leaves the clock wrong by %v", off(&c))
		}
		for _, way := range [][2]time.Duration{{0, 5 * time.Second}, {5 * time.Second, 0}} { // the process stood still
			time.Sleep(2 * resync)
			if _, stale := c.now(); !stale {
				t.Error("the clock is not compared again")
			}
			ask(&c, way[0], way[1])
			if off(&c) > promptly {
				t.Errorf("an answer after %v and %v left the clock wrong by %v", way[0], way[1], off(&c))
			}
			if _, stale := c.now(); !stale {
				t.Error("the clock does not want a better answer")
			}
		}
		if !ask(&c, promptly, promptly) || off(&c) != 0 {
			t.Errorf("an answer of usual speed leaves the clock wrong by %v", off(&c))
		}

		var slow clock // better a bad comparison than none
		if ask(&slow, 0, time.Second) {
			t.Error("a first answer that took long passes for good")
		}
		if off(&slow) > time.Second/2 || off(&slow) == 0 {
			t.Errorf("wrong by %v", off(&slow))
		}
		if !ask(&slow, 0, 2*promptly) || off(&slow) > promptly {
			t.Errorf("a better answer leaves it wrong by %v", off(&slow))
		}
	})
}
