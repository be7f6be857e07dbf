// SPDX-License-Identifier: GPL-3.0-or-later

package socketio

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// refusal is how Engine.IO says that a request makes no sense.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var (
	unknownTransport = refusal{0, "Transport unknown"}
	unknownSession   = refusal{1, "Session ID unknown"}
	badMethod        = refusal{2, "Bad handshake method"}
	badRequest       = refusal{3, "Bad request"}
	badVersion       = refusal{5, "Unsupported protocol version"}
)

func refuse(w http.ResponseWriter, r refusal) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(r) // the client may be gone
}

// ServeHTTP takes a request of Engine.IO.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	protocol := 0
	switch query.Get("EIO") {
	case "3", "":
		protocol = 3
	case "4":
		protocol = 4
	default:
		refuse(w, badVersion)
		return
	}
	upgrade := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	switch query.Get("transport") {
	case "websocket":
		if !upgrade {
			refuse(w, badRequest)
			return
		}
		s.serveWebsocket(w, r, protocol, query.Get("sid"))
	case "polling":
		if upgrade || query.Has("j") { // scripts as a transport are for browsers that are gone
			refuse(w, badRequest)
			return
		}
		s.servePolling(w, r, protocol, query.Get("sid"))
	default:
		refuse(w, unknownTransport)
	}
}

// meet makes a client for a request that names no session, or says why not.
func (s *Server) meet(w http.ResponseWriter, r *http.Request, protocol int) (*client, bool) {
	c, err := s.add(r, protocol)
	if err == nil {
		return c, true
	}
	if errors.Is(err, errFull) {
		s.Log.Warn("a Socket.IO client was refused: too many are connected", "limit", s.Limits.Clients)
	}
	w.Header().Set("Retry-After", "10")
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
	return nil, false
}

func (s *Server) servePolling(w http.ResponseWriter, r *http.Request, protocol int, id string) {
	w.Header().Set("Cache-Control", "no-store")
	if id == "" {
		if r.Method != http.MethodGet {
			refuse(w, badMethod)
			return
		}
		if c, ok := s.meet(w, r, protocol); ok {
			c.answer(w, c.take())
		}
		return
	}
	c := s.find(id)
	if c == nil {
		refuse(w, unknownSession)
		return
	}
	switch r.Method {
	case http.MethodGet:
		c.servePoll(w, r)
	case http.MethodPost:
		c.servePost(w, r)
	default:
		refuse(w, badRequest)
	}
}

// servePoll answers when something waits for the client.
func (c *client) servePoll(w http.ResponseWriter, r *http.Request) {
	if !c.beginPoll() {
		c.close("two polls at once")
		refuse(w, badRequest)
		return
	}
	defer c.endPoll()
	for {
		packets := c.take()
		if len(packets) > 0 {
			c.answer(w, packets)
			return
		}
		if c.isProbed() {
			c.answer(w, [][]byte{{engineNoop}})
			return
		}
		select {
		case <-c.wake:
		case <-c.done:
			c.answer(w, append(c.take(), []byte{engineClose}))
			return
		case <-r.Context().Done():
			c.close("it gave up a poll")
			return
		}
	}
}

func (c *client) beginPoll() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.polling || c.upgraded {
		return false
	}
	c.polling = true
	return true
}

func (c *client) endPoll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.polling = false
}

func (c *client) isProbed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.probed
}

func (c *client) answer(w http.ResponseWriter, packets [][]byte) {
	defer c.wrote()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime)) // recorders of tests have none
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	if _, err := w.Write(encodePayload(c.protocol, packets)); err != nil {
		c.close("it does not read")
	}
}

// readTime is how long a client may take to send a request.
const readTime = 20 * time.Second

// servePost takes what the client sends.
func (c *client) servePost(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTime)) // recorders of tests have none
	body := http.MaxBytesReader(w, r.Body, int64(c.server.Limits.Message))
	payload, err := io.ReadAll(body)
	if err != nil {
		c.close("it sent too much, or not all")
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
	packets, err := decodePayload(c.protocol, payload)
	for _, p := range packets {
		if err != nil {
			break
		}
		err = c.receive(p)
	}
	if err != nil {
		c.close(err.Error())
	}
	if errors.Is(err, errPacket) {
		refuse(w, badRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	_, _ = w.Write([]byte("ok")) // if it is gone, the next poll does not come
}
