// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// split writes the pieces one by one and returns the lines.
func split(pieces ...string) []string {
	var got []string
	lines := NewLines(func(line string) { got = append(got, line) })
	for _, piece := range pieces {
		_, _ = lines.Write([]byte(piece))
	}
	_ = lines.Close()
	return got
}

func TestOutputIsSplitIntoLines(t *testing.T) {
	t.Parallel()
	a := strings.Repeat("a", MaxLine-1)
	for _, test := range []struct {
		name   string
		pieces []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"one line", []string{"one\n"}, []string{"one"}},
		{"no end", []string{"one\ntwo"}, []string{"one", "two"}},
		{"empty lines", []string{"\n\na\n\n"}, []string{"", "", "a", ""}},
		{"pieces", []string{"o", "ne\nt", "wo", "\n"}, []string{"one", "two"}},
		{"Windows", []string{"one\r\ntwo\r\n\r\nthree"}, []string{"one", "two", "", "three"}},
		{"Windows, cut", []string{"one\r", "\ntwo\r", "\n"}, []string{"one", "two"}},
		{"doubled return", []string{"one\r\r\ntwo"}, []string{"one", "two"}},
		{"progress", []string{"10%\r20%\r", "30%\rdone\n"}, []string{"10%", "20%", "30%", "done"}},
		{"line feed after progress", []string{"10%\rx\n\n"}, []string{"10%", "x", ""}},
		{"invalid", []string{"a\xff\xfeb\n", "\xc3\n"}, []string{"a\uFFFDb", "\uFFFD"}},
		{"character in two writes", []string{"\xc3", "\xa9\n"}, []string{"é"}},
		{"just fits", []string{a + "x\n"}, []string{a + "x"}},
		{"too long", []string{a + "xyz\n"}, []string{a + "x", "yz"}},
		{"long, cut at a character", []string{a + "é€\n"}, []string{a, "é€"}},
		{"long, without any", []string{strings.Repeat("\x80", MaxLine+1)}, []string{"\uFFFD", "\uFFFD"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := split(test.pieces...); !slices.Equal(got, test.want) {
				t.Errorf("got %.200q, want %.200q", got, test.want)
			}
		})
	}
}

func FuzzLinesDoNotDependOnThePieces(f *testing.F) {
	f.Add("one\r\ntwo\n\r\xff", uint8(3))
	f.Add(strings.Repeat("é", MaxLine), uint8(200))
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		whole := split(text)
		var pieces []string
		for rest := text; rest != ""; {
			n := min(len(rest), int(size)+1)
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		if got := split(pieces...); !slices.Equal(got, whole) {
			t.Errorf("in pieces of %d: %q, whole: %q", int(size)+1, got, whole)
		}
		for _, line := range whole {
			if !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n") || len(line) > 3*MaxLine {
				t.Errorf("bad line %q", line)
			}
		}
	})
}
