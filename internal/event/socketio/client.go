// SPDX-License-Identifier: GPL-3.0-or-later

package socketio

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"flamenco.farm/internal/event"
)

// heartbeat is how often the one side says that it lives, and how long the other waits for it beyond that.
type heartbeat struct{ interval, timeout time.Duration }

// In Engine.IO 3 the client beats, in 4 the server.
var heartbeats = map[int]heartbeat{
	3: {30 * time.Second, 60 * time.Second},
	4: {25 * time.Second, 20 * time.Second},
}

// connectTime is how long a client of Engine.IO 4 may take to join after its first request.
const connectTime = 20 * time.Second

// client is one connection, over whichever transport.
type client struct {
	server   *Server
	mayJoin  func(room string) error
	id       string              // of the session: whoever knows it can speak for the client
	protocol int                 // of Engine.IO
	rooms    map[string]struct{} // guarded by the hub
	wake     chan struct{}       // something waits to be read
	idle     chan struct{}       // everything has been written
	done     chan struct{}       // the client is closed
	requests bucket              // what the client sends
	chat     bucket              // what of it is for others

	mu        sync.Mutex
	waiting   [][]byte
	bytes     int
	writing   bool
	connected bool // it has joined
	polling   bool // a poll is open
	upgrading bool // a websocket is about to take over
	probed    bool // and has been found to work
	upgraded  bool // it has taken over, or was there from the beginning
	closed    bool
	hangUp    func()
	conn      *websocket.Conn // nil = it polls
	silent    *time.Timer
	beat      *time.Timer
}

func newClient(s *Server, r *http.Request, protocol int) *client {
	ctx := context.WithoutCancel(r.Context()) // says who the client is for as long as it stays
	return &client{
		server: s, id: rand.Text(), protocol: protocol, rooms: map[string]struct{}{},
		mayJoin: func(room string) error { return s.MayJoin(ctx, room) },
		wake:    make(chan struct{}, 1), idle: make(chan struct{}, 1), done: make(chan struct{}),
		requests: bucket{size: 500, perSecond: 50}, chat: bucket{size: 5, perSecond: 1},
		upgraded: r.URL.Query().Get("transport") == "websocket",
	}
}

// open says hello and starts the clocks.
func (c *client) open() {
	beat := heartbeats[c.protocol]
	hello, err := json.Marshal(map[string]any{
		"sid": c.id, "upgrades": c.upgrades(), "pingInterval": beat.interval.Milliseconds(),
		"pingTimeout": beat.timeout.Milliseconds(), "maxPayload": c.server.Limits.Message,
	})
	if err != nil {
		panic("socketio: a greeting cannot be written as JSON: " + err.Error())
	}
	c.queue(append([]byte{engineOpen}, hello...))
	c.mu.Lock()
	if c.protocol == 4 {
		c.beat = time.AfterFunc(beat.interval, c.ping)
		c.silent = time.AfterFunc(connectTime, func() { c.close("it was silent for too long") })
	} else {
		c.silent = time.AfterFunc(beat.interval+beat.timeout, func() { c.close("it was silent for too long") })
	}
	c.mu.Unlock()
	if c.protocol == 3 {
		c.queue([]byte{engineMessage, socketConnect})
		c.join()
	}
}

// upgrades are the transports that the client may change over to.
func (c *client) upgrades() []string {
	if c.upgraded {
		return []string{}
	}
	return []string{"websocket"}
}

// join brings the client into the rooms where everybody is, and tells it how the farm is.
func (c *client) join() {
	c.mu.Lock()
	c.connected = true
	c.mu.Unlock()
	for _, room := range []string{event.RoomLifecycle, event.RoomStatus, event.RoomChat} {
		if c.mayJoin(room) != nil {
			continue
		}
		c.server.hub.join(c, room)
		if room == event.RoomStatus {
			m := event.StatusMessage(c.server.Status())
			c.queue(eventPacket(m.Name, m.Data))
		}
	}
}

func (c *client) isConnected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected
}

func (c *client) ping() {
	c.queue([]byte{enginePing})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.beat.Reset(heartbeats[4].interval)
	}
}

