// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"strings"
	"testing"
	"time"
)

func TestATableIsCutToTheTerminalInItsFlexibleColumns(t *testing.T) {
	t.Parallel()
	columns := []column{{title: "ID"}, {title: "NAME", flexible: true}, {title: "N", right: true}}
	rows := [][]string{{"1", "a name that is much too long for this", "7"}, {"22", "žluťoučký kůň", "123"}}
	var out strings.Builder
	if err := writeTable(&out, style{width: 30}, columns, rows); err != nil {
		t.Fatal(err)
	}
	want := "ID  NAME                     N\n1   a name that is much …    7\n22  žluťoučký kůň          123\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestColoursAreOnlyForTerminals(t *testing.T) {
	t.Parallel()
	if got := (style{}).status("failed", "failed"); got != "failed" {
		t.Errorf("got %q", got)
	}
	if got := (style{colour: true}).status("failed", "failed"); got != "\x1b[31mfailed\x1b[0m" {
		t.Errorf("got %q", got)
	}
}

func TestTimesAreToldAsPeopleDo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)
	for past, want := range map[time.Duration]string{
		time.Second: "just now", 45 * time.Second: "45 s ago", 10 * time.Minute: "10 min ago", 5 * time.Hour: "5 h ago",
		72 * time.Hour: "3 days ago", 90 * 24 * time.Hour: "2026-01-31",
	} {
		if got := ago(now, now.Add(-past)); got != want {
			t.Errorf("%v: got %q, want %q", past, got, want)
		}
	}
	if got := ago(now, time.Time{}); got != "never" {
		t.Errorf("got %q", got)
	}
	for length, want := range map[time.Duration]string{7 * time.Second: "0:07", 750 * time.Second: "12:30", 3723 * time.Second: "1:02:03", -time.Second: "0:00"} {
		if got := span(length); got != want {
			t.Errorf("%v: got %q, want %q", length, got, want)
		}
	}
}
