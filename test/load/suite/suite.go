// SPDX-License-Identifier: GPL-3.0-or-later

// Package suite owns the whole measurement: it starts real Managers on databases that it fills first, lets every load run
// three times, and prints a table of what was measured and what is wanted.
package suite

import (
	"context"
	"errors"
	"io"
)

// Options says what to measure.
type Options struct {
	Manager  string // the program
	Self     string // this program, which serves the bare ceiling
	Postgres string
	Quick    bool
	Only     string
	Folder   string
	Out      io.Writer // the table
	Progress io.Writer
}

// Run measures and prints.
func Run(ctx context.Context, o Options) error {
	return errors.New("not yet")
}
