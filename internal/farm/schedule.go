// SPDX-License-Identifier: GPL-3.0-or-later

package farm

// SleepSchedule says when a worker sleeps: it does while one of its windows lasts. One that is not active is kept and
// not followed.
type SleepSchedule struct {
	Active  bool
	Windows []SleepWindow
}

// SleepWindow is a time of the day, on some days of the week, in the time zone of the farm.
type SleepWindow struct {
	Days  string // those on which it begins: "mo tu we th fr sa su", "" = every day
	Start string // HH:MM, "" = the beginning of the day
	End   string // HH:MM, "" = the end of the day; before Start = on the next day
}
