// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"time"

	"flamenco.farm/internal/farm"
)

// ail tells the Manager that the Worker cannot run tasks and why, and looks again until that has passed or the Manager
// wants something else. Being asked to wake up is a reason to look at once.
func (w *Worker) ail(ctx context.Context, problem error) (farm.WorkerStatus, error) {
	w.log.Error("cannot run tasks", "reason", problem)
	if err := w.changed(ctx, farm.WorkerError, problem.Error()); err != nil {
		return "", err
	}
	wait := w.timing.check
	again := time.NewTimer(wait)
	defer again.Stop()
	poll := time.NewTicker(w.timing.poll)
	defer poll.Stop()
	for {
		select {
		case <-again.C:
			wait = min(2*wait, w.timing.checkMax)
			again.Reset(wait)
		case <-poll.C:
			switch wanted, err := w.wanted(ctx); {
			case err != nil:
				return "", err
			case wanted == "":
				continue
			case wanted != farm.WorkerAwake:
				return wanted, nil
			}
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		switch problem = w.checker.check(ctx); {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case problem == nil:
			w.log.Info("can run tasks again")
			return farm.WorkerAwake, nil
		}
		w.log.Warn("still cannot run tasks", "reason", problem)
	}
}
