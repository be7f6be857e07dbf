// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"slices"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

func TestWhoCannotReadEventsForLongHearsThatAnythingMayHaveChanged(t *testing.T) {
	t.Parallel()
	s, other := openOnPostgres(t)
	var heard []farm.Change
	f := newFollower(Options{OnRemote: func(changes []farm.Change) { heard = append(heard, changes...) }}, s)
	look := func(later time.Duration) (kinds []farm.ChangeKind) {
		t.Helper()
		if !f.looked.IsZero() {
			f.looked = f.looked.Add(-later)
		}
		heard = nil
		if _, err := f.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range heard {
			kinds = append(kinds, c.Kind)
		}
		return kinds
	}
	is := func(when string, got []farm.ChangeKind, want ...farm.ChangeKind) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s it hears %v instead of %v", when, got, want)
		}
	}
	is("in the beginning", look(0), farm.ChangeRefresh)
	if _, err := other.Exec("BEGIN; SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	err := s.Do(t.Context(), func(tx *Tx) error {
		tx.Changed(farm.Change{Kind: farm.ChangeJob, JobID: "j"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const some = unreadEvents / 3
	for range 2 {
		is("while an older transaction runs", look(some))
		is("when it runs for long", look(some), farm.ChangeRefresh)
	}
	if _, err := other.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	var last []farm.ChangeKind
	eventually(t, "the transactions of other tests are over", func() bool { last = look(0); return len(last) > 0 })
	is("when it is over", last, farm.ChangeJob)
	for range 3 {
		is("when there is nothing", look(some))
	}
}
