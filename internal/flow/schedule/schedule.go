// SPDX-License-Identifier: GPL-3.0-or-later

// Package schedule knows when a worker sleeps by its schedule: whether it does at a moment, and when that may change
// next. It is pure: windows, zone and time are arguments. It must not know workers, storage or who acts on its answers.
//
// A window belongs to the day on which it begins. Where the clock of the zone is put forward, a time that it skips is
// the moment of the jump; where it is put back, a time that it shows twice is the first of the two.
package schedule

import (
	"time"

	"flamenco.farm/internal/farm"
)

// dayMinutes is the end of a day, in minutes from its beginning as clocks count them.
const dayMinutes = 24 * 60

// Schedule is a list of windows in a zone.
type Schedule struct {
	windows []window
	zone    *time.Location
}

// window is a SleepWindow as numbers: start and end in minutes from the beginning of the day on which it begins.
type window struct {
	days       [7]bool // by time.Weekday
	start, end int
}

// New makes a Schedule. A day or time that cannot be read is an error of code farm.CodeInvalid.
func New(windows []farm.SleepWindow, zone *time.Location) (*Schedule, error) {
	s := &Schedule{zone: zone}
	for _, text := range windows {
		w, err := parse(text)
		if err != nil {
			return nil, err
		}
		s.windows = append(s.windows, w)
	}
	return s, nil
}

// Asleep tells whether a worker sleeps at a moment.
func (s *Schedule) Asleep(at time.Time) bool {
	asleep := false
	// The window that lasts now began today, or yesterday across midnight; a zone may have skipped the day between.
	s.spans(at, -2, 1, func(start, end time.Time) bool {
		asleep = !at.Before(start) && at.Before(end)
		return !asleep
	})
	return asleep
}

// NextEdge is the first moment after another one at which a window begins or ends; false if none ever does. It is an
// edge also where windows touch or overlap, so that a worker sleeps on, or is awake, before and after it.
func (s *Schedule) NextEdge(after time.Time) (edge time.Time, ok bool) {
	// A window comes each week, except in a week whose clock skips it, or a part of the world its day.
	s.spans(after, -2, 3*7, func(start, end time.Time) bool {
		if ok && start.After(edge.Add(2*24*time.Hour)) {
			return false // later days bring later edges
		}
		for _, t := range []time.Time{start, end} {
			if t.After(after) && (!ok || t.Before(edge)) {
				edge, ok = t, true
			}
		}
		return true
	})
	return edge, ok
}

// spans visits what becomes of the windows on the days around a moment, from one number of days after it to another,
// until visit says false. Windows without length are left out.
func (s *Schedule) spans(around time.Time, from, to int, visit func(start, end time.Time) bool) {
	y, m, d := around.In(s.zone).Date()
	for n := from; n <= to; n++ {
		day := time.Date(y, m, d+n, 0, 0, 0, 0, time.UTC) // the date alone, not a moment
		for _, w := range s.windows {
			if !w.days[day.Weekday()] {
				continue
			}
			start, end := s.moment(day, w.start), s.moment(day, w.end)
			if start.Before(end) && !visit(start, end) {
				return
			}
		}
	}
}

// moment is the first moment at which the clock of the zone shows so many minutes of a day, or more.
func (s *Schedule) moment(day time.Time, minutes int) time.Time {
	wall := day.Add(time.Duration(minutes) * time.Minute)
	// No clock on earth is a day ahead of UTC: here it shows less yet. From here on, look at each offset it has in turn.
	at := wall.Add(-24 * time.Hour)
	for {
		_, offset := at.In(s.zone).Zone()
		shown := wall.Add(-time.Duration(offset) * time.Second)
		if shown.Before(at) {
			return at
		}
		_, changes := at.In(s.zone).ZoneBounds()
		if changes.IsZero() || shown.Before(changes) {
			return shown
		}
		at = changes.UTC()
	}
}
