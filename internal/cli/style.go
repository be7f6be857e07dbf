// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// style writes for one stream: with colours and to a width on a terminal, plainly everywhere else.
type style struct {
	terminal bool
	colour   bool
	width    int // columns of the terminal, 0 when there is none
}

// newStyle looks at where w leads. The variable NO_COLOR, set to anything, and TERM=dumb turn colours off.
func newStyle(w io.Writer, getenv func(string) string) style {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return style{}
	}
	s := style{terminal: true, colour: getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil {
		s.width = width
	}
	return s
}

func (s style) paint(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string { return s.paint("1", text) }
func (s style) dim(text string) string  { return s.paint("2", text) }
func (s style) good(text string) string { return s.paint("32", text) }
func (s style) bad(text string) string  { return s.paint("31", text) }

// status paints a status of a job, task or worker; shown is the same text, possibly padded.
func (s style) status(status, shown string) string {
	switch status {
	case "completed", "awake":
		return s.paint("32", shown)
	case "active", "requeueing", "starting", "testing", "restart":
		return s.paint("36", shown)
	case "failed", "error":
		return s.paint("31", shown)
	case "soft-failed", "canceled", "cancel-requested", "paused", "pause-requested":
		return s.paint("33", shown)
	case "offline", "asleep":
		return s.paint("2", shown)
	}
	return shown
}
