// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"flamenco.farm/test/load/measure"
)

func newSuite() *suite {
	return &suite{Options: Options{Progress: io.Discard}, engine: sqliteEngine{}, runs: 3}
}

func TestALineWithErrorsIsNotMet(t *testing.T) {
	t.Parallel()
	fine := &measure.Report{Rate: 1000}
	for _, wrong := range []*measure.Report{
		{Rate: 1000, Errors: map[string]int{"claim: 503": 2}},
		{Rate: 1000, Figures: map[string]float64{measure.EventsMissing: 3}},
	} {
		s := newSuite()
		s.add("cycles", "1000 /s", "≥ 1000 /s", met, "", fine, wrong)
		if l := s.table.lines[0]; l.verdict != notMet || !strings.Contains(l.note, "times)") || len(s.failed) != 1 {
			t.Errorf("%+v, %v", l, s.failed)
		}
	}
	s := newSuite()
	s.add("cycles", "1000 /s", "≥ 1000 /s", met, "", fine)
	if l := s.table.lines[0]; l.verdict != met || len(s.failed) != 0 {
		t.Errorf("%+v, %v", l, s.failed)
	}
}

func TestWhatWasNotMeasuredMeetsNoTarget(t *testing.T) {
	t.Parallel()
	one := &measure.Report{Calls: map[string]measure.Latency{"claim": {N: 7, P50: 1, P99: 2}}}
	if p := (runs{one, one, one}).p99("claim"); p != 2 {
		t.Errorf("p99 %v, want 2", p)
	}
	none := runs{one, one, {}}
	if p := none.p99("claim"); !math.IsNaN(p) || verdict(p <= 10) != notMet {
		t.Errorf("p99 %v of a run without claims", p)
	}
	if r := ratio(5, 0); !math.IsNaN(r) || !math.IsNaN(median(nil)) {
		t.Errorf("%v, %v: want no numbers", r, median(nil))
	}
	s := newSuite()
	s.add("claim", "p99 NaN ms", "", "", "")
	if l := s.table.lines[0]; l.verdict != notMet || len(s.failed) != 1 {
		t.Errorf("%+v, %v", l, s.failed)
	}
}

func TestOnlyClaimsDuringAChangeCount(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var a asked
	for _, c := range [][2]int{{-90, -10}, {-5, 2}, {3, 4}, {9, 30}, {11, 12}} {
		a.note(at(c[0]), at(c[1]))
	}
	if got := a.during(at(0), at(10)); got.N != 3 || got.Max != 21 {
		t.Errorf("%+v, want 3 claims, the longest 21 ms", got)
	}
	if got := a.during(at(100), at(110)); !math.IsNaN(got.P99) {
		t.Errorf("%+v, want no numbers", got)
	}
}

func TestARowThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := Run(context.Background(), Options{Only: "typo", Database: "sqlite", Folder: t.TempDir(), Out: &out, Progress: io.Discard})
	if err == nil || out.Len() > 0 {
		t.Errorf("error %v, table %q", err, out.String())
	}
}
