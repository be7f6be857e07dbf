// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"flamenco.farm/internal/farm"
)

const (
	// shimPatience is how long after the grace period a shim may take to kill its tree before it counts as stuck.
	shimPatience = 10 * time.Second
	// outputPatience is how long output may stay open after the tree is gone: only something outside of the tree, to
	// which the command handed the pipe, can still hold it.
	outputPatience = 2 * time.Second
)

// shim is the parent's side of a running shim.
type shim struct {
	spec    Spec
	cmd     *exec.Cmd
	holder  *holder
	control *os.File // we write; closing it, even by dying, kills the tree
	reports *os.File // we read; end of file = the shim is gone
	output  *os.File // we read; what the command prints
}

// startShim starts a shim that waits for its order. Its stdin is the control pipe, its stderr the reports, and its
// stdout becomes stdout and stderr of the command: three handles that every system can pass on.
func startShim(spec Spec) (*shim, error) {
	s := &shim{spec: spec}
	var theirs [3]*os.File
	defer func() { closeFiles(theirs[:]...) }()
	var err error
	if theirs[0], s.control, err = os.Pipe(); err != nil {
		return nil, err
	}
	if s.output, theirs[1], err = os.Pipe(); err != nil {
		s.close()
		return nil, err
	}
	if s.reports, theirs[2], err = os.Pipe(); err != nil {
		s.close()
		return nil, err
	}
	path, name, err := ownBinary()
	if err != nil {
		s.close()
		return nil, err
	}
	s.cmd = &exec.Cmd{
		Path:        path,
		Args:        []string{name, ShimArgument},
		Env:         environment(spec),
		Stdin:       theirs[0],
		Stdout:      theirs[1],
		Stderr:      theirs[2],
		SysProcAttr: shimAttributes(),
	}
	if err := s.cmd.Start(); err != nil {
		s.close()
		return nil, err
	}
	if s.holder, err = hold(s.cmd.Process); err != nil {
		err = errors.Join(err, s.cmd.Process.Kill())
		_ = s.cmd.Wait()
		s.close()
		return nil, err
	}
	return s, nil
}

// run sends the order and sees the command through.
func (s *shim) run(ctx context.Context, o order, output io.Writer) (Result, error) {
	defer s.close()
	defer s.holder.close()
	// The order is complete before anything else happens: a shim never acts on half of one.
	sendErr := json.NewEncoder(s.control).Encode(message{Start: &o})
	undo := s.stopWith(ctx)
	defer undo()
	defer s.prolong()()

	decoder := json.NewDecoder(s.reports)
	first, firstErr := nextReport(decoder)
	if first.Failed != nil {
		_ = s.cmd.Wait()
		return Result{}, farm.Errorf(first.Failed.Code, "%s", first.Failed.Message)
	}
	var result Result
	copied := make(chan error, 1)
	if first.Started != nil {
		result.Pid, result.Warning = first.Started.Pid, first.Started.Warning
		if s.spec.OnStart != nil {
			s.spec.OnStart(result.Pid)
		}
		go func() { copied <- copyAll(output, s.output) }()
	} else {
		copied <- nil
	}
	last, lastErr := nextReport(decoder)
	waitErr := s.cmd.Wait()
	// Whatever became of the shim, nothing is left when this returns.
	endErr := s.holder.endTree(s.spec.Assignment, first.Started, last.Exited != nil)
	outputErr := s.drain(copied)

	var lostErr error
	if last.Exited != nil {
		last.Exited.describe(&result)
	} else {
		lostErr = fmt.Errorf("the shim of %q (process %d) was lost, its command was ended: %w",
			s.spec.Path, s.cmd.Process.Pid, errors.Join(sendErr, firstErr, lastErr, waitErr))
	}
	if ctx.Err() != nil {
		result.Reason = "stopped"
		return result, joined(context.Cause(ctx), lostErr, endErr)
	}
	if lostErr != nil {
		return result, joined(lostErr, endErr)
	}
	if last.Exited.Over {
		result.Reason = "its time was over"
		return result, joined(ErrOver, endErr)
	}
	if outputErr != nil {
		return result, fmt.Errorf("read the output of %q: %w", s.spec.Path, outputErr)
	}
	return result, endErr
}

// joined keeps a lone error as it is.
func joined(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// stopWith passes the end of ctx on to the shim, and kills the shim if it does not manage in time.
func (s *shim) stopWith(ctx context.Context) (undo func()) {
	finished := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-finished:
			return
		case <-ctx.Done():
		}
		// An error means that the shim is gone, which run notices by itself.
		_ = json.NewEncoder(s.control).Encode(message{Stop: true})
		overdue := time.NewTimer(s.spec.Grace + shimPatience)
		defer overdue.Stop()
		select {
		case <-finished:
		case <-overdue.C:
			_ = s.cmd.Process.Kill()
		}
	}()
	return func() { close(finished); <-done }
}

// How often a shim is told how much time is left: several times within that time.
const (
	tellOften  = 20 * time.Millisecond
	tellSeldom = 5 * time.Second
)

// left is for how long the command may go on, 0 = without limit.
func (s *shim) left() time.Duration {
	if s.spec.Left == nil {
		return 0
	}
	return max(s.spec.Left(), 1)
}

// prolong tells the shim again and again for how long the command may go on.
func (s *shim) prolong() (undo func()) {
	if s.spec.Left == nil {
		return func() {}
	}
	finished := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			timer := time.NewTimer(min(max(s.left()/4, tellOften), tellSeldom))
			select {
			case <-timer.C:
			case <-finished:
				timer.Stop()
				return
			}
			// An error means that the shim is gone, which run notices by itself.
			_ = json.NewEncoder(s.control).Encode(message{Left: s.left()})
		}
	}()
	return func() { close(finished); <-done }
}

// drain waits for the last output of a tree that is gone.
func (s *shim) drain(copied <-chan error) error {
	patience := time.NewTimer(outputPatience)
	defer patience.Stop()
	select {
	case err := <-copied:
		return err
	case <-patience.C:
	}
	_ = s.output.Close()
	if err := <-copied; err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// copyAll reads to the end even if output fails, because a command that cannot print would wait for ever.
func copyAll(output io.Writer, from io.Reader) error {
	_, err := io.Copy(output, from)
	if err == nil || errors.Is(err, os.ErrClosed) {
		return err
	}
	_, _ = io.Copy(io.Discard, from)
	return err
}

func (s *shim) close() { closeFiles(s.control, s.reports, s.output) }

func closeFiles(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
