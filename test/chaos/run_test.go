// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/testkit/history"
)

// run is a task in the hands of a Worker.
type run struct {
	task, assignment string
	onDisconnect     farm.OnDisconnect
	sequence         int
	started          time.Time
	fenced           time.Time // when the lease ended it
	stop             context.CancelFunc
}

// update is what a Worker has to say of a task.
type update struct {
	task, assignment, session string
	sequence                  int
	status                    farm.TaskStatus // "" = none
	log                       string
}

func (u update) call() call {
	body := map[string]any{"log": u.log}
	if u.status != "" {
		body["taskStatus"] = u.status
	}
	return call{
		method: http.MethodPost, path: "/task/" + u.task, body: body, session: u.session, timeout: 4 * time.Second, neverFails: true,
		headers: map[string]string{"X-Flamenco-Assignment": u.assignment, "X-Flamenco-Sequence": strconv.Itoa(u.sequence)},
	}
}

func (r *run) says(l *life, status farm.TaskStatus) update {
	r.sequence++
	return update{
		task: r.task, assignment: r.assignment, session: l.session, sequence: r.sequence, status: status,
		log: fmt.Sprintf("%s %d %s\n", r.assignment, r.sequence, status),
	}
}

// perform sees a task through: it runs for a moment or for longer than a lease, and is reported until the Manager has
// heard or does not want to hear of it.
func (l *life) perform(ctx context.Context, _ int, a answer) {
	var task struct {
		UUID string `json:"uuid"`
	}
	if err := json.Unmarshal(a.body, &task); err != nil {
		l.record.complain("this is no task: %v", err)
		return
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	r := &run{
		task: task.UUID, assignment: a.header.Get("X-Flamenco-Assignment"),
		onDisconnect: farm.OnDisconnect(a.header.Get("X-Flamenco-On-Disconnect")), stop: stop,
	}
	l.record.given(r.assignment)
	first := []update{r.says(l, farm.TaskActive), r.says(l, "")}
	if r.onDisconnect == farm.StopOnDisconnect && l.silence() >= l.lease/4 {
		if !l.deliver(ctx, first[0]) { // confirms the lease
			return
		}
		first = first[1:]
	}
	if !l.begin(r) {
		return
	}
	accepted := true
	var beside sync.WaitGroup
	beside.Go(func() { l.ask(running, r) })
	beside.Go(func() {
		for _, u := range first {
			if accepted = accepted && l.deliver(ctx, u); !accepted {
				stop()
			}
		}
	})
	_ = pause(running, l.duration())
	crashes := l.dice.fault(40)
	finished := l.finish(r, running.Err() == nil)
	stop()
	if crashes {
		l.record.count(&l.record.crashes)
		if finished && l.dice.chance(90) {
			l.leave(r.says(l, farm.TaskCompleted))
		}
		l.end()
	}
	beside.Wait()
	if finished && !crashes && accepted {
		u := r.says(l, farm.TaskCompleted)
		if !l.deliver(ctx, u) && ctx.Err() != nil {
			l.leave(u)
		}
	}
}

// duration is how long a task takes; a few outlast leases.
func (w *simulated) duration() time.Duration {
	switch n := w.dice.below(100); {
	case n < 60:
		return w.dice.between(20*time.Millisecond, 800*time.Millisecond)
	case n < 88:
		return w.dice.between(800*time.Millisecond, lease)
	}
	return w.dice.between(lease, 2*silenceOver)
}

func (l *life) silence() time.Duration {
	l.clock.Lock()
	defer l.clock.Unlock()
	return time.Since(l.contact)
}

// begin starts a task, unless its time is over already.
func (l *life) begin(r *run) bool {
	l.clock.Lock()
	defer l.clock.Unlock()
	r.started = time.Now()
	if r.onDisconnect == farm.StopOnDisconnect && !r.started.Before(l.deadline()) {
		return false
	}
	l.held[r] = true
	return true
}

// finish writes down how a task ended.
func (l *life) finish(r *run, finished bool) bool {
	l.clock.Lock()
	defer l.clock.Unlock()
	now := time.Now()
	l.fence(now)
	delete(l.held, r)
	if !r.fenced.IsZero() {
		now, finished = r.fenced, false
	}
	l.record.ran(history.Run{Task: r.task, Assignment: r.assignment, Started: r.started, Ended: now, Finished: finished})
	return finished
}

// ask asks whether the task may go on.
func (l *life) ask(running context.Context, r *run) {
	for pause(running, l.lease/4) == nil {
		a, err := l.do(running, call{
			method: http.MethodGet, path: "/task/" + r.task + "/may-i-run", timeout: time.Second,
			headers: map[string]string{"X-Flamenco-Assignment": r.assignment},
		})
		var permit struct {
			MayRun bool `json:"mayKeepRunning"`
		}
		switch {
		case err != nil || a.status == http.StatusServiceUnavailable:
		case a.status == http.StatusConflict || json.Unmarshal(a.body, &permit) == nil && !permit.MayRun:
			l.record.count(&l.record.toldToStop)
			r.stop()
			return
		}
	}
}

// deliver reports until a Manager has heard it. Some of what it sends arrives twice, or once more much later.
func (l *life) deliver(ctx context.Context, u update) (accepted bool) {
	k := u.call()
	for ctx.Err() == nil {
		if l.dice.fault(40) {
			l.record.count(&l.record.doubled)
			l.again(ctx, k, 0, func(a answer) { l.record.told(u, a) })
		}
		if l.dice.fault(40) {
			l.record.count(&l.record.delayed)
			l.again(ctx, k, l.dice.between(0, 3*lease), func(a answer) { l.record.told(u, a) })
		}
		if a, err := l.do(ctx, k); err == nil {
			l.record.told(u, a)
			switch {
			case a.status == http.StatusNoContent:
				l.record.written(u)
				return true
			case a.status == http.StatusConflict:
				return false
			}
		}
		_ = pause(ctx, l.dice.between(50*time.Millisecond, 400*time.Millisecond))
	}
	return false
}

// leave keeps an update for the next life.
func (w *simulated) leave(u update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leftovers = append(w.leftovers, u)
}

// flush delivers what earlier lives left: some of it before the sign-on, some after it, when it may be too late.
func (l *life) flush(ctx context.Context) {
	l.mu.Lock()
	left := l.leftovers
	l.leftovers = nil
	l.mu.Unlock()
	for _, u := range left {
		if l.dice.chance(50) {
			l.again(ctx, u.call(), l.dice.between(0, 3*lease), func(a answer) { l.record.told(u, a) })
			continue
		}
		for range 3 {
			a, err := l.exchange(ctx, l.http, u.call())
			if err == nil {
				l.record.told(u, a)
				break
			}
		}
	}
}
