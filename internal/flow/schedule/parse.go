// SPDX-License-Identifier: GPL-3.0-or-later

package schedule

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"flamenco.farm/internal/farm"
)

// days are the days of the week as windows write them, by time.Weekday.
var days = []string{"su", "mo", "tu", "we", "th", "fr", "sa"}

// Clean writes a window as it is stored: days by two small letters with one space between, times with two digits each.
// A day or time that cannot be read is an error of code farm.CodeInvalid.
func Clean(w farm.SleepWindow) (farm.SleepWindow, error) {
	names, err := dayNames(w.Days)
	if err != nil {
		return farm.SleepWindow{}, err
	}
	clean := farm.SleepWindow{Days: strings.Join(names, " ")}
	if clean.Start, err = cleanTime("start_time", w.Start); err != nil {
		return farm.SleepWindow{}, err
	}
	clean.End, err = cleanTime("end_time", w.End)
	return clean, err
}

// dayNames reads days: their English names or the beginnings of these, at least two letters each.
func dayNames(text string) ([]string, error) {
	var names []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		name := strings.ToLower(word[:min(2, len(word))])
		if !slices.Contains(days, name) || !letters(word) {
			return nil, farm.Errorf(farm.CodeInvalid, "days_of_week: %q is not a day, such as mo or tu", shorten(word))
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func letters(word string) bool {
	return strings.IndexFunc(word, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) < 0
}

func cleanTime(field, text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return "", farm.Errorf(farm.CodeInvalid, "%s: %q is not a time such as 18:30", field, shorten(text))
	}
	return t.Format("15:04"), nil
}

// shorten keeps what an error repeats of its input short.
func shorten(text string) string {
	const most = 40
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}

func parse(text farm.SleepWindow) (window, error) {
	text, err := Clean(text)
	if err != nil {
		return window{}, err
	}
	var w window
	for _, name := range strings.Fields(text.Days) {
		w.days[slices.Index(days, name)] = true
	}
	if text.Days == "" {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	w.start, w.end = minutes(text.Start, 0), minutes(text.End, dayMinutes)
	if w.end < w.start {
		w.end += dayMinutes
	}
	return w, nil
}

// minutes is a clean time in minutes from the beginning of the day.
func minutes(text string, blank int) int {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return blank
	}
	return t.Hour()*60 + t.Minute()
}
