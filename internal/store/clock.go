// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"sync"
	"time"
)

const (
	// resync is how old a comparison with the clock of the database may be.
	resync = 5 * time.Second
	// jump is by how much the clocks of this machine may drift apart from each other before the comparison is void: one
	// of them stands still while a machine sleeps, the other is set by people.
	jump = 50 * time.Millisecond
	// promptly is by how much a comparison may be wrong without a better one being asked for. It is wrong by up to half
	// the time that the database took to answer.
	promptly = 20 * time.Millisecond
	// drift is how far clocks may go apart in a second.
	drift = time.Millisecond
	// askAtOnce is how often an unknown time is asked for until the answer is prompt.
	askAtOnce = 3
)

// clock is the time of the database, which all Managers share. Between two looks at it the monotonic clock of this machine
// goes on from the last one: rates of clocks can be trusted, what they show cannot.
type clock struct {
	mu       sync.Mutex
	database time.Time // what the database said
	at       time.Time // when it said so, with the monotonic reading
	doubt    time.Duration
}

// now is the time of the database; stale says that it should be asked.
func (c *clock) now() (t time.Time, stale bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	here := time.Now()
	if c.at.IsZero() {
		return here.UTC(), true
	}
	went := here.Sub(c.at)
	return c.database.Add(went), went > resync || c.jumped(here)
}

// jumped reports whether the clocks of this machine went apart since the last comparison, which is void then.
func (c *clock) jumped(here time.Time) bool {
	wall := here.Round(0).Sub(c.at.Round(0))
	return (wall - here.Sub(c.at)).Abs() > jump
}

// set notes what the database said between two moments, unless what is known is better: a process that stood still, or a
// network that did, between the two makes an answer worthless. It reports whether the time is known well now.
func (c *clock) set(database, asked, answered time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	doubt := answered.Sub(asked) / 2
	if !c.at.IsZero() && !c.jumped(answered) {
		known := c.doubt + time.Duration(answered.Sub(c.at).Seconds()*float64(drift))
		if doubt > max(promptly, known) {
			return true
		}
	}
	c.database, c.at, c.doubt = database.Add(doubt), answered, doubt
	return doubt <= promptly
}

// read is the time of the database, asked for if the last answer is too old.
func (c *clock) read(ctx context.Context, db rowQuerier) (time.Time, error) {
	t, stale := c.now()
	if !stale {
		return t, nil
	}
	for range askAtOnce {
		var micros int64
		asked := time.Now()
		err := db.QueryRowContext(ctx, "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)").Scan(&micros)
		if err != nil {
			return time.Time{}, err
		}
		if c.set(time.UnixMicro(micros).UTC(), asked, time.Now()) {
			break
		}
	}
	t, _ = c.now()
	return t, nil
}

// uncertainty is by how much the time may be wrong.
func (c *clock) uncertainty() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubt + time.Duration(time.Since(c.at).Seconds()*float64(drift))
}

// Earliest is Now, or a little before: at no Manager can the time be earlier. What takes something from somebody because a
// time is over goes by this one, and leases are renewed from the latest that the time can be.
func (s *Store) Earliest() time.Time {
	if s.clock == nil {
		return time.Now()
	}
	return s.Now().Add(-s.clock.uncertainty())
}

// Latest is Now, or a little later: at no Manager can the time be later.
func (s *Store) Latest() time.Time {
	if s.clock == nil {
		return time.Now()
	}
	return s.Now().Add(s.clock.uncertainty())
}

// Now is the time by which the farm goes: that of the database where Managers share one.
func (s *Store) Now() time.Time {
	if s.clock == nil {
		return time.Now()
	}
	t, _ := s.clock.now()
	return t
}
