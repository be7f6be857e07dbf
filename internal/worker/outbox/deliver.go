// SPDX-License-Identifier: GPL-3.0-or-later

package outbox

import (
	"context"
	"math/rand/v2"
	"time"
)

// Verdict is what became of a delivery.
type Verdict int

// What becomes of a delivery. Later means that the Manager could not be asked: the same update is tried again, and
// nothing overtakes it. Refused means that it will never take anything of that assignment.
const (
	Later Verdict = iota
	Accepted
	Refused
)

// Deliver sends one update.
type Deliver func(ctx context.Context, u Update) Verdict

// Backoff is the waiting between attempts: doubled each time from Min to Max, and up to a quarter off at random, so
// that a farm does not come back in step.
type Backoff struct {
	Min, Max time.Duration
	next     time.Duration
}

// Reset makes the next wait the shortest again.
func (b *Backoff) Reset() { b.next = 0 }

// Wait waits, and longer each time. It fails with ctx's cause.
func (b *Backoff) Wait(ctx context.Context) error {
	b.next = min(max(b.next, b.Min), b.Max)
	wait := b.next - time.Duration(rand.Int64N(int64(b.next)/4+1))
	b.next *= 2
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run delivers updates in order, for as long as ctx lives, waiting as pause says when one has to be sent again.
// refused is told each assignment that was refused, after its updates were dropped. Run answers ctx's cause.
func (b *Box) Run(ctx context.Context, pause Backoff, deliver Deliver, refused func(Update)) error {
	for {
		if err := b.waitAny(ctx); err != nil {
			return err
		}
		if b.step(ctx, deliver, refused) {
			pause.Reset()
			continue
		}
		if err := pause.Wait(ctx); err != nil {
			return err
		}
	}
}

// Flush delivers what is there until nothing is left (true) or the Manager cannot be asked (false).
func (b *Box) Flush(ctx context.Context, deliver Deliver) bool {
	for {
		if count, _ := b.Size(); count == 0 {
			return true
		}
		if !b.step(ctx, deliver, func(Update) {}) {
			return false
		}
	}
}

// step delivers the oldest update; false means: try again later.
func (b *Box) step(ctx context.Context, deliver Deliver, refused func(Update)) bool {
	u, ok, err := b.First()
	if err != nil || !ok {
		return err == nil
	}
	switch deliver(ctx, u) {
	case Accepted:
		// If it cannot be taken out, it is sent again: the Manager knows it by its sequence.
		return b.Remove(u) == nil
	case Refused:
		err := b.Drop(u.Assignment)
		refused(u)
		return err == nil
	}
	return false
}
