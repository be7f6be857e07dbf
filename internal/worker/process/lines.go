// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// MaxLine is the longest line that Lines hands on, in bytes; longer ones come in pieces.
const MaxLine = 40 * 1024

// Lines is a writer that splits what is written to it into lines and hands them on one by one. It never holds more
// than one line. Line feeds, carriage returns (as programs use them to draw progress) and both together end a line. A
// line longer than MaxLine is split between characters; bytes that are no UTF-8 become U+FFFD.
//
// It is not safe for concurrent use. Close hands on the last line if it has no end.
type Lines struct {
	emit     func(line string)
	rest     []byte // the line so far, at most MaxLine bytes
	returned bool   // the last line was ended by a carriage return, whose line feed may follow
}

// NewLines makes a Lines that calls emit for each line, without its end.
func NewLines(emit func(line string)) *Lines {
	return &Lines{emit: emit}
}

// Write takes the next piece of output. It never fails.
func (l *Lines) Write(p []byte) (int, error) {
	size := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		line := p
		if end >= 0 {
			line = p[:end]
		}
		l.segment(line)
		if end < 0 {
			break
		}
		if l.returned && len(l.rest) == 0 {
			l.returned = false
		} else {
			l.flush()
		}
		p = p[end+1:]
	}
	return size, nil
}

// segment takes output without line feeds.
func (l *Lines) segment(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\r')
		if end < 0 {
			l.add(p)
			return
		}
		l.add(p[:end])
		if len(l.rest) > 0 {
			l.flush()
			l.returned = true
		}
		p = p[end+1:]
	}
}

func (l *Lines) add(p []byte) {
	if len(p) > 0 {
		l.returned = false
	}
	for len(p) > 0 {
		n := min(len(p), MaxLine-len(l.rest))
		l.rest = append(l.rest, p[:n]...)
		p = p[n:]
		if len(l.rest) == MaxLine && len(p) > 0 {
			l.split()
		}
	}
}

// split hands on a full buffer, but keeps a character that has only begun.
func (l *Lines) split() {
	cut := len(l.rest)
	for i := cut - 1; i >= cut-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(l.rest[i]) {
			if !utf8.FullRune(l.rest[i:]) {
				cut = i
			}
			break
		}
	}
	begun := append([]byte(nil), l.rest[cut:]...)
	l.rest = l.rest[:cut]
	l.flush()
	l.rest = append(l.rest, begun...)
}

func (l *Lines) flush() {
	l.emit(strings.ToValidUTF8(string(l.rest), "\uFFFD"))
	l.rest = l.rest[:0]
	l.returned = false
}

// Close hands on a last line without an end.
func (l *Lines) Close() error {
	if len(l.rest) > 0 {
		l.flush()
	}
	return nil
}
