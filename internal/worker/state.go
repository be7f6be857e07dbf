// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/worker/outbox"
)

// quick is how soon an answer shows that the Manager did not hold the request.
const quick = time.Second

// maxConflicts is how often in a row the Manager may say that the Worker is not awake before the Worker starts over.
const maxConflicts = 3

// changed tells the Manager about a state, until it knows. The reason, if there is one, is for our Manager.
func (w *Worker) changed(ctx context.Context, state farm.WorkerStatus, reason string) error {
	body := map[string]any{"status": state}
	if session, _ := w.client.present(); session != "" && reason != "" {
		body["reason"] = reason
	}
	pause := w.retries()
	for {
		a, err := w.client.do(ctx, call{method: http.MethodPost, path: "/worker/state-changed", body: body})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && a.status < 300:
			return nil
		case err == nil && (a.forbidden() || a.status == http.StatusConflict):
			return errSessionOver
		case err == nil:
			err = a.problem()
		}
		w.log.Warn("cannot report the status, trying again", "status", state, "error", err)
		if err := pause.Wait(ctx); err != nil {
			return err
		}
	}
}

// rest sleeps until the Manager wants something else. Statuses that are not for Workers count as sleeping.
func (w *Worker) rest(ctx context.Context) (farm.WorkerStatus, error) {
	w.log.Info("asleep")
	if err := w.changed(ctx, farm.WorkerAsleep, ""); err != nil {
		return "", err
	}
	poll := time.NewTicker(w.timing.poll)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		state, err := w.wanted(ctx)
		switch {
		case err != nil:
			return "", err
		case state == farm.WorkerAwake, state == farm.WorkerOffline, state == farm.WorkerRestart:
			return state, nil
		case state != "":
			if err := w.changed(ctx, farm.WorkerAsleep, ""); err != nil {
				return "", err
			}
		}
	}
}

// wanted is the status that the Manager wants the Worker to take, "" if there is none or it cannot be asked now.
func (w *Worker) wanted(ctx context.Context) (farm.WorkerStatus, error) {
	a, err := w.client.do(ctx, call{method: http.MethodGet, path: "/worker/state"})
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err == nil && (a.forbidden() || a.status == http.StatusConflict):
		return "", errSessionOver
	case err == nil && a.status == http.StatusNoContent:
		return "", nil
	case err == nil && a.status == http.StatusOK:
		var state farm.WorkerStatus
		if state, err = requestedState(a); err == nil {
			return state, nil
		}
	case err == nil:
		err = a.problem()
	}
	w.log.Warn("cannot ask for the wanted status", "error", err)
	return "", nil
}

// work asks for tasks and runs them until the Manager wants another state.
func (w *Worker) work(ctx context.Context) (farm.WorkerStatus, error) {
	if err := w.checker.check(ctx); err != nil && ctx.Err() == nil {
		return w.ail(ctx, err)
	}
	w.log.Info("awake")
	if err := w.changed(ctx, farm.WorkerAwake, ""); err != nil {
		return "", err
	}
	waits := w.newWaits()
	for {
		// The Manager must know how the last task ended before it is asked for the next one.
		if err := w.box.WaitEmpty(ctx); err != nil {
			return "", err
		}
		if err := w.checker.check(ctx); err != nil && ctx.Err() == nil {
			return w.ail(ctx, err)
		}
		asked := time.Now()
		got, err := w.claim(ctx)
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if err == nil && got.run != nil {
			waits = w.newWaits()
			if err := w.perform(ctx, got.run); err != nil {
				return "", err
			}
			continue
		}
		if err == nil && got.requested != "" && got.requested != farm.WorkerAwake {
			return got.requested, nil
		}
		if err := w.between(ctx, got, err, asked, &waits); err != nil {
			return "", err
		}
	}
}

// waits are the pauses of work, each growing while its reason lasts.
type waits struct {
	failed, empty, idle, conflict outbox.Backoff
	conflicts                     int
}

func (w *Worker) newWaits() waits {
	return waits{
		failed:   w.retries(),
		conflict: w.retries(),
		empty:    outbox.Backoff{Min: w.timing.empty, Max: w.timing.emptyMax},
		idle:     outbox.Backoff{Min: w.timing.idle, Max: w.timing.idleMax},
	}
}

// between decides how to go on after a request that brought no task.
func (w *Worker) between(ctx context.Context, got claimed, err error, asked time.Time, waits *waits) error {
	session, _ := w.client.present()
	switch {
	case err != nil:
		if errors.Is(err, errSessionOver) {
			return err
		}
		w.log.Warn("cannot ask for a task, trying again", "error", err)
		return waits.failed.Wait(ctx)
	case got.conflict || got.requested == farm.WorkerAwake:
		if waits.conflicts++; waits.conflicts > maxConflicts {
			return errSessionOver
		}
		return w.wake(ctx, waits)
	case session == "":
		return waits.idle.Wait(ctx)
	case time.Since(asked) < quick:
		return waits.empty.Wait(ctx)
	}
	*waits = w.newWaits() // the request was held: ask again at once
	return nil
}

// wake tells a Manager that believes otherwise that the Worker is awake. Only the first time is without a pause.
func (w *Worker) wake(ctx context.Context, waits *waits) error {
	if waits.conflicts > 1 {
		if err := waits.conflict.Wait(ctx); err != nil {
			return err
		}
	}
	return w.changed(ctx, farm.WorkerAwake, "")
}

// claimed is the answer to a request for a task; empty when there is none.
type claimed struct {
	run       *run
	requested farm.WorkerStatus // take this status first
	conflict  bool              // the Manager believes that the Worker is not awake
}

// claim asks for a task. The Manager holds the request until there is one.
func (w *Worker) claim(ctx context.Context) (claimed, error) {
	a, err := w.client.do(ctx, call{
		method: http.MethodPost, path: "/worker/task", timeout: heldTimeout,
		// One slot, and nothing runs while the Worker asks: an assignment that the Manager believes to be here was
		// lost on the way, and is handed out again.
		headers: map[string]string{headerSlot: "0", headerRunning: ""},
	})
	if err != nil {
		return claimed{}, err
	}
	switch {
	case a.status == http.StatusOK:
		r, err := w.newRun(a)
		return claimed{run: r}, err
	case a.status == http.StatusNoContent:
		return claimed{}, nil
	case a.status == http.StatusLocked:
		state, err := requestedState(a)
		return claimed{requested: state}, err
	case a.status == http.StatusConflict:
		return claimed{conflict: true}, nil
	case a.forbidden():
		return claimed{}, fmt.Errorf("%w: %w", errSessionOver, a.problem())
	}
	return claimed{}, a.problem()
}
