// SPDX-License-Identifier: GPL-3.0-or-later

// Package event hands changes of the farm from the store to whoever waits for them. It knows nothing of what they mean.
package event

import (
	"sync"

	"flamenco.farm/internal/farm"
)

// Bus passes changes on. The zero Bus is ready to use.
type Bus struct {
	mu   sync.Mutex
	subs map[*Subscription]struct{}
}

// Subscription wakes its owner when a change matches.
type Subscription struct {
	// C receives once for any number of matching changes since it was last read.
	C     chan struct{}
	bus   *Bus
	match func(farm.Change) bool
}

// Subscribe starts to listen. match runs while a commit is published: it must be quick and must not block.
func (b *Bus) Subscribe(match func(farm.Change) bool) *Subscription {
	s := &Subscription{C: make(chan struct{}, 1), bus: b, match: match}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = map[*Subscription]struct{}{}
	}
	b.subs[s] = struct{}{}
	return s
}

// Narrow replaces what the subscription matches.
func (s *Subscription) Narrow(match func(farm.Change) bool) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.match = match
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.subs, s)
}

// Publish wakes everybody whom one of the changes concerns. It never blocks.
func (b *Bus) Publish(changes []farm.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		if s.concerns(changes) {
			select {
			case s.C <- struct{}{}:
			default: // it has not looked at the last one yet
			}
		}
	}
}

func (s *Subscription) concerns(changes []farm.Change) bool {
	for _, c := range changes {
		if s.match(c) {
			return true
		}
	}
	return false
}
