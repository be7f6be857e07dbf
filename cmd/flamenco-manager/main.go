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
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/service"
)

func main() {
	// A Manager starts itself to compile jobs, to shrink pictures and to run operations, and talks to it over pipes.
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case jobtype.CompileArg:
			os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
		case manager.OperationArg:
			os.Exit(manager.OperationMain(os.Stdin, os.Stdout, os.Stderr, nil))
		case preview.ConvertArg:
			os.Exit(preview.ChildMain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(service.Run("flamenco-manager", signals, func(signals <-chan os.Signal) int {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		go func() {
			<-signals
			signal.Reset(os.Interrupt, syscall.SIGTERM) // a second one ends the program at once
			stop()
		}()
		return manager.Main(ctx, os.Args[1:], os.Environ())
	}))
}
