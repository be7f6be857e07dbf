// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"flamenco.farm/internal/manager"
)

// managerArg makes the test program a Manager, whose operations kill as a file "fault" in its folder says.
const managerArg = "__manager"

// faultFile says what to kill and at which step: "child 7" or "manager 7". Whoever kills removes it first: once is enough.
const faultFile = "fault"

// managerMain is a Manager until SIGTERM.
func managerMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return manager.Main(ctx, nil, os.Environ())
}

// operationMain is the process of an operation, which kills itself or its Manager in the middle.
func operationMain() int {
	var steps atomic.Int64
	return manager.OperationMain(os.Stdin, os.Stdout, os.Stderr, func(string) {
		step := steps.Add(1)
		text, err := os.ReadFile(faultFile)
		if err != nil {
			return
		}
		victim, at, _ := strings.Cut(string(text), " ")
		if at != strconv.FormatInt(step, 10) || os.Remove(faultFile) != nil {
			return
		}
		switch victim {
		case "child":
			kill(os.Getpid())
			select {} // it is on its way
		case "manager":
			kill(os.Getppid())
		}
	})
}

func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill() // it fails for one that has ended
	}
}
