// SPDX-License-Identifier: GPL-3.0-or-later

package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, whatever machine they run on

	"pgregory.net/rapid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow/schedule"
)

// zones change their clocks in many ways: by half an hour, by two, at midnight, a minute after it, by a whole day.
var zones = []string{
	"UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "America/St_Johns", "Africa/Cairo",
	"America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Kiritimati", "Africa/Casablanca",
}

func load(t interface{ Fatalf(string, ...any) }, name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return zone
}

// clock is what the clock of a zone shows, a minute after the other: what the package is compared with.
type clock struct {
	begin time.Time
	shown []time.Time // the date and time that the clock shows, as if it were UTC
}

func readClock(zone *time.Location, begin time.Time, minutes int) clock {
	c := clock{begin: begin}
	for i := range minutes {
		t := begin.Add(time.Duration(i) * time.Minute).In(zone)
		c.shown = append(c.shown, time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC))
	}
	return c
}

// first is the first minute at which the clock shows a time or a later one.
func (c clock) first(wall time.Time) int {
	// No clock was ever changed by more than a day: before this minute it shows less.
	from := min(max(int(wall.Sub(c.shown[0])/time.Minute)-26*60, 0), len(c.shown))
	if i := slices.IndexFunc(c.shown[from:], func(s time.Time) bool { return !s.Before(wall) }); i >= 0 {
		return from + i
	}
	return len(c.shown)
}

// mark notes every minute that lies in a window, and every minute at which one begins or ends.
func (c clock) mark(windows []farm.SleepWindow) (asleep, edge []bool) {
	asleep, edge = make([]bool, len(c.shown)+1), make([]bool, len(c.shown)+1)
	y, m, d := c.shown[0].Date()
	for n := range len(c.shown)/1440 + 3 {
		day := time.Date(y, m, d+n-1, 0, 0, 0, 0, time.UTC)
		for _, w := range windows {
			if w.Days != "" && !strings.Contains(w.Days, strings.ToLower(day.Weekday().String()[:2])) {
				continue
			}
			start, end := day, day.AddDate(0, 0, 1)
			if w.Start != "" {
				start = at(day, w.Start)
			}
			if w.End != "" {
				end = at(day, w.End)
			}
			if end.Before(start) {
				end = end.AddDate(0, 0, 1)
			}
			from, to := c.first(start), c.first(end)
			for i := from; i < to; i++ {
				asleep[i] = true
			}
			if from < to {
				edge[from], edge[to] = true, true
			}
		}
	}
	return asleep, edge
}

func at(day time.Time, text string) time.Time {
	t, err := time.Parse("15:04", text)
	if err != nil {
		panic(err) // the generator makes no others
	}
	return day.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute)
}

func genWindows(t *rapid.T) []farm.SleepWindow {
	clockTime := rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 4).Draw(t, "blank") == 0 {
			return ""
		}
		return fmt.Sprintf("%02d:%02d", rapid.IntRange(0, 23).Draw(t, "hour"), rapid.SampledFrom([]int{0, 1, 15, 29, 30, 59}).Draw(t, "minute"))
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) farm.SleepWindow {
		days := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"mo", "tu", "we", "th", "fr", "sa", "su"}), 0, 7, rapid.ID).Draw(t, "days")
		return farm.SleepWindow{Days: strings.Join(days, " "), Start: clockTime.Draw(t, "start"), End: clockTime.Draw(t, "end")}
	}), 0, 4).Draw(t, "windows")
}

// genBegin is the beginning of a minute a few days before the clock of the zone changes, or anywhere where it never does.
func genBegin(t *rapid.T, zone *time.Location) time.Time {
	near := time.Unix(rapid.Int64Range(1_262_304_000/60, 1_900_000_000/60).Draw(t, "minute")*60, 0)
	if _, end := near.In(zone).ZoneBounds(); !end.IsZero() {
		near = end
	}
	return near.Truncate(time.Minute).Add(-time.Duration(rapid.IntRange(2*1440, 6*1440).Draw(t, "before")) * time.Minute)
}

