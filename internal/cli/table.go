// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"io"
	"strings"
	"unicode/utf8"
)

// gap separates the columns of a table.
const gap = "  "

// narrowest is how far a flexible column is shortened to fit the terminal.
const narrowest = 12

// column is one column of a table.
type column struct {
	title    string
	right    bool                            // numbers are aligned to the right
	flexible bool                            // may be shortened when the terminal is too narrow
	paint    func(text, shown string) string // shown is text, padded
}

// writeTable writes rows under the titles of their columns, as wide as what they hold.
func writeTable(w io.Writer, s style, columns []column, rows [][]string) error {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	shrink(columns, widths, s.width)

	var out strings.Builder
	for i, c := range columns {
		out.WriteString(s.dim(cell(c, c.title, widths[i], i == len(columns)-1)))
		out.WriteString(between(i, len(columns)))
	}
	for _, row := range rows {
		for i, c := range columns {
			shown := cell(c, row[i], widths[i], i == len(columns)-1)
			if c.paint != nil {
				shown = c.paint(row[i], shown)
			}
			out.WriteString(shown)
			out.WriteString(between(i, len(columns)))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func between(i, columns int) string {
	if i == columns-1 {
		return "\n"
	}
	return gap
}

// shrink takes from the flexible columns, widest first, what does not fit; without a terminal nothing is taken.
func shrink(columns []column, widths []int, terminal int) {
	total := len(gap) * (len(widths) - 1)
	for _, width := range widths {
		total += width
	}
	for terminal > 0 && total > terminal {
		widest := -1
		for i, c := range columns {
			if c.flexible && widths[i] > narrowest && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
		total--
	}
}

func cell(c column, text string, width int, last bool) string {
	text = shorten(text, width)
	padding := strings.Repeat(" ", width-utf8.RuneCountInString(text))
	switch {
	case c.right:
		return padding + text
	case last:
		return text
	}
	return text + padding
}

// shorten cuts text to a width, and shows that it did.
func shorten(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(0, width-1)]) + "…"
}
