// SPDX-License-Identifier: GPL-3.0-or-later

// Package suite owns the whole measurement: it starts real Managers on databases that it fills first, lets loads run, most
// of them three times, and prints a table of what was measured and what is wanted. It must not know how a load works.
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
	failed  []error       // figures that are none
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
	begin := time.Now()
	s := &suite{Options: o, runs: 3, length: 6 * time.Second}
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
	measured := 0
	for _, e := range engines {
		for _, full := range []bool{false, true} {
			s.engine, s.full = e, full
			measured += s.measureRows(ctx)
		}
	}
	if measured == 0 {
		return fmt.Errorf("there is no row %q for these databases", s.Only)
	}
	if err := s.table.write(o.Out); err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "\nMeasured in %s.\n", time.Since(begin).Round(time.Second))
	return errors.Join(append(s.failed, ctx.Err())...)
}

// measureRows measures all rows of an engine and a durability and says how many they are.
func (s *suite) measureRows(ctx context.Context) (measured int) {
	for _, r := range rows {
		if !strings.Contains(r.name, s.Only) || (s.full && !r.both) || !slices.Contains(r.engines, s.engine.name()) || ctx.Err() != nil {
			continue
		}
		measured++
		begin := time.Now()
		fmt.Fprintf(s.Progress, "%s, durability %s: %s\n", s.engine.name(), s.durability(), r.name)
		if err := errors.Join(r.measure(ctx, s), s.clear(ctx)); err != nil {
			s.failed = append(s.failed, fmt.Errorf("%s, %s: %w", r.name, s.engine.name(), err))
			s.add("row "+r.name, "failed", "", notMet, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		fmt.Fprintf(s.Progress, "  in %s\n", time.Since(begin).Round(time.Second))
	}
	return measured
}

// clear erases the databases of a row, also when the measurement was interrupted, so that no server has work with them later.
func (s *suite) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return s.engine.drop(ctx)
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
		return append(all, &postgresEngine{address: s.Postgres}), func() error { return nil }, nil
	}
	server, err := postgres.Open()
	if err != nil {
		fmt.Fprintln(s.Progress, "PostgreSQL is not measured:", err)
		return all, func() error { return nil }, nil
	}
	return append(all, &postgresEngine{address: server.URL("postgres"), pid: server.PID()}), server.Close, nil
}
