// SPDX-License-Identifier: GPL-3.0-or-later

package event_test

import (
	"testing"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
)

func aboutJob(id string) func(farm.Change) bool {
	return func(c farm.Change) bool { return c.JobID == id }
}

func woken(s *event.Subscription) bool {
	select {
	case <-s.C:
		return true
	default:
		return false
	}
}

func TestOnlyThoseConcernedAreWoken(t *testing.T) {
	t.Parallel()
	var bus event.Bus
	a, b := bus.Subscribe(aboutJob("a")), bus.Subscribe(aboutJob("b"))
	bus.Publish([]farm.Change{{JobID: "x"}, {JobID: "a"}})
	if !woken(a) || woken(b) {
		t.Fatal("the change of job a woke the wrong ones")
	}
	a.Narrow(aboutJob("b"))
	bus.Publish([]farm.Change{{JobID: "a"}})
	if woken(a) {
		t.Fatal("woken by what it does not match any more")
	}
}

func TestManyChangesWakeOnceAndNobodyBlocks(t *testing.T) {
	t.Parallel()
	var bus event.Bus
	s := bus.Subscribe(aboutJob("a"))
	for range 10 {
		bus.Publish([]farm.Change{{JobID: "a"}})
	}
	if !woken(s) || woken(s) {
		t.Fatal("ten changes are one wake-up")
	}
}

func TestNothingArrivesAfterClose(t *testing.T) {
	t.Parallel()
	var bus event.Bus
	s := bus.Subscribe(aboutJob("a"))
	s.Close()
	bus.Publish([]farm.Change{{JobID: "a"}})
	if woken(s) {
		t.Fatal("woken after Close")
	}
}
