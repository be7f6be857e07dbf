// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"flamenco.farm/test/load/bare"
	"flamenco.farm/test/load/prepare"
	"flamenco.farm/test/load/suite"
)

func serveBare(flags *flag.FlagSet) func(ctx context.Context) error {
	database := flags.String("database", "", "the Manager's `DATABASE`, made by the load prepare: a file or postgres://…")
	listen := flags.String("listen", "127.0.0.1:0", "`ADDRESS` and port; port 0 takes a free one, which is printed")
	full := flags.Bool("full", false, "an answer means that a power cut takes nothing back")
	return func(ctx context.Context) (err error) {
		server, err := bare.New(ctx, *database, *full)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
		if err != nil {
			return err
		}
		fmt.Println("listening", "url=http://"+listener.Addr().String())
		web := &http.Server{Handler: server, ReadHeaderTimeout: time.Second}
		stop := context.AfterFunc(ctx, func() { _ = web.Close() })
		defer stop()
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

func fill(flags *flag.FlagSet) func(ctx context.Context) error {
	var done, queued prepare.Jobs
	database := flags.String("database", "", "the `DATABASE`: a file, or postgres://…")
	flags.IntVar(&done.Jobs, "done-jobs", 0, "jobs that are finished")
	flags.IntVar(&done.Tasks, "done-tasks", 1000, "tasks of each of them")
	flags.IntVar(&queued.Jobs, "queued-jobs", 1, "jobs that wait")
	flags.IntVar(&queued.Tasks, "queued-tasks", 20000, "tasks of each of them")
	return func(ctx context.Context) error {
		if *database == "" {
			return errors.New("-database is missing")
		}
		done.TaskType, done.Done, queued.TaskType, queued.Priority = "misc", true, "misc", 50
		_, err := prepare.Fill(ctx, *database, nil, done, queued)
		return err
	}
}

func runSuite(flags *flag.FlagSet) func(ctx context.Context) error {
	var o suite.Options
	flags.StringVar(&o.Manager, "manager-program", "bin/flamenco-manager", "the `PROGRAM` to measure")
	flags.StringVar(&o.Postgres, "postgres", "", "an empty PostgreSQL `DATABASE`, postgres://…, whose user may make databases; empty: a throw-away server if initdb is there")
	flags.BoolVar(&o.Quick, "quick", false, "one short run of each load instead of the median of three")
	flags.StringVar(&o.Only, "only", "", "only rows whose name holds this `TEXT`")
	flags.StringVar(&o.Database, "database", "", "only `sqlite` or postgres")
	flags.StringVar(&o.Folder, "folder", "", "for databases and logs; empty: a temporary one")
	return func(ctx context.Context) error {
		switch o.Database {
		case "", "sqlite", "postgres":
		default:
			return fmt.Errorf("-database %q is neither sqlite nor postgres", o.Database)
		}
		var err error
		if o.Self, err = os.Executable(); err != nil {
			return err
		}
		o.Out, o.Progress = os.Stdout, os.Stderr
		return suite.Run(ctx, o)
	}
}
