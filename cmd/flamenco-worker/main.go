// SPDX-License-Identifier: GPL-3.0-or-later

// Command flamenco-worker runs the tasks that a Flamenco Manager hands out.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"flamenco.farm/internal/service"
	"flamenco.farm/internal/worker"
	"flamenco.farm/internal/worker/process"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == process.ShimArgument {
		os.Exit(process.ShimMain())
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(service.Run("flamenco-worker", signals, func(signals <-chan os.Signal) int {
		return worker.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr, signals)
	}))
}
