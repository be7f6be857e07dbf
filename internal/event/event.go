// SPDX-License-Identifier: GPL-3.0-or-later

// Package event hands changes of the farm from the store to whoever waits for them: it wakes those who only need to
// know that something changed, and feeds those who tell clients what changed. It must not know how clients are reached.
package event

import (
	"sync"
	"sync/atomic"
	"time"

	"flamenco.farm/internal/farm"
)

// Bus passes changes on. The zero Bus is ready to use.
type Bus struct {
	mu    sync.Mutex
	subs  map[*Subscription]struct{}
	feeds []*Feed
	seq   int64

	wanted atomic.Uint32 // the kinds that some feed listens to

	published, lost atomic.Int64
}

// Stats counts events since the start.
type Stats struct {
	Published int64 // changes that somebody listens to
	Lost      int64 // times that a feed gave up what waited: it was not read fast enough, or the database could not be read
}

// Stats never waits.
func (b *Bus) Stats() Stats { return Stats{Published: b.published.Load(), Lost: b.lost.Load()} }

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

// Publish wakes everybody whom one of the changes concerns, and feeds those who listen. It never blocks.
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
	b.feed(changes)
}

// Announce is Publish for what is not in the database, which nobody but feeds waits for.
func (b *Bus) Announce(changes ...farm.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.feed(changes)
}

// Hears reports whether any client would be told of a change.
func (b *Bus) Hears(c farm.Change) bool {
	if !b.Wanted(c.Kind) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.feeds {
		if f.kinds.Load()&bit(c.Kind) != 0 && f.wants(c) {
			return true
		}
	}
	return false
}

// Wanted reports whether any feed listens to changes of a kind; if not, nobody needs to say what they are.
func (b *Bus) Wanted(kind farm.ChangeKind) bool { return b.wanted.Load()&bit(kind) != 0 }

func (b *Bus) feed(changes []farm.Change) {
	if b.wanted.Load() == 0 {
		return
	}
	for _, c := range changes {
		c, lost := asTold(c)
		if !lost && !b.Wanted(c.Kind) {
			continue
		}
		if b.seq == 0 {
			// Numbers go on to grow over restarts: a Manager makes less than one in a microsecond.
			b.seq = time.Now().UnixMicro()
		}
		b.seq++
		b.published.Add(1)
		for _, f := range b.feeds {
			if lost {
				f.losesAll()
			} else {
				f.hear(c, b.seq)
			}
		}
	}
}

// asTold is a change as clients are told of it; one of no kind is nothing to them. all says that anything may have changed.
func asTold(c farm.Change) (told farm.Change, all bool) {
	switch {
	case c.Kind == farm.ChangeJobDeleted:
		return farm.Change{Kind: farm.ChangeJob, JobID: c.JobID, Now: &farm.JobChange{ID: c.JobID, Deleted: true}}, false
	case c.Kind == farm.ChangeLastRendered && c.Now == nil, // whoever has the picture announces it
		c.Kind == farm.ChangeRefresh && c.Heard, c.Kind == farm.ChangeTask && c.Mass:
		return farm.Change{}, false
	case c.Kind == farm.ChangeRefresh && c.JobID != "":
		return farm.Change{Kind: farm.ChangeJob, JobID: c.JobID, Mass: true}, false
	}
	return c, c.Kind == farm.ChangeRefresh
}

// listen brings what is wanted in line with what the feeds listen to.
func (b *Bus) listen(f *Feed, kinds uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f.kinds.Store(kinds)
	all := uint32(0)
	for _, f := range b.feeds {
		all |= f.kinds.Load()
	}
	b.wanted.Store(all)
}

func (s *Subscription) concerns(changes []farm.Change) bool {
	for _, c := range changes {
		if s.match(c) {
			return true
		}
	}
	return false
}

// bit stands for a kind that feeds can listen to, 0 for others.
func bit(kind farm.ChangeKind) uint32 {
	switch kind {
	case farm.ChangeJob:
		return 1 << 0
	case farm.ChangeTask:
		return 1 << 1
	case farm.ChangeWorker:
		return 1 << 2
	case farm.ChangeTag:
		return 1 << 3
	case farm.ChangeLastRendered:
		return 1 << 4
	case farm.ChangeTaskLog:
		return 1 << 5
	case farm.ChangeLifecycle:
		return 1 << 6
	case farm.ChangeStatus:
		return 1 << 7
	}
	return 0
}