func TestAScheduleIsWhatTheClockShowsMinuteByMinute(t *testing.T) {
	t.Parallel()
	const weeks = 2
	rapid.Check(t, func(t *rapid.T) {
		zone := load(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		begin := genBegin(t, zone)
		windows := genWindows(t)
		s, err := schedule.New(windows, zone)
		if err != nil {
			t.Fatal(err)
		}
		// What came before the first three days is out of sight of the oracle, and so is what comes after the last ones.
		c := readClock(zone, begin.Add(-3*24*time.Hour), (weeks*7+6)*1440)
		asleep, edges := c.mark(windows)
		next := time.Time{}
		for i := len(c.shown) - 3*1440; i >= 3*1440; i-- {
			now := c.begin.Add(time.Duration(i) * time.Minute)
			if i%13 != 0 && !edges[i-1] && !edges[i] && !edges[i+1] {
				continue // as its neighbours are
			}
			if got := s.Asleep(now); got != asleep[i] {
				t.Fatalf("at %s: asleep %v, want %v", now.In(zone), got, asleep[i])
			}
			if !next.IsZero() {
				if got, ok := s.NextEdge(now); !ok || !got.Equal(next) {
					t.Fatalf("after %s: %s (%v), want %s", now.In(zone), got.In(zone), ok, next.In(zone))
				}
			}
			if edges[i] {
				next = now
			}
		}
	})
}

func TestTheClockThatChangesDefinesWhatAnEdgeIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone       string
		window     farm.SleepWindow
		after      string
		start, end string // in UTC
	}{
		"across midnight":                    {"Europe/Amsterdam", farm.SleepWindow{Days: "fr", Start: "18:00", End: "08:00"}, "2026-01-05T00:00:00Z", "2026-01-09T17:00:00Z", "2026-01-10T07:00:00Z"},
		"a whole day":                        {"Europe/Amsterdam", farm.SleepWindow{Days: "sa"}, "2026-01-05T00:00:00Z", "2026-01-09T23:00:00Z", "2026-01-10T23:00:00Z"},
		"a day of 23 hours":                  {"Europe/Amsterdam", farm.SleepWindow{Days: "su"}, "2026-03-28T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		"a day of 25 hours":                  {"Europe/Amsterdam", farm.SleepWindow{Days: "su"}, "2026-10-24T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		"a start that the clock skips":       {"Europe/Amsterdam", farm.SleepWindow{Start: "02:30", End: "05:00"}, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"},
		"an end that the clock skips":        {"Europe/Amsterdam", farm.SleepWindow{Start: "22:00", End: "02:30"}, "2026-03-28T12:00:00Z", "2026-03-28T21:00:00Z", "2026-03-29T01:00:00Z"},
		"a window that the clock skips":      {"Europe/Amsterdam", farm.SleepWindow{Start: "02:10", End: "02:50"}, "2026-03-28T12:00:00Z", "2026-03-30T00:10:00Z", "2026-03-30T00:50:00Z"},
		"a start that the clock shows twice": {"Europe/Amsterdam", farm.SleepWindow{Start: "02:30", End: "05:00"}, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T04:00:00Z"},
		"an end that the clock shows twice":  {"Europe/Amsterdam", farm.SleepWindow{Start: "22:00", End: "02:30"}, "2026-10-24T12:00:00Z", "2026-10-24T20:00:00Z", "2026-10-25T00:30:00Z"},
		"a day that the calendar skips":      {"Pacific/Apia", farm.SleepWindow{Days: "fr", Start: "09:00", End: "17:00"}, "2011-12-29T12:00:00Z", "2012-01-05T19:00:00Z", "2012-01-06T03:00:00Z"},
		"a midnight that the clock skips":    {"America/Sao_Paulo", farm.SleepWindow{Days: "su", End: "06:00"}, "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-04T08:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.New([]farm.SleepWindow{c.window}, load(t, c.zone))
			if err != nil {
				t.Fatal(err)
			}
			after := instant(t, c.after)
			for _, want := range []string{c.start, c.end} {
				edge, ok := s.NextEdge(after)
				if !ok || !edge.Equal(instant(t, want)) {
					t.Fatalf("the edge after %s is %s (%v), want %s", after, edge.UTC(), ok, want)
				}
				if before, then := s.Asleep(edge.Add(-time.Nanosecond)), s.Asleep(edge); before == then || then != (want == c.start) {
					t.Errorf("at %s: asleep %v, then %v", want, before, then)
				}
				after = edge
			}
		})
	}
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestAWindowWithoutLengthNeverSleeps(t *testing.T) {
	t.Parallel()
	s, err := schedule.New([]farm.SleepWindow{{Start: "09:00", End: "09:00"}}, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if edge, ok := s.NextEdge(instant(t, "2026-01-05T00:00:00Z")); ok {
		t.Errorf("there is an edge at %s", edge)
	}
	if s.Asleep(instant(t, "2026-01-05T09:00:00Z")) {
		t.Error("it sleeps")
	}
}

func TestWindowsAreCleanedOrRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ given, want farm.SleepWindow }{
		{farm.SleepWindow{}, farm.SleepWindow{}},
		{farm.SleepWindow{Days: " MO  tuesday,We mo\tSun ", Start: " 9:05", End: "17:30 "}, farm.SleepWindow{Days: "mo tu we su", Start: "09:05", End: "17:30"}},
		{farm.SleepWindow{Days: "sa", Start: "00:00", End: "23:59"}, farm.SleepWindow{Days: "sa", Start: "00:00", End: "23:59"}},
	} {
		if got, err := schedule.Clean(c.given); err != nil || got != c.want {
			t.Errorf("%+v became %+v, %v", c.given, got, err)
		}
	}
	for _, bad := range []farm.SleepWindow{
		{Days: "m"},
		{Days: "mo x"},
		{Days: "xx"},
		{Days: "é"},
		{Days: "mö"},
		{Days: "mo;tu"},
		{Days: strings.Repeat("x", 5000)},
		{Days: "mo\x00"},
		{Start: "24:00"},
		{Start: "9"},
		{Start: "09:60"},
		{Start: "-1:00"},
		{End: "noon"},
		{End: "09:00:00"},
		{End: strings.Repeat("ü", 5000)},
	} {
		_, err := schedule.Clean(bad)
		if farm.CodeOf(err) != farm.CodeInvalid || len(err.Error()) > 200 {
			t.Errorf("%.40v is accepted or answered at length: %v", bad, err)
		}
		if _, newErr := schedule.New([]farm.SleepWindow{bad}, time.UTC); newErr == nil {
			t.Errorf("%.40v makes a schedule", bad)
		}
	}
}
