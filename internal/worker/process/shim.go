// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"flamenco.farm/internal/farm"
)

// linger is how long what a command left behind may take to end by itself, for instance a tee that still writes. It is
// killed then.
const linger = 200 * time.Millisecond

// ShimMain is the whole life of a shim; main calls it first thing when the first argument is ShimArgument, and exits
// with its result.
func ShimMain() int {
	// The kernel ends the command together with the thread that started it, so that thread must last.
	runtime.LockOSThread()
	_ = os.Unsetenv(shimVariable)
	// Catching is not inherited by the command, as ignoring would be. A broken pipe must not end the shim before it has
	// killed its tree.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)

	decoder := json.NewDecoder(os.Stdin)
	var first message
	if err := decoder.Decode(&first); err != nil || first.Start == nil {
		return 1 // the parent died before it could say what to do: nothing has been started
	}
	reports := json.NewEncoder(os.Stderr)
	o := *first.Start
	t, s, err := startTree(o)
	if err != nil {
		_ = reports.Encode(report{Failed: startFailure(o, err)})
		return 1
	}
	_ = reports.Encode(report{Started: &s})
	_ = os.Stdout.Close() // only the command's processes hold its output from here on
	e := watch(t, o, messages(decoder), told)
	t.close()
	_ = reports.Encode(report{Exited: &e})
	return 0
}

// messages yields what the parent says, and is closed when the parent is gone.
func messages(decoder *json.Decoder) <-chan message {
	c := make(chan message)
	go func() {
		defer close(c)
		for {
			var m message
			if decoder.Decode(&m) != nil {
				return
			}
			c <- m
		}
	}()
	return c
}

// watch sees the tree to its end: it returns when no process of it is left.
func watch(t *tree, o order, said <-chan message, told <-chan os.Signal) exit {
	var (
		result   exit
		deadline <-chan time.Time
		killing  bool
		stopped  bool
		over     <-chan time.Time
		limit    *time.Timer
	)
	if o.Left > 0 {
		limit = time.NewTimer(o.Left)
		defer limit.Stop()
		over = limit.C
	}
	kill := func() {
		killing = true
		t.kill()
	}
	stop := func() {
		if stopped || killing {
			return
		}
		stopped = true
		if o.Grace <= 0 || !t.terminate() {
			kill()
			return
		}
		deadline = time.After(o.Grace)
	}
	for {
		select {
		case m, alive := <-said:
			switch {
			case !alive:
				said = nil
				kill()
			case m.Stop:
				stop()
			case m.Left > 0 && limit != nil:
				limit.Reset(m.Left)
			}
		case <-over:
			result.Over = true
			kill()
		case <-told:
			stop()
		case <-deadline:
			kill()
		case e := <-t.exited:
			e.Stopped, e.Over = stopped, result.Over
			result = e
			if !stopped && !killing {
				deadline = time.After(linger)
			}
		case <-t.changed:
			// A process that ended may have handed its children on to us.
			if killing {
				t.kill()
			}
		case <-t.gone:
			select { // both may have come at the same time
			case e := <-t.exited:
				e.Stopped, e.Over = stopped, result.Over
				result = e
			default:
			}
			return result
		}
	}
}

// startFailure puts into words why an executable could not be started.
func startFailure(o order, err error) *failure {
	reason := fmt.Sprint(err)
	var errno syscall.Errno
	if errors.As(err, &errno) {
		reason = errno.Error()
	}
	_, statErr := os.Stat(o.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && statErr != nil:
		return &failure{farm.CodeNotFound, fmt.Sprintf("executable %q not found", o.Path)}
	case errors.Is(err, fs.ErrNotExist):
		return &failure{farm.CodeInvalid, fmt.Sprintf("cannot start %q: the interpreter or loader that it names is missing", o.Path)}
	case errors.Is(err, fs.ErrPermission):
		return &failure{farm.CodeForbidden, fmt.Sprintf("cannot start %q: it is not an executable file, or this user may not run it", o.Path)}
	case errors.Is(err, syscall.ENOEXEC):
		return &failure{farm.CodeInvalid, fmt.Sprintf("cannot start %q: it is not a program for this kind of machine", o.Path)}
	}
	return &failure{farm.CodeInvalid, fmt.Sprintf("cannot start %q: %s", o.Path, reason)}
}
