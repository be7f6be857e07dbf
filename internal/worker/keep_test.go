// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"testing"
	"time"
)

func TestOnlyProcessesThatMustNotRunTwiceAreGivenATime(t *testing.T) {
	t.Parallel()
	w := &Worker{client: &client{session: "session", lease: 40 * time.Second, contact: time.Now().Add(-10 * time.Second)}}
	w.timing.grace = 2 * time.Second
	for _, c := range []struct {
		name string
		run  run
	}{
		{"one that goes on without the Manager", run{session: "session"}},
		{"one of an upstream Manager", run{stopAlone: true}},
	} {
		if w.left(&c.run) != nil {
			t.Errorf("%s is given a time", c.name)
		}
	}
	left := w.left(&run{stopAlone: true, session: "session"})
	if left == nil {
		t.Fatal("no time is given")
	}
	// The lease without the margin, less the silence, and what the process has for ending when it is asked to.
	if got := left(); got > 22*time.Second || got < 10*time.Second {
		t.Errorf("%v are left, want 22s", got)
	}
}
