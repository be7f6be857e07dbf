// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"flamenco.farm/test/load/measure"
)

// Events is browsers that watch a job over Socket.IO while Workers drain it.
type Events struct {
	Drain
	Clients int
}

// eventLimit is how long a packet may be, in bytes.
const eventLimit = 1 << 20

// Run drains and takes, for each client, the time from the moment before a Worker says that a task is completed until the
// client has the event of it.
func (e Events) Run(ctx context.Context) (*measure.Report, error) {
	p := e.person()
	job, err := p.Submit(ctx, e.Kind, e.Tasks)
	if err != nil {
		return nil, err
	}
	if !e.KeepJobs {
		defer e.cancelJobs(context.WithoutCancel(ctx), []string{job.ID})
	}
	e.Jobs = 0
	sent := &moments{at: map[string]time.Time{}}
	e.OnComplete = sent.note
	reading, stop := context.WithCancel(ctx)
	defer stop()
	shared := measure.NewShared()
	var group sync.WaitGroup
	for range e.Clients {
		conn, err := e.subscribe(ctx, job.ID)
		if err != nil {
			return nil, err
		}
		group.Go(func() { ping(reading, conn) })
		group.Go(func() {
			rec := measure.NewRecorder()
			listen(reading, conn, sent, rec)
			shared.Merge(rec)
		})
	}
	report, err := e.Drain.Run(ctx)
	wait(ctx, time.NewTimer(lastEvents))
	stop()
	group.Wait()
	if err != nil {
		return nil, err
	}
	report.What = "events"
	all := shared.Take()
	report.Calls[UpdateToEvent] = all.Calls()[UpdateToEvent]
	for kind, n := range all.Errors() {
		report.Errors[kind] += n
	}
	expected := float64(report.Calls["completed"].N * e.Clients)
	report.Figures = map[string]float64{"clients": float64(e.Clients), measure.EventsMissing: expected - float64(report.Calls[UpdateToEvent].N)}
	return report, nil
}

// UpdateToEvent is the kind of call that a load of events takes: from a Worker's update to a client's event.
const UpdateToEvent = "update to event"

// lastEvents is how long after the drain events may still arrive.
const lastEvents = time.Second

// moments is when each task was reported to be completed.
type moments struct {
	mu sync.RWMutex
	at map[string]time.Time
}

func (m *moments) note(task string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at[task] = time.Now()
}

func (m *moments) since(task string) (time.Duration, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	at, ok := m.at[task]
	return time.Since(at), ok
}

// subscribe connects as the web app of Flamenco 3 does and asks for the jobs and the tasks of one of them.
func (e Events) subscribe(ctx context.Context, job string) (*websocket.Conn, error) {
	address := "ws" + strings.TrimPrefix(e.Managers[0].String(), "http") + "/socket.io/?EIO=3&transport=websocket"
	conn, response, err := websocket.Dial(ctx, address, nil)
	if err != nil {
		return nil, fmt.Errorf("connecting to the events: %w", err)
	}
	if response.Body != nil {
		response.Body.Close()
	}
	conn.SetReadLimit(eventLimit)
	for _, request := range []string{
		`42["/subscription",{"op":"subscribe","type":"allJobs"}]`,
		`42["/subscription",{"op":"subscribe","type":"job","uuid":"` + job + `"}]`,
	} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(request)); err != nil {
			return nil, fmt.Errorf("subscribing: %w", err)
		}
	}
	return conn, nil
}

// pingInterval is how often a client of Engine.IO 3 says that it is there. A server ends a connection that is silent for long.
const pingInterval = 25 * time.Second

// ping keeps a connection until it is closed, which the reader notices too.
func ping(ctx context.Context, conn *websocket.Conn) {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if conn.Write(ctx, websocket.MessageText, []byte("2")) != nil {
			return
		}
	}
}

var (
	taskEvent     = []byte(`42["/task",`)
	idField       = []byte(`"id":"`)
	completedNow  = []byte(`"status":"completed"`)
	lengthOfAUUID = 36
)

// listen reads events. It looks for two fields instead of decoding them, so that the load stays small.
func listen(ctx context.Context, conn *websocket.Conn, sent *moments, rec *measure.Recorder) {
	defer func() { _ = conn.CloseNow() }()
	for {
		_, packet, err := conn.Read(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
				rec.Failed("events", err)
			}
			return
		}
		if !bytes.HasPrefix(packet, taskEvent) || !bytes.Contains(packet, completedNow) {
			continue
		}
		_, id, ok := bytes.Cut(packet, idField)
		if !ok || len(id) < lengthOfAUUID {
			continue
		}
		if took, ok := sent.since(string(id[:lengthOfAUUID])); ok {
			rec.Took(UpdateToEvent, took)
		}
	}
}
