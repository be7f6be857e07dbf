// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
)

var taskTypes = []string{"blender", "misc"} // keep, stop

// simulated is a Worker that keeps the rules of one, with several slots: it stops a task when its lease runs out or the
// Manager says so, delivers in order, and asks for the next task when all is delivered. Its clocks are better than real
// ones: a task is over at the very moment its lease says, however late that is noticed.
type simulated struct {
	*line
	name  string
	slots int
	late  *sync.WaitGroup // messages that are still on their way

	mu        sync.Mutex
	leftovers []update // what a crash kept from being delivered
}

// live is one life after the other; each ends with a crash, or because the Manager ended the session.
func (w *simulated) live(ctx context.Context) {
	for ctx.Err() == nil {
		l := &life{simulated: w, http: newHTTP(), held: map[*run]bool{}}
		l.flush(ctx)
		l.live(ctx)
		l.http.CloseIdleConnections()
		rest := 50 * time.Millisecond
		if w.dice.chance(40) {
			rest = w.dice.between(0, 2*silenceOver)
		}
		_ = pause(ctx, rest) // its end is seen above
	}
}

// life is a process of a Worker.
type life struct {
	*simulated
	http    *http.Client
	session string
	lease   time.Duration
	end     context.CancelFunc

	clock   sync.Mutex
	contact time.Time     // start of the last call that was answered
	held    map[*run]bool // the tasks that it runs
}

func (l *life) live(ctx context.Context) {
	ctx, l.end = context.WithCancel(ctx)
	defer l.end()
	if !l.signOn(ctx) || !l.awake(ctx) {
		return
	}
	var slots sync.WaitGroup
	defer slots.Wait()
	slots.Go(func() { l.guard(ctx) })
	for slot := range l.slots {
		slots.Go(func() { l.work(ctx, slot) })
	}
}

func (l *life) signOn(ctx context.Context) bool {
	session := uuid.NewString()
	for ctx.Err() == nil {
		start := time.Now()
		a, err := l.exchange(ctx, l.http, call{
			method: http.MethodPost, path: "/sign-on", timeout: 10 * time.Second, neverFails: true,
			body: map[string]any{"name": l.name, "supported_task_types": taskTypes, "software_version": "4", "session": session},
		})
		if err == nil && a.status == http.StatusOK {
			seconds, _ := strconv.ParseFloat(a.header.Get("X-Flamenco-Lease"), 64)
			l.session, l.lease, l.contact = a.header.Get("X-Flamenco-Session"), time.Duration(seconds*float64(time.Second)), start
			if l.session != session || l.lease != lease {
				l.record.complain("%s signed on with session %s and got %s, lease %v", l.name, session, l.session, l.lease)
			}
			return true
		}
		_ = pause(ctx, 300*time.Millisecond)
	}
	return false
}

func (l *life) awake(ctx context.Context) bool {
	for ctx.Err() == nil {
		a, err := l.do(ctx, call{method: http.MethodPost, path: "/state-changed", body: map[string]any{"status": "awake"}, timeout: 10 * time.Second})
		switch {
		case err == nil && a.status == http.StatusNoContent:
			return true
		case err == nil && a.status == http.StatusConflict:
			return false
		}
		_ = pause(ctx, 300*time.Millisecond)
	}
	return false
}

// do makes a call of the session.
func (l *life) do(ctx context.Context, k call) (answer, error) {
	k.session = l.session
	start := time.Now()
	a, err := l.exchange(ctx, l.http, k)
	if err == nil && a.status < 300 {
		l.renew(start)
	}
	return a, err
}

// work runs tasks in a slot, one after the other.
func (l *life) work(ctx context.Context, slot int) {
	for ctx.Err() == nil {
		k := call{
			method: http.MethodPost, path: "/task", timeout: 20 * time.Second,
			headers: map[string]string{"X-Flamenco-Slot": strconv.Itoa(slot), "X-Flamenco-Running": l.running()},
		}
		if l.dice.fault(20) {
			k.session = l.session
			l.again(ctx, k, l.dice.between(0, lease), nil)
		}
		a, err := l.do(ctx, k)
		switch {
		case err != nil || a.status == http.StatusServiceUnavailable:
			_ = pause(ctx, l.dice.between(50*time.Millisecond, 400*time.Millisecond))
		case a.status == http.StatusNoContent: // nothing to do just now
		case a.status == http.StatusLocked:
			if !l.awake(ctx) {
				l.end()
			}
		case a.status == http.StatusConflict:
			l.record.count(&l.record.conflicts)
			l.end() // signs on again
		case a.status == http.StatusOK:
			l.perform(ctx, slot, a)
		default:
			l.record.complain("a request for a task was answered %d %s", a.status, a.body)
		}
	}
}

// again sends a call once more, later, as a network does that kept it for a while; also when the Worker died meanwhile.
func (w *simulated) again(ctx context.Context, k call, after time.Duration, heard func(answer)) {
	w.late.Go(func() {
		ctx := context.WithoutCancel(ctx)
		if pause(ctx, after) != nil {
			return
		}
		hc := newHTTP()
		defer hc.CloseIdleConnections()
		if a, err := w.exchange(ctx, hc, k); err == nil && heard != nil {
			heard(a)
		}
	})
}

// renew notes that a call which began at a time was answered. What had to be over before stays over.
func (l *life) renew(start time.Time) {
	l.clock.Lock()
	defer l.clock.Unlock()
	l.fence(time.Now())
	if start.After(l.contact) {
		l.contact = start
	}
}

// deadline is when tasks that must not run twice have to be over.
func (l *life) deadline() time.Time { return l.contact.Add(l.lease - sched.Margin(l.lease)) }

// fence ends the tasks whose time is over. The clock is locked.
func (l *life) fence(now time.Time) {
	deadline := l.deadline()
	if now.Before(deadline) {
		return
	}
	for r := range l.held {
		if r.onDisconnect == farm.StopOnDisconnect && r.fenced.IsZero() {
			r.fenced = deadline
			r.stop()
			l.record.count(&l.record.fenced)
		}
	}
}

// guard looks at the clock when a deadline comes.
func (l *life) guard(ctx context.Context) {
	for {
		l.clock.Lock()
		now := time.Now()
		l.fence(now)
		left := l.deadline().Sub(now)
		l.clock.Unlock()
		if pause(ctx, max(left, 20*time.Millisecond)) != nil {
			return
		}
	}
}

func (l *life) running() (ids string) {
	l.clock.Lock()
	defer l.clock.Unlock()
	for r := range l.held {
		ids += fmt.Sprintf("%s,", r.assignment)
	}
	return ids
}
