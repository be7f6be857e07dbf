// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// maxMargin is how long before the end of its lease a task is stopped at the latest, so that it is gone in time.
const maxMargin = 10 * time.Second

// clockCheck is how often the wall clock is looked at: timers stand still while the machine is suspended.
const clockCheck = time.Second

// askOn asks the Manager every few seconds whether the task may go on, which also renews the lease. No answer is a yes.
func (w *Worker) askOn(ctx context.Context, r *run) {
	every := w.timing.mayRun
	if session, lease := w.client.present(); session != "" && lease > 0 {
		every = min(every, lease/4)
	}
	wait := every
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = every
		switch allowed, reason, err := w.mayRun(ctx, r, max(every, time.Second)); {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.log.Warn("cannot ask whether the task may go on", "task", r.task.ID, "error", err)
			wait = every / 4
		case !allowed:
			r.stop(fmt.Errorf("%w: %s", errNotAllowed, reason))
			return
		}
	}
}

func (w *Worker) mayRun(ctx context.Context, r *run, timeout time.Duration) (allowed bool, reason string, err error) {
	k := call{method: http.MethodGet, path: "/worker/task/" + r.task.ID + "/may-i-run", timeout: timeout}
	if r.session != "" {
		k.headers = map[string]string{headerAssignment: r.assignment}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*timeout) // with all Managers together: the lease runs
	defer cancel()
	a, err := w.client.do(ctx, k)
	switch {
	case err != nil:
		return false, "", err
	case a.forbidden(), a.status == http.StatusConflict:
		return false, a.problem().Error(), nil // the session or the Worker is no more
	case a.status != http.StatusOK:
		return false, "", a.problem()
	}
	var permit struct {
		MayRun bool   `json:"mayKeepRunning"`
		Reason string `json:"reason"`
	}
	if err := a.decode(&permit); err != nil {
		return false, "", err
	}
	return permit.MayRun, permit.Reason, nil
}

// confirm makes sure that a task which may run only within its lease begins with most of it. The request that brought the
// task may have been held for longer than the lease lasts, and only its start is known to be before the lease's.
func (w *Worker) confirm(ctx context.Context, r *run) error {
	_, lease := w.client.present()
	if !r.stopAlone || r.session == "" || w.client.silence() < lease/4 {
		return nil
	}
	return w.box.WaitEmpty(ctx) // the Manager has taken the first update
}

// left is for how long processes of a task may go on, nil if that does not matter: what guardLease does, for the case that this
// process stands still, as one that is stopped, debugged or swapped out, while those of the task do not.
func (w *Worker) left(r *run) func() time.Duration {
	_, lease := w.client.present()
	if !r.stopAlone || r.session == "" || lease <= 0 {
		return nil
	}
	limit := lease - min(maxMargin, lease/4) + w.grace()
	return func() time.Duration { return limit - w.client.silence() }
}

// guardLease ends a task before the Manager, which has not heard of us, gives it to somebody else.
func (w *Worker) guardLease(ctx context.Context, r *run) {
	_, lease := w.client.present()
	if lease <= 0 {
		return
	}
	limit := lease - min(maxMargin, lease/4)
	for {
		left := limit - w.client.silence()
		if left <= 0 {
			r.cancel(errDisconnected)
			return
		}
		timer := time.NewTimer(min(left, clockCheck))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}
