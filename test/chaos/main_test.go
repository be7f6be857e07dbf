// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/worker"
	"flamenco.farm/internal/worker/process"
)

// What the test program is beside a test: the programs of the farm, as cmd has them, built as the test is: with the race
// detector if it is.
const (
	managerArg = "__manager"
	workerArg  = "__worker"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case jobtype.CompileArg:
			os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
		case manager.OperationArg:
			os.Exit(manager.OperationMain(os.Stdin, os.Stdout, os.Stderr, nil))
		case process.ShimArgument:
			os.Exit(process.ShimMain())
		case managerArg:
			endWithParent()
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			code := manager.Main(ctx, nil, os.Environ())
			stop()
			os.Exit(code)
		case workerArg:
			endWithParent()
			signals := make(chan os.Signal, 2)
			signal.Notify(signals, syscall.SIGTERM)
			os.Exit(worker.Main(nil, os.Environ(), os.Stdout, os.Stderr, signals))
		}
	}
	os.Exit(m.Run())
}

// endWithParent ends this program when the test that started it is gone, whatever ended that.
func endWithParent() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test's end of the pipe is closed
		os.Exit(3)
	}()
}
