// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"flamenco.farm/test/load/measure"
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

// add notes a line, which rests on some runs, and shows it at once. Errors in these runs are shown in the line, and it is not met.
func (s *suite) add(what, measured, target, verdict, note string, of ...*measure.Report) {
	if troubles := runs(of).troubles(); troubles != "" {
		verdict = notMet
		note = strings.TrimPrefix(note+"; errors: "+troubles, "; ")
		s.failed = append(s.failed, fmt.Errorf("%s, %s: %s", what, s.engine.name(), troubles))
	}
	if strings.Contains(measured+note, "NaN") {
		verdict = notMet
		note = strings.TrimPrefix(note+"; nothing was measured", "; ")
		s.failed = append(s.failed, fmt.Errorf("%s, %s: %w", what, s.engine.name(), errNothing))
	}
	s.table.lines = append(s.table.lines, line{what, s.engine.name(), s.durability(), measured, target, verdict, note})
	fmt.Fprintf(s.Progress, "  %s: %s (target %s) %s %s\n", what, measured, target, verdict, note)
}

var errNothing = errors.New("nothing was measured")
