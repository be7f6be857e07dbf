// SPDX-License-Identifier: GPL-3.0-or-later

package socketio

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"flamenco.farm/internal/event"
)

// maxChat is how long a message to everybody may be, in bytes of JSON.
const maxChat = 4 << 10

// receiveEvent does what a client asks for, and says so if the client wants to know.
func (c *client) receiveEvent(p packet) error {
	name, payload, err := parseEvent(p.data)
	if err != nil {
		return err
	}
	answer := "ok"
	switch name {
	case "/subscription":
		err = c.subscribe(payload)
	case "/chat":
		err = c.say(payload)
	default:
		err = fmt.Errorf("there is no event %.50q that a client can send", name)
	}
	if err != nil {
		answer = err.Error()
	}
	if p.ack != "" && !c.queue(ackPacket(p.ack, answer)) {
		return fmt.Errorf("it reads too slowly")
	}
	return nil
}

// subscription is what a client sends to get, or no longer get, a kind of event.
type subscription struct {
	Op   string `json:"op"`
	Type string `json:"type"`
	UUID string `json:"uuid"`
}

// rooms are those that a subscription is about.
func (s subscription) rooms() ([]string, error) {
	switch s.Type {
	case "allJobs":
		return []string{event.RoomJobs}, nil
	case "allWorkers":
		return []string{event.RoomWorkers}, nil
	case "allLastRendered":
		return []string{event.RoomLastRendered}, nil
	case "allWorkerTags":
		return []string{event.RoomWorkerTags}, nil
	case "job", "tasklog":
	default:
		return nil, fmt.Errorf("unknown subscription type %.50q", s.Type)
	}
	id := strings.ToLower(s.UUID)
	if !isUUID(id) {
		return nil, fmt.Errorf("uuid: %.50q is not a valid ID", s.UUID)
	}
	if s.Type == "tasklog" {
		return []string{event.TaskLogRoom(id)}, nil
	}
	return []string{event.JobRoom(id), event.JobLastRenderedRoom(id)}, nil
}

func isUUID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i, r := range id {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (r == '-') || (!dash && !strings.ContainsRune("0123456789abcdef", r)) {
			return false
		}
	}
	return true
}

func (c *client) subscribe(payload json.RawMessage) error {
	var s subscription
	if json.Unmarshal(payload, &s) != nil {
		return fmt.Errorf("a subscription is an object with op, type and uuid")
	}
	rooms, err := s.rooms()
	if err != nil {
		return err
	}
	switch s.Op {
	case "subscribe":
		return c.enter(rooms)
	case "unsubscribe":
		for _, room := range rooms {
			c.server.hub.leave(c, room)
		}
		return nil
	}
	return fmt.Errorf("unknown subscription op %.50q", s.Op)
}

func (c *client) enter(rooms []string) error {
	for _, room := range rooms {
		if err := c.mayJoin(room); err != nil {
			return err
		}
		if n, in := c.server.hub.roomsOf(c, room); !in && n >= c.server.Limits.Subscriptions {
			return fmt.Errorf("no more than %d subscriptions are possible", c.server.Limits.Subscriptions)
		}
		c.server.hub.join(c, room)
	}
	return nil
}

// say tells everybody in the room of the chat what a client has to say.
func (c *client) say(payload json.RawMessage) error {
	switch _, in := c.server.hub.roomsOf(c, event.RoomChat); {
	case !in:
		return fmt.Errorf("you are not in the chat")
	case len(payload) == 0:
		return fmt.Errorf("there is nothing to say")
	case len(payload) > maxChat:
		return fmt.Errorf("the message is longer than %d bytes", maxChat)
	case !c.chat.take(time.Now()):
		return fmt.Errorf("too many messages; wait a moment")
	}
	c.server.hub.tell(event.Message{Name: "/chat", Rooms: []string{event.RoomChat}, Local: true, Data: payload})
	return nil
}
