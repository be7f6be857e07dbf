// SPDX-License-Identifier: GPL-3.0-or-later

package micros_test

import (
	"testing"
	"time"

	"flamenco.farm/internal/store/micros"
)

func TestATimeComesBackInUTCAndInWholeMicroseconds(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("far away", 5*3600)
	for given, want := range map[time.Time]time.Time{
		{}: {},
		time.Date(2026, 3, 1, 4, 5, 6, 1999, zone): time.Date(2026, 2, 28, 23, 5, 6, 1000, time.UTC),
	} {
		stored, err := micros.Of(given).Value()
		if err != nil {
			t.Fatal(err)
		}
		var got micros.Time
		if err := got.Scan(stored); err != nil || got.Time != want {
			t.Errorf("%v is stored as %v and comes back as %v, %v", given, stored, got, err)
		}
	}
	if never, _ := micros.Of(time.Time{}).Value(); never != int64(0) {
		t.Errorf("never is stored as %v", never)
	}
	var got micros.Time
	if err := got.Scan("2026-03-01"); err == nil {
		t.Error("a text was taken for a time")
	}
}
