// SPDX-License-Identifier: GPL-3.0-or-later

package socketio

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// writeTime is how long a client may take to read what is sent to it.
	writeTime = 10 * time.Second
	// upgradeTime is how long a client may take to change over to a websocket.
	upgradeTime = 10 * time.Second
)

func (s *Server) serveWebsocket(w http.ResponseWriter, r *http.Request, protocol int, id string) {
	if !s.hold() {
		http.Error(w, errStopping.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.websockets.Done()
	if id != "" {
		s.upgrade(w, r, id)
		return
	}
	c, ok := s.meet(w, r, protocol)
	if !ok {
		return
	}
	defer c.close("its websocket ended")
	conn, line, err := accept(w, r, s.Limits.Message)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	if c.setHangUp(hangUp(conn, line)) {
		c.setConn(conn)
		c.talk(conn, line)
	}
}

// upgrade lets a client that polls change over to a websocket: it tries the new one, gives up its poll, and says so.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, id string) {
	c := s.find(id)
	if c == nil {
		refuse(w, unknownSession)
		return
	}
	if !c.beginUpgrade() {
		refuse(w, badRequest)
		return
	}
	conn, line, err := accept(w, r, s.Limits.Message)
	if err != nil {
		c.endUpgrade(false)
		return
	}
	defer func() { _ = conn.CloseNow() }()
	err = c.probe(r, conn)
	c.endUpgrade(err == nil)
	if err != nil || !c.setHangUp(hangUp(conn, line)) {
		return
	}
	c.setConn(conn)
	defer c.close("its websocket ended")
	c.talk(conn, line)
}

// hangUp ends a websocket at once, also one that waits for the client to say goodbye.
func hangUp(conn *websocket.Conn, line *line) func() {
	return func() {
		_ = line.Close()
		_ = conn.CloseNow()
	}
}

// goodbye ends a websocket in the words of its protocol, from which clients and proxies know that the server goes away and
// that another one may answer. It waits for the client to say the same.
func (c *client) goodbye() {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn != nil {
		_ = conn.Close(websocket.StatusGoingAway, errStopping.Error()) // hung up on otherwise
	}
}

func (c *client) setConn(conn *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
}

func (c *client) probe(r *http.Request, conn *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), upgradeTime)
	defer cancel()
	if !c.setHangUp(cancel) {
		return errPacket
	}
	if err := expect(ctx, conn, string(enginePing)+probe); err != nil {
		return err
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte(string(enginePong)+probe)); err != nil {
		return fmt.Errorf("answering a probe: %w", err)
	}
	c.mu.Lock()
	c.probed = true
	nudge(c.wake)
	c.mu.Unlock()
	return expect(ctx, conn, string(engineUpgrade))
}

func expect(ctx context.Context, conn *websocket.Conn, want string) error {
	_, got, err := conn.Read(ctx)
	if err == nil && string(got) != want {
		err = errPacket
	}
	return err
}

func (c *client) beginUpgrade() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.upgrading || c.upgraded || c.closed {
		return false
	}
	c.upgrading = true
	return true
}

func (c *client) endUpgrade(done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.upgrading, c.probed, c.upgraded = false, false, done
}

// talk reads and writes until either fails or the client is closed.
func (c *client) talk(conn *websocket.Conn, line *line) {
	var writer sync.WaitGroup
	writer.Go(func() {
		if err := c.write(conn, line); err != nil {
			c.close("writing to it failed: " + err.Error())
		}
	})
	c.close(c.read(conn).Error())
	writer.Wait()
}

func (c *client) read(conn *websocket.Conn) error {
	for {
		kind, packet, err := conn.Read(context.Background())
		if err == nil && kind != websocket.MessageText {
			err = errPacket
		}
		if err == nil {
			err = c.receive(packet)
		}
		if err != nil {
			return err
		}
	}
}

func (c *client) write(conn *websocket.Conn, line *line) error {
	for {
		packets := c.take()
		line.hold()
		for _, p := range packets {
			if err := conn.Write(context.Background(), websocket.MessageText, p); err != nil {
				return err
			}
		}
		if err := line.release(); err != nil {
			return err
		}
		c.wrote()
		select {
		case <-c.wake:
		case <-c.done:
			return nil
		}
	}
}

func accept(w http.ResponseWriter, r *http.Request, limit int) (*websocket.Conn, *line, error) {
	l := &line{}
	conn, err := websocket.Accept(hijacker{w, l}, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // who serves us has looked where the request comes from
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, nil, err
	}
	conn.SetReadLimit(int64(limit))
	return conn, l, nil
}

// line is a connection that can hold back what is written, to send it in one go: a busy farm has many short events.
type line struct {
	net.Conn
	mu      sync.Mutex
	holding bool
	held    []byte
}

// maxHeld is how much is held back, in bytes.
const maxHeld = 64 << 10

func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, p...)
	if l.holding && len(l.held) < maxHeld {
		return len(p), nil
	}
	return len(p), l.flush()
}

func (l *line) flush() error {
	if len(l.held) == 0 {
		return nil
	}
	if err := l.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := l.Conn.Write(l.held)
	if l.held = l.held[:0]; cap(l.held) > 4*maxHeld {
		l.held = nil
	}
	return err
}

func (l *line) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holding = true
}

func (l *line) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holding = false
	return l.flush()
}

// hijacker puts a line between a websocket and its connection.
type hijacker struct {
	http.ResponseWriter
	line *line
}

// Hijack takes over the connection of the request.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.line.Conn = conn
	return h.line, bufio.NewReadWriter(rw.Reader, bufio.NewWriter(h.line)), nil
}
