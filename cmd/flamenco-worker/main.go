// SPDX-License-Identifier: GPL-3.0-or-later

// Command flamenco-worker runs the tasks that a Flamenco Manager hands out.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"flamenco.farm/internal/worker"
	"flamenco.farm/internal/worker/process"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == process.ShimArgument {
		os.Exit(process.ShimMain())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the next one has its usual effect: it ends the Worker at once, and the shims end the task.
	// Not in the first moment, because some senders, such as timeout(1), signal twice.
	context.AfterFunc(ctx, func() {
		<-time.After(time.Second)
		stop()
	})
	os.Exit(worker.Main(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
