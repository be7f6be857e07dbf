// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"flamenco.farm/internal/worker/command"
	"flamenco.farm/internal/worker/process"
)

// runCommand runs one command of a task and reports how it ended.
func (w *Worker) runCommand(ctx context.Context, r *run, index int, c command.Command) error {
	err := w.guardedRun(ctx, r, c)
	if errors.Is(err, process.ErrOver) {
		r.cancel(errDisconnected) // we stood still
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	code, known := 0, err == nil
	var exit *command.ExitError
	if errors.As(err, &exit) {
		code, known = exit.ExitCode, true
	}
	if !known {
		r.report.commandEnded(index, r.task.Commands[index].Name, nil)
		return err
	}
	r.report.commandEnded(index, r.task.Commands[index].Name, &code)
	return err
}

// guardedRun makes a defect in a command a failure of its task: the next task may well run.
func (w *Worker) guardedRun(ctx context.Context, r *run, c command.Command) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("a command has a defect", "task", r.task.ID, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the Worker has a defect: %v", p)
		}
	}()
	return c.Run(ctx, command.Env{
		Log:            r.report.line,
		Step:           func(n int) { r.report.step(n, "Progress") },
		Output:         func(path string) { w.pictures.Offer(r.output(path)) },
		Assignment:     r.assignment,
		Home:           w.opts.Home,
		OOMScoreAdjust: w.opts.OOMScoreAdjust,
		Grace:          w.grace(),
		Left:           w.left(r),
	})
}

// grace is how long a process may take to end when it is asked to, so that it is gone before the lease is.
func (w *Worker) grace() time.Duration {
	if session, lease := w.client.present(); session != "" && lease > 0 {
		return min(w.timing.grace, lease/8)
	}
	return w.timing.grace
}
