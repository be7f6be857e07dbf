// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"fmt"
	"time"
)

// ago is how long before now something was, for people.
func ago(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	past := now.Sub(then)
	switch {
	case past < -time.Minute:
		return then.Local().Format("2006-01-02 15:04") // clocks that differ; the time itself tells most
	case past < 2*time.Second:
		return "just now"
	case past < 90*time.Second:
		return fmt.Sprintf("%d s ago", int(past.Seconds()))
	case past < 90*time.Minute:
		return fmt.Sprintf("%d min ago", int(past.Minutes()+0.5))
	case past < 36*time.Hour:
		return fmt.Sprintf("%d h ago", int(past.Hours()+0.5))
	case past < 30*24*time.Hour:
		return fmt.Sprintf("%d days ago", int(past.Hours()/24+0.5))
	}
	return then.Local().Format("2006-01-02")
}

// atTime is a moment with its distance from now.
func atTime(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	moment := then.Local().Format("2006-01-02 15:04:05")
	if past := now.Sub(then); past < -time.Minute || past > 30*24*time.Hour {
		return moment // the distance would be told as a date again
	}
	return moment + " (" + ago(now, then) + ")"
}

// span is a length of time as a clock shows it: 0:07, 12:30, 1:02:03.
func span(d time.Duration) string {
	seconds := int(max(0, d).Round(time.Second).Seconds())
	if seconds < 3600 {
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}
