// SPDX-License-Identifier: GPL-3.0-or-later

package socketio

import (
	"sync"
	"sync/atomic"

	"flamenco.farm/internal/event"
)

// hub knows who is in which room. Its lock is taken while a commit is published, so nobody may hold it for long or call
// the bus under it.
type hub struct {
	mu    sync.RWMutex
	rooms map[string]map[*client]struct{}

	told, tooSlow atomic.Int64
}

func (h *hub) join(c *client, room string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.isClosed() {
		return // or it would never leave
	}
	if h.rooms[room] == nil {
		h.rooms[room] = map[*client]struct{}{}
	}
	h.rooms[room][c] = struct{}{}
	c.rooms[room] = struct{}{}
}

func (h *hub) leave(c *client, room string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(c, room)
}

func (h *hub) leaveAll(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for room := range c.rooms {
		h.remove(c, room)
	}
}

func (h *hub) remove(c *client, room string) {
	delete(c.rooms, room)
	delete(h.rooms[room], c)
	if len(h.rooms[room]) == 0 {
		delete(h.rooms, room)
	}
}

// roomsOf is how many rooms a client is in, and whether this is one of them.
func (h *hub) roomsOf(c *client, room string) (n int, in bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	_, in = c.rooms[room]
	return len(c.rooms), in
}

func (h *hub) occupied(room string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.rooms[room]) > 0
}

// tell queues a message for everybody in its rooms, once for each.
func (h *hub) tell(m event.Message) {
	rooms := m.Rooms
	if m.Also != "" {
		rooms = append(rooms[:len(rooms):len(rooms)], m.Also)
	}
	packet := eventPacket(m.Name, m.Data)
	var slow []*client
	told := int64(0)
	h.mu.RLock()
	for i, room := range rooms {
		for c := range h.rooms[room] {
			switch {
			case c.inAny(rooms[:i]):
			case c.queue(packet):
				told++
			default:
				slow = append(slow, c)
			}
		}
	}
	h.mu.RUnlock()
	h.told.Add(told)
	h.tooSlow.Add(int64(len(slow)))
	for _, c := range slow {
		c.close("it reads too slowly")
	}
}

// inAny reports whether the client is in one of the rooms; the hub's lock is held.
func (c *client) inAny(rooms []string) bool {
	for _, r := range rooms {
		if _, in := c.rooms[r]; in {
			return true
		}
	}
	return false
}
