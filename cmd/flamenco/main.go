// SPDX-License-Identifier: GPL-3.0-or-later

// Flamenco is the command line of the Flamenco render farm. See internal/cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"flamenco.farm/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on the next one has its usual effect, should the first not end it.
	context.AfterFunc(ctx, stop)
	code := cli.Main(ctx, os.Args[1:], cli.SystemStreams(), os.Getenv)
	stop()
	os.Exit(code)
}
