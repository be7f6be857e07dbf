// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"flamenco.farm/internal/worker/outbox"
)

// errRefused ends a task whose updates the Manager does not take.
var errRefused = errors.New("the task is no longer this Worker's")

// deliver sends one update as it was stored: with the session of its time, and without our headers if it had none.
func (w *Worker) deliver(ctx context.Context, u outbox.Update) outbox.Verdict {
	a, err := w.client.do(ctx, call{
		method: http.MethodPost, path: "/worker/task/" + u.TaskID, body: u.Body,
		stored: true, session: u.Session,
		headers: map[string]string{headerAssignment: u.Assignment, headerSequence: strconv.FormatInt(u.Sequence, 10)},
	})
	switch {
	case ctx.Err() != nil:
		return outbox.Later
	case err != nil:
		w.log.Warn("cannot deliver an update, it waits", "task", u.TaskID, "error", err)
		return outbox.Later
	case a.status < 300:
		return outbox.Accepted
	case a.later():
		w.log.Warn("cannot deliver an update, it waits", "task", u.TaskID, "error", a.problem())
		return outbox.Later
	}
	w.log.Warn("the Manager refuses an update", "task", u.TaskID, "assignment", u.Assignment, "error", a.problem())
	return outbox.Refused
}

// refused ends the running task if it is the one that the Manager does not want to hear of.
func (w *Worker) refused(u outbox.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running != nil && w.running.assignment == u.Assignment {
		w.running.stop(errRefused)
	}
}

// deliverLeftovers sends what the last run could not, before the sign-on: until then its session is the last one, so
// that a finished task counts. What cannot be sent now follows afterwards.
func (w *Worker) deliverLeftovers(ctx context.Context) {
	count, _ := w.box.Size()
	if count == 0 || !w.client.identity().known() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.timing.leftovers)
	defer cancel()
	w.log.Info("delivering what is left from the last run", "updates", count)
	w.box.Flush(ctx, w.deliver)
}
