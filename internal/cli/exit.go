// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"flamenco.farm/pkg/client"
)

// The exit codes of the command line. Scripts rely on them: they never change.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitJobFailed   = 3
	ExitNotFound    = 4
	ExitUnreachable = 5
	ExitInterrupted = 130
)

// usageError is wrong input on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// notFoundError is something that the Manager does not have.
type notFoundError struct{ message string }

func (e notFoundError) Error() string { return e.message }

// jobFailedError is the end of a job that was waited for, when it is not the good one.
type jobFailedError struct{ message string }

func (e jobFailedError) Error() string { return e.message }

// interruptedError replaces whatever a command said when the user stopped it.
type interruptedError struct{ note string }

func (e interruptedError) Error() string { return e.note }

func interrupted(err error) error {
	if stopped, ok := errors.AsType[interruptedError](err); ok {
		return stopped
	}
	return interruptedError{"interrupted"}
}

func exitCode(err error) int {
	switch {
	case is[interruptedError](err):
		return ExitInterrupted
	case is[usageError](err):
		return ExitUsage
	case is[jobFailedError](err):
		return ExitJobFailed
	case is[notFoundError](err), client.StatusOf(err) == http.StatusNotFound:
		return ExitNotFound
	case is[*client.UnreachableError](err):
		return ExitUnreachable
	}
	return ExitFailure
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// report tells the user about err and returns the exit code for it.
func report(err error, streams Streams, asJSON bool, getenv func(string) string) int {
	code := exitCode(err)
	if asJSON {
		line, _ := json.Marshal(map[string]any{"type": "error", "code": code, "message": err.Error()})
		fmt.Fprintf(streams.Err, "%s\n", line)
		return code
	}
	style := newStyle(streams.Err, getenv)
	switch code {
	case ExitInterrupted:
		fmt.Fprintf(streams.Err, "%s\n", style.dim(err.Error()))
	case ExitUsage:
		fmt.Fprintf(streams.Err, "%s %v\n%s\n", style.bad("flamenco:"), err, style.dim("Try the same with --help."))
	case ExitUnreachable:
		fmt.Fprintf(streams.Err, "%s %v\n%s\n", style.bad("flamenco:"), err,
			style.dim("Is it running there? Another address is given with --manager or FLAMENCO_MANAGER."))
	default:
		fmt.Fprintf(streams.Err, "%s %v\n", style.bad("flamenco:"), err)
	}
	return code
}
