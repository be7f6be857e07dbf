// SPDX-License-Identifier: GPL-3.0-or-later

package preview

import (
	"context"
	"slices"
	"sync"

	"flamenco.farm/internal/farm"
)

// How many pictures are in memory at most: those of so many jobs wait, so many more are on their way in, and one is being
// worked on.
const (
	maxWaiting   = 3
	maxReceiving = 4
)

// waiting is a picture that nobody has looked at yet.
type waiting struct {
	jobID string
	order int64 // in which it began to come in
	data  []byte
}

// queue holds one picture per job, the newest. Jobs take turns: the one that has waited longest is next.
type queue struct {
	mu        sync.Mutex
	jobs      []waiting
	receiving int
	begun     int64
	added     chan struct{}
}

func newQueue() *queue { return &queue{added: make(chan struct{}, 1)} }

// place is a picture that is coming in.
type place struct {
	queue *queue
	jobID string
	order int64
}

func errFull() error {
	return farm.Errorf(farm.CodeFull, "too many pictures are waiting; a later one will do")
}

// reserve makes room for a picture before it is read. Release it.
func (q *queue) reserve(jobID string) (place, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.receiving >= maxReceiving || (len(q.jobs) >= maxWaiting && q.of(jobID) < 0) {
		return place{}, errFull()
	}
	q.receiving++
	q.begun++
	return place{q, jobID, q.begun}, nil
}

func (p place) release() {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	p.queue.receiving--
}

// put queues the picture, unless one of the job that began to come later has overtaken it.
func (p place) put(data []byte) error {
	q := p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	switch i := q.of(p.jobID); {
	case i >= 0 && q.jobs[i].order < p.order:
		q.jobs[i].order, q.jobs[i].data = p.order, data
	case i >= 0:
	case len(q.jobs) >= maxWaiting:
		return errFull()
	default:
		q.jobs = append(q.jobs, waiting{p.jobID, p.order, data})
	}
	select {
	case q.added <- struct{}{}:
	default:
	}
	return nil
}

// of is where the picture of a job waits, -1 if it has none. The lock is held.
func (q *queue) of(jobID string) int {
	return slices.IndexFunc(q.jobs, func(w waiting) bool { return w.jobID == jobID })
}

// next waits for a picture and takes it out.
func (q *queue) next(ctx context.Context) (waiting, error) {
	for {
		if first, ok := q.first(); ok {
			return first, nil
		}
		select {
		case <-q.added:
		case <-ctx.Done():
			return waiting{}, context.Cause(ctx)
		}
	}
}

func (q *queue) first() (waiting, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		return waiting{}, false
	}
	first := q.jobs[0]
	q.jobs = slices.Delete(q.jobs, 0, 1)
	return first, true
}
