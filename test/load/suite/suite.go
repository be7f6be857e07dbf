// SPDX-License-Identifier: GPL-3.0-or-later

// Package suite owns the whole measurement: it starts real Managers on databases that it fills first, lets every load run
// three times, and prints a table of what was measured and what is wanted. It must not know how a load works.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"flamenco.farm/internal/testkit/postgres"
)

// Options says what to measure.
type Options struct {
	Manager  string // the program
	Self     string // this program, which serves the bare ceiling
	Postgres string // an address of databases; "" = a throw-away server, if this machine has the programs
	Quick    bool   // one short run of each load
	Only     string // rows whose name holds this, "" = all
	Database string // the only engine, sqlite or postgres; "" = both
	Folder   string // for databases and logs; "" = a temporary one
	Out      io.Writer
	Progress io.Writer
}

// suite is one measurement.
type suite struct {
	Options
	engine  engine
	full    bool // durability
	table   table
	runs    int
	length  time.Duration // of one run
	started int           // servers, for the names of their folders
}

// row is one line of the table, or a few that are measured together.
type row struct {
	name    string
	engines []string // that it makes sense for
	both    bool     // with both durabilities; else with normal
	measure func(ctx context.Context, s *suite) error
}

// Run measures and prints. A row that cannot be measured is an error, and the others are measured nevertheless.
func Run(ctx context.Context, o Options) (err error) {
	s := &suite{Options: o, runs: 3, length: 10 * time.Second}
	if o.Quick {
		s.runs, s.length = 1, 4*time.Second
	}
	if s.Folder == "" {
		if s.Folder, err = os.MkdirTemp("", "flamenco-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.Folder)) }()
	}
	engines, stop, err := s.engines()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var failed []error
	for _, e := range engines {
		for _, full := range []bool{false, true} {
			s.engine, s.full = e, full
			failed = append(failed, s.measureRows(ctx)...)
		}
	}
	if err := s.table.write(o.Out); err != nil {
		return err
	}
	return errors.Join(failed...)
}

func (s *suite) measureRows(ctx context.Context) (failed []error) {
	for _, r := range rows {
		if !strings.Contains(r.name, s.Only) || (s.full && !r.both) || !slices.Contains(r.engines, s.engine.name()) || ctx.Err() != nil {
			continue
		}
		fmt.Fprintf(s.Progress, "%s, durability %s: %s\n", s.engine.name(), s.durability(), r.name)
		if err := r.measure(ctx, s); err != nil {
			err = fmt.Errorf("%s, %s: %w", r.name, s.engine.name(), err)
			fmt.Fprintln(s.Progress, "  failed:", err)
			failed = append(failed, err)
		}
	}
	return failed
}

func (s *suite) durability() string {
	if s.full {
		return "full"
	}
	return "normal"
}

// engines are SQLite and, if there is one, PostgreSQL.
func (s *suite) engines() (all []engine, stop func() error, err error) {
	if s.Database != "postgres" {
		all = append(all, sqliteEngine{})
	}
	if s.Database == "sqlite" {
		return all, func() error { return nil }, nil
	}
	if s.Postgres != "" {
		return append(all, postgresEngine{address: s.Postgres}), func() error { return nil }, nil
	}
	server, err := postgres.Open()
	if err != nil {
		fmt.Fprintln(s.Progress, "PostgreSQL is not measured:", err)
		return all, func() error { return nil }, nil
	}
	return append(all, postgresEngine{address: server.URL("postgres"), pid: server.PID()}), server.Close, nil
}