// heard notes that the client lives.
func (c *client) heard() {
	beat := heartbeats[c.protocol]
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && c.connected {
		c.silent.Reset(beat.interval + beat.timeout)
	}
}

// queue lets a packet wait for the client to read it; false = it has let too many wait.
func (c *client) queue(packet []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return true
	}
	if len(c.waiting) >= c.server.Limits.Waiting || c.bytes > c.server.Limits.WaitingBytes {
		return false
	}
	c.waiting = append(c.waiting, packet)
	c.bytes += len(packet)
	nudge(c.wake)
	return true
}

// take is what waits for the client; the caller writes it and calls wrote.
func (c *client) take() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	packets := c.waiting
	c.waiting, c.bytes, c.writing = nil, 0, len(packets) > 0
	return packets
}

func (c *client) wrote() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
	nudge(c.idle)
}

// flushed waits until the client has been sent everything, is closed, or ctx ends.
func (c *client) flushed(ctx context.Context) {
	for {
		c.mu.Lock()
		idle := len(c.waiting) == 0 && !c.writing
		c.mu.Unlock()
		if idle {
			return
		}
		select {
		case <-c.idle:
		case <-c.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (c *client) isUpgraded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.upgraded
}

func (c *client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// close ends the connection, whichever it is.
func (c *client) close(why string) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	hangUp := c.hangUp
	for _, t := range []*time.Timer{c.silent, c.beat} {
		if t != nil {
			t.Stop()
		}
	}
	close(c.done)
	c.mu.Unlock()
	c.server.remove(c)
	if hangUp != nil {
		hangUp()
	}
	c.server.Log.Debug("a Socket.IO client is gone", "why", why)
}

// setHangUp says how a websocket is closed; false = the client is closed already.
func (c *client) setHangUp(hangUp func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hangUp = hangUp
	return !c.closed
}

// receive takes a packet of Engine.IO. After an error the client is to be closed.
func (c *client) receive(p []byte) error {
	c.heard()
	if len(p) == 0 {
		return errPacket
	}
	if !c.requests.take(time.Now()) {
		return fmt.Errorf("it sends too much")
	}
	switch p[0] {
	case engineClose:
		return fmt.Errorf("it left")
	case enginePing:
		if c.protocol != 3 {
			return errPacket
		}
		c.queue(append([]byte{enginePong}, p[1:]...))
	case engineMessage:
		m, err := parsePacket(p[1:])
		if err != nil {
			return err
		}
		return c.receiveMessage(m)
	case enginePong, engineUpgrade, engineNoop:
	default:
		return errPacket
	}
	return nil
}

func (c *client) receiveMessage(p packet) error {
	switch p.kind {
	case socketConnect:
		return c.connect(p.namespace)
	case socketDisconnect:
		if p.namespace == "/" {
			return fmt.Errorf("it left")
		}
	case socketEvent:
		if p.namespace != "/" || !c.isConnected() {
			return errPacket
		}
		return c.receiveEvent(p)
	}
	return nil // acknowledgements and errors, which nobody waits for
}

// connect answers a client that wants to join a namespace: there is one, and in Engine.IO 3 everybody is in it.
func (c *client) connect(namespace string) error {
	switch {
	case namespace != "/" && c.protocol == 4:
		c.queue([]byte("44" + namespace + `,{"message":"Invalid namespace"}`))
	case namespace != "/":
		c.queue([]byte("44" + namespace + `,"Invalid namespace"`))
	case !c.isConnected():
		c.queue([]byte(`40{"sid":"` + rand.Text() + `"}`))
		c.join()
		c.heard()
	}
	return nil
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it was nudged before
	}
}

// bucket limits how often something may happen: size times at once, and so many times a second on average.
type bucket struct {
	size, perSecond float64
	mu              sync.Mutex
	used            float64
	at              time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = max(0, b.used-now.Sub(b.at).Seconds()*b.perSecond)
	b.at = now
	if b.used+1 > b.size {
		return false
	}
	b.used++
	return true
}
