// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Observer hears how long each answer took, of one operation and one class of statuses such as 2xx.
type Observer func(took time.Duration)

// statusClasses are the classes that answers are counted in; cut is a connection that was dropped instead of answered.
var statusClasses = [...]string{"cut", "1xx", "2xx", "3xx", "4xx", "5xx"}

// meter measures the answers to one operation. Who hears of a class is looked up when it is first answered, then kept.
type meter struct {
	operation string
	lookUp    func(operation, class string) Observer
	observers [len(statusClasses)]atomic.Pointer[Observer]
}

// otherOperation is what is counted beside the operations of the API: pages, files, events, what does not exist.
const otherOperation = "other"

func (m *meter) saw(status int, took time.Duration) {
	if m == nil || status == http.StatusSwitchingProtocols {
		return // a websocket: how long it stayed is no latency
	}
	class := min(max(status/100, 0), len(statusClasses)-1)
	observe := m.observers[class].Load()
	if observe == nil {
		found := m.lookUp(m.operation, statusClasses[class])
		observe = &found
		m.observers[class].Store(observe)
	}
	(*observe)(took)
}

// measure gives every operation a meter, and the gate one for everything else.
func (g *gate) measure(lookUp func(operation, class string) Observer) {
	if lookUp == nil {
		return
	}
	for _, op := range g.operations {
		op.meter = &meter{operation: op.id, lookUp: lookUp}
	}
	g.other = &meter{operation: otherOperation, lookUp: lookUp}
}
