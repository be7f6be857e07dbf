// SPDX-License-Identifier: GPL-3.0-or-later

// Command flamenco-manager is the Manager of a farm: it keeps the jobs and hands their tasks to Workers.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager"
)

// compile as the first argument makes the program compile jobs for a Manager, which talks to it over a pipe.
const compile = "__compile"

func main() {
	if len(os.Args) > 1 && os.Args[1] == compile {
		os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	code := manager.Main(ctx, os.Args[1:], os.Environ())
	os.Exit(code)
}
