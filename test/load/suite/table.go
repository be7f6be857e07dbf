// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// line is one line of the table.
type line struct {
	what, engine, durability string
	measured, target         string
	verdict                  string // met, not met, or nothing where there is no target
	note                     string
}

type table struct{ lines []line }

const (
	met    = "met"
	notMet = "NOT MET"
)

func verdict(ok bool) string {
	if ok {
		return met
	}
	return notMet
}

// write prints the table as Markdown, so that it can be kept with the documentation.
func (t *table) write(w io.Writer) error {
	rows := [][]string{{"what", "database", "durability", "measured", "target", "", "note"}}
	for _, l := range t.lines {
		rows = append(rows, []string{l.what, l.engine, l.durability, l.measured, l.target, l.verdict, l.note})
	}
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	rule := make([]string, len(widths))
	for i, n := range widths {
		rule[i] = strings.Repeat("-", n)
	}
	for _, r := range slices.Insert(rows, 1, rule) {
		for i, cell := range r {
			r[i] = cell + strings.Repeat(" ", widths[i]-len([]rune(cell)))
		}
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(r, " | ")); err != nil {
			return err
		}
	}
	return nil
}

// add notes a line and shows it at once.
func (s *suite) add(what, measured, target, verdict, note string) {
	s.table.lines = append(s.table.lines, line{what, s.engine.name(), s.durability(), measured, target, verdict, note})
	fmt.Fprintf(s.Progress, "  %s: %s (target %s) %s %s\n", what, measured, target, verdict, note)
}

// median of a few figures.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}
