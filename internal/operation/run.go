// SPDX-License-Identifier: GPL-3.0-or-later

package operation

import (
	"context"
	"errors"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/lock"
	"flamenco.farm/internal/store"
)

// writeEvery is how often the progress of an operation is stored.
const writeEvery = 500 * time.Millisecond

// maxActivity is how long the activity of an operation may be, in bytes.
const maxActivity = 1000

// Why a run is stopped.
var errCanceled = errors.New("the operation was canceled")

// run is one run of an operation, from its locks to its end.
type run struct {
	service   *Service
	operation farm.Operation
	kind      Kind
	locks     []string
	stop      context.CancelCauseFunc

	mu       sync.Mutex
	progress progress // the last that was heard
	result   *result  // what the process said at its end
	news     chan struct{}
}

// run runs the process and writes down how it ended.
func (r *run) run(ctx context.Context) {
	s, log := r.service, r.service.Log.With("operation", r.operation.ID, "kind", r.operation.Kind)
	log.Info("operation starts", "run", r.operation.Runs)
	r.news = make(chan struct{}, 1)
	var writer sync.WaitGroup
	exited := make(chan struct{})
	writer.Go(func() { r.writeProgress(ctx, exited) })
	how := r.runProcess(ctx)
	close(exited)
	writer.Wait()

	// Not all that it committed may have been heard of: it may have been killed before it could say so.
	refresh := farm.Change{Kind: farm.ChangeRefresh, OperationID: r.operation.ID}
	if r.kind.Job != nil {
		refresh.JobID = r.kind.Job(r.operation.Params)
	}
	r.mu.Lock()
	refresh.Heard = r.result != nil
	r.mu.Unlock()
	s.Bus.Publish([]farm.Change{refresh})

	for {
		o, err := r.conclude(ctx, how)
		if err == nil {
			log.Info("operation ends", "status", o.Status, "activity", o.Activity, "process", how)
			break
		}
		log.Error("cannot write down how an operation ended, will try again", "error", err)
		select {
		case <-ctx.Done(): // the next start finds it running and repeats it
			return
		case <-time.After(retryAfter):
		}
	}
	if err := s.forgetOld(context.WithoutCancel(ctx)); err != nil {
		log.Warn("cannot forget old operations", "error", err)
	}
}

// conclude writes down how the operation ended, or that it has to run again, and frees its locks.
func (r *run) conclude(ctx context.Context, how string) (o farm.Operation, err error) {
	stopping := ctx.Err() != nil && !errors.Is(context.Cause(ctx), errCanceled)
	err = r.service.Store.Do(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if o, err = tx.Operation(r.operation.ID); err != nil {
			return err
		}
		if o.Status != farm.OperationRunning || o.Runs != r.operation.Runs {
			return nil
		}
		if err := lock.Free(tx, o.ID); err != nil {
			return err
		}
		r.mu.Lock()
		p, result := r.progress, r.result
		r.mu.Unlock()
		o.Activity, o.Done, o.Total = p.Activity, p.Done, p.Total
		switch {
		case result != nil && result.Failure == "":
			o.Status, o.Ended = farm.OperationCompleted, tx.Now()
		case stopping:
			r.service.interrupted(&o, tx.Now(), "the Manager stopped while it ran")
		case !o.CancelRequested.IsZero():
			r.service.interrupted(&o, tx.Now(), "")
		case result != nil:
			o.Status, o.Ended, o.Activity = farm.OperationFailed, tx.Now(), result.Failure
		default:
			r.crashed(&o, tx.Now(), how)
		}
		return tx.SaveOperation(o)
	})
	return o, err
}

// crashed is what becomes of an operation whose process ended without a word, such as one that the system killed.
func (r *run) crashed(o *farm.Operation, now time.Time, how string) {
	o.Crashes++
	why := "its process ended without a result (" + how + ")"
	if o.Crashes < maxCrashes {
		r.service.interrupted(o, now, why)
		return
	}
	o.Status, o.Ended, o.Activity = farm.OperationFailed, now, why
}

// heard takes one message of the process.
func (r *run) heard(m message) {
	switch {
	case len(m.Changes) > 0:
		r.service.Bus.Publish(m.Changes)
	case m.Progress != nil:
		r.mu.Lock()
		r.progress = *m.Progress
		r.progress.Activity = shorten(r.progress.Activity)
		r.mu.Unlock()
		select {
		case r.news <- struct{}{}:
		default:
		}
	case m.Result != nil:
		r.mu.Lock()
		r.result = m.Result
		r.result.Failure = shorten(r.result.Failure)
		r.mu.Unlock()
	}
}

// writeProgress stores the progress while the process runs, and not too often. The last is stored with the end.
func (r *run) writeProgress(ctx context.Context, exited <-chan struct{}) {
	for {
		select {
		case <-exited:
			return
		case <-r.news:
		}
		r.mu.Lock()
		p := r.progress
		r.mu.Unlock()
		err := r.service.Store.Do(ctx, func(tx *store.Tx) error {
			o, err := tx.Operation(r.operation.ID)
			if err != nil || o.Status != farm.OperationRunning || o.Runs != r.operation.Runs {
				return err
			}
			o.Activity, o.Done, o.Total = p.Activity, p.Done, p.Total
			return tx.SaveOperation(o)
		})
		if err != nil && ctx.Err() == nil {
			r.service.Log.Warn("cannot store the progress of an operation", "operation", r.operation.ID, "error", err)
		}
		select {
		case <-exited:
			return
		case <-time.After(writeEvery):
		}
	}
}

func shorten(text string) string {
	if len(text) <= maxActivity {
		return text
	}
	return text[:maxActivity] + "…"
}

// forgetOld deletes operations that ended long ago, with their logs.
func (s *Service) forgetOld(ctx context.Context) error {
	var gone []string
	err := s.Store.Do(ctx, func(tx *store.Tx) (err error) {
		gone, err = tx.ForgetOperations(tx.Now().Add(-keepFor), keepMost, queuePage)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range gone {
		s.removeLog(logName(id))
	}
	return nil
}
