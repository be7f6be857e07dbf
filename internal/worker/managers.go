// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// faultRest is how long a Manager of another farm is left alone before it is looked at again: somebody may have put it
// right.
const faultRest = 5 * time.Minute

// managers are the Managers of the farm, of which one is in use for as long as it answers. It is safe for concurrent use.
type managers struct {
	log *slog.Logger

	mu    sync.Mutex
	order []*endpoint // the one to ask first at the front
	inUse string      // address of the one that answered last; "" = none has answered yet

	numbers int // of calls
}

// endpoint is one of them. Its fields are guarded by the lock of its managers.
type endpoint struct {
	base    string
	known   bool                            // it has taken our identity
	session string                          // the session that it is known to share
	trouble error                           // why the last call to it failed
	silent  bool                            // it gave no answer then
	calls   map[int]context.CancelCauseFunc // to it, on their way
	fault   string                          // why it is not used, "" = it is
	until   time.Time                       // when a fault is looked at again
}

func newManagers(bases []string, log *slog.Logger) *managers {
	m := &managers{log: log}
	for _, base := range bases {
		m.order = append(m.order, &endpoint{base: base, calls: map[int]context.CancelCauseFunc{}})
	}
	return m
}

func (m *managers) several() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.order) > 1
}

// round are the Managers to try for one call, in order: all that are fit for use, or all if none is.
func (m *managers) round() []*endpoint {
	m.mu.Lock()
	defer m.mu.Unlock()
	var fit []*endpoint
	for _, e := range m.order {
		if e.fit() {
			fit = append(fit, e)
		}
	}
	if len(fit) == 0 {
		return slices.Clone(m.order)
	}
	return fit
}

func (e *endpoint) fit() bool { return e.fault == "" || time.Now().After(e.until) }

// stillFit is whether nothing was found against a Manager meanwhile.
func (m *managers) stillFit(e *endpoint) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return e.fit()
}

// all are the addresses, for people.
func (m *managers) all() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var bases []string
	for _, e := range m.order {
		bases = append(bases, e.base)
	}
	return strings.Join(bases, ", ")
}

// failed puts a Manager behind the others. One that was left already keeps its place.
func (m *managers) failed(e *endpoint, trouble error, silent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.trouble, e.silent = trouble, silent
	if m.order[0] == e {
		m.order = append(m.order[1:], e)
	}
}

// worked notes that a Manager gave a usable answer; one that stood in for others is the one to ask first from now on. Only a
// change of the Manager in use is told: calls that fail everywhere change nothing.
func (m *managers) worked(e *endpoint, stoodIn bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := slices.Index(m.order, e); stoodIn && at > 0 {
		m.order = slices.Insert(slices.Delete(m.order, at, at+1), 0, e)
	}
	if m.order[0] != e || m.inUse == e.base {
		return
	}
	for _, before := range m.order {
		if before.base != m.inUse {
			continue
		}
		m.log.Warn("using another Manager from now on", "manager", e.base, "before", before.base, "reason", before.trouble)
		if before.silent {
			before.giveUp()
		}
	}
	m.inUse = e.base
}

// errLeft is the end of a call to a Manager that was found silent by another call.
var errLeft = errors.New("the Manager does not answer")

// giveUp breaks the calls that wait for an answer, so that they are made elsewhere at once.
func (e *endpoint) giveUp() {
	for _, cancel := range e.calls {
		cancel(errLeft)
	}
}

// calling notes a call, which cancel ends, until done is called.
func (m *managers) calling(e *endpoint, cancel context.CancelCauseFunc) (done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.numbers++
	number := m.numbers
	e.calls[number] = cancel
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(e.calls, number)
	}
}

// refuse leaves a Manager alone for a while that is none of this farm. It is told once for each reason.
func (m *managers) refuse(e *endpoint, fault string) {
	m.mu.Lock()
	news := e.fault != fault
	e.fault, e.until = fault, time.Now().Add(faultRest)
	m.mu.Unlock()
	m.failed(e, errors.New(fault), false)
	if news {
		m.log.Error("a Manager of the list is not used: all must be Managers of one farm, with the same database",
			"manager", e.base, "reason", fault)
	}
}

// accepted notes that a Manager has taken our identity, and that it shares a session; "" = that is not known.
func (m *managers) accepted(e *endpoint, session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.known, e.fault = true, ""
	e.session = cmp.Or(session, e.session)
}

// begun notes that a session was begun at an address.
func (m *managers) begun(base, session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.order {
		if e.base == base {
			e.session = session
		}
	}
}

// strangers are the Managers that have not shown yet that they share a session.
func (m *managers) strangers(session string) (found []*endpoint) {
	for _, e := range m.round() {
		if !m.shares(e, session) {
			found = append(found, e)
		}
	}
	return found
}

func (m *managers) knowsUs(e *endpoint) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return e.known
}

func (m *managers) shares(e *endpoint, session string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return e.session == session
}

// forget makes all of them strangers, because the Worker has become another one.
func (m *managers) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.order {
		e.known, e.session, e.fault = false, "", ""
	}
}
