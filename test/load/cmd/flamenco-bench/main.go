// SPDX-License-Identifier: GPL-3.0-or-later

// Command flamenco-bench puts a farm under load and prints what came of it, one line of JSON for each load.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `Usage: flamenco-bench LOAD [flags]

Loads, which use only the public API, so that any Manager of Flamenco 3 can be measured:
  submit   submit jobs
  drain    run tasks with simulated Workers
  idle     Workers that wait for work
  poll     read lists and pages while Workers run tasks
  events   follow a job over Socket.IO while Workers run its tasks
  shaman   upload files and make checkouts of them
  logs     append to task logs and read their ends

Beside them:
  suite    start Managers, run everything, and print a table of targets and figures
  bare     serve the bare ceiling: the writing transactions of a task cycle and nothing else
  prepare  write a database with many jobs

flamenco-bench LOAD -help lists the flags of a load.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	flags := flag.NewFlagSet("flamenco-bench "+args[0], flag.ContinueOnError)
	do := command(flags)
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "flamenco-bench: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	if err := do(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "flamenco-bench:", err)
		return 1
	}
	return 0
}
