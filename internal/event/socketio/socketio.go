// SPDX-License-Identifier: GPL-3.0-or-later

// Package socketio tells Socket.IO clients of versions 2 (Engine.IO 3) and 3 to 4 (Engine.IO 4) what happens on the farm,
// over websockets and by polling. It owns the protocol, the rooms and what a client may send. It must not know where
// events come from.
package socketio

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
)

// Limits keep one client, or many, from using up the Manager.
type Limits struct {
	Clients       int // connected at the same time
	Message       int // bytes of what a client sends at once
	Subscriptions int // of one client
	Waiting       int // events that wait for one client to read them
	WaitingBytes  int
}

// DefaultLimits are those of a Manager.
func DefaultLimits() Limits {
	return Limits{Clients: 1000, Message: 64 << 10, Subscriptions: 500, Waiting: 8192, WaitingBytes: 16 << 20}
}

// Options is what a Server is built on.
type Options struct {
	Bus    *event.Bus
	Load   event.Loader
	Log    *slog.Logger
	Limits Limits
	// Status is the status of the farm now; a client gets it when it connects.
	Status func() farm.StatusReport
	// MayJoin says whether a client may be in a room; ctx is that of its first request. Its error is told to the client.
	MayJoin func(ctx context.Context, room string) error
}

// Server serves /socket.io/.
type Server struct {
	Options
	hub  hub
	feed *event.Feed

	mu         sync.Mutex
	clients    map[string]*client // by session id
	stopping   bool
	websockets sync.WaitGroup // which no HTTP server waits for

	refused atomic.Int64
}

// Stats is who listens, and what they were told since the start.
type Stats struct {
	Websocket, Polling int   // clients that are connected now
	Told               int64 // events, once for each client that got them
	TooSlow            int64 // clients that were cut off because they did not read
	Refused            int64 // clients for whom there was no room
}

// Stats is cheap.
func (s *Server) Stats() Stats {
	stats := Stats{Told: s.hub.told.Load(), TooSlow: s.hub.tooSlow.Load(), Refused: s.refused.Load()}
	for _, c := range s.all() {
		if c.isUpgraded() {
			stats.Websocket++
		} else {
			stats.Polling++
		}
	}
	return stats
}

// events is what clients can subscribe to.
var events = []farm.ChangeKind{
	farm.ChangeJob, farm.ChangeTask, farm.ChangeWorker, farm.ChangeTag, farm.ChangeLastRendered, farm.ChangeTaskLog,
	farm.ChangeLifecycle, farm.ChangeStatus,
}

// New makes a Server without clients.
func New(opts Options) *Server {
	s := &Server{Options: opts, clients: map[string]*client{}}
	s.hub.rooms = map[string]map[*client]struct{}{}
	s.feed = opts.Bus.Attach(opts.Load, opts.Log, func(c farm.Change) bool { return event.InRoom(c, s.hub.occupied) })
	return s
}

// partingTime is how long clients may take to read what was sent before the Manager stopped.
const partingTime = 500 * time.Millisecond

// Run tells events until ctx ends; then clients get what is left, and are disconnected.
func (s *Server) Run(ctx context.Context) error {
	for {
		batch, lost, err := s.feed.Next(ctx)
		if err != nil {
			s.part(context.WithoutCancel(ctx))
			return err
		}
		if lost {
			s.Log.Warn("Socket.IO clients are disconnected because events were lost; they connect again and read everything anew")
			s.closeAll("events were lost")
		}
		for _, m := range batch {
			s.hub.tell(m)
		}
	}
}

// part tells clients what is left and closes their connections.
func (s *Server) part(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, partingTime)
	defer cancel()
	for _, m := range s.feed.Rest(ctx) {
		s.hub.tell(m)
	}
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	for _, c := range s.all() {
		c.flushed(ctx)
	}
	var goodbyes sync.WaitGroup
	for _, c := range s.all() {
		goodbyes.Go(c.goodbye)
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		goodbyes.Wait()
	}()
	select {
	case <-said:
	case <-ctx.Done():
	}
	s.closeAll("the Manager stops")
	<-said
	s.websockets.Wait()
}

func (s *Server) all() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*client, 0, len(s.clients))
	for _, c := range s.clients {
		list = append(list, c)
	}
	return list
}

func (s *Server) closeAll(why string) {
	for _, c := range s.all() {
		c.close(why)
	}
}

var (
	errFull     = errors.New("too many clients are connected")
	errStopping = errors.New("the Manager stops")
)

// add makes a client for a first request.
func (s *Server) add(r *http.Request, protocol int) (*client, error) {
	c := newClient(s, r, protocol)
	s.mu.Lock()
	full, stopping, first := len(s.clients) >= s.Limits.Clients, s.stopping, len(s.clients) == 0
	if !full && !stopping {
		s.clients[c.id] = c
	}
	s.mu.Unlock()
	switch {
	case stopping:
		return nil, errStopping
	case full:
		s.refused.Add(1)
		return nil, errFull
	}
	if first {
		s.listen()
	}
	c.open()
	return c, nil
}

// listen lets events be made as long as there is somebody to tell.
func (s *Server) listen() {
	// Two calls at once must not end with what the first one saw.
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clients) == 0 {
		s.feed.Listen()
		return
	}
	s.feed.Listen(events...)
}

// remove forgets a client that was closed.
func (s *Server) remove(c *client) {
	s.hub.leaveAll(c)
	s.mu.Lock()
	delete(s.clients, c.id)
	last := len(s.clients) == 0
	s.mu.Unlock()
	if last {
		s.listen()
	}
}

func (s *Server) find(id string) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[id]
}

// hold counts a websocket, unless the server stops.
func (s *Server) hold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.websockets.Add(1)
	return true
}
