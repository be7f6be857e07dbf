// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"context"
	"errors"
	"sync"
)

// work is things that are done some at a time, each of which may fail.
type work struct {
	places chan struct{}
	all    sync.WaitGroup

	mu       sync.Mutex
	problems []error
}

func newWork(atOnce int) *work { return &work{places: make(chan struct{}, atOnce)} }

// do does something as soon as there is a place for it; the error is that of ctx.
func (w *work) do(ctx context.Context, what func() error) error {
	select {
	case w.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	w.all.Go(func() {
		defer func() { <-w.places }()
		if err := what(); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.problems = append(w.problems, err)
		}
	})
	return nil
}

// wait waits for everything, and says what failed.
func (w *work) wait() error {
	w.all.Wait()
	return errors.Join(w.problems...)
}
