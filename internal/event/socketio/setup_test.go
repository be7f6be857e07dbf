// SPDX-License-Identifier: GPL-3.0-or-later

package socketio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/event/socketio"
	"flamenco.farm/internal/farm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	jobID  = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	taskID = "16fd2706-8baf-433b-82eb-8c7fada847da"
)

// patience is how long a test waits for what should come at once.
const patience = time.Minute

// nothing has nothing to read.
type nothing struct{}

func (nothing) JobsByID(context.Context, []string) (map[string]farm.Job, error) { return nil, nil }

func (nothing) TasksByID(context.Context, []string) (map[string]farm.Task, error) { return nil, nil }

func (nothing) WorkersByID(context.Context, []string) (map[string]farm.Worker, error) {
	return nil, nil
}

func (nothing) Tag(context.Context, string) (farm.Tag, error) { return farm.Tag{}, farm.ErrNotExist }

// server is a running server of events.
type server struct {
	t    *testing.T
	url  string
	bus  *event.Bus
	stop func() // and wait
	sio  *socketio.Server
}

// clients is how many are connected.
func (s *server) clients() int { return s.sio.Count() }

func start(t *testing.T, change ...func(*socketio.Options)) *server {
	t.Helper()
	s := &server{t: t, bus: &event.Bus{}}
	opts := socketio.Options{
		Bus: s.bus, Load: nothing{}, Log: slog.New(slog.DiscardHandler), Limits: socketio.DefaultLimits(),
		Status:  func() farm.StatusReport { return farm.StatusReport{Status: farm.StatusIdle} },
		MayJoin: func(context.Context, string) error { return nil },
	}
	for _, c := range change {
		c(&opts)
	}
	sio := socketio.New(opts)
	s.sio = sio
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sio.Run(ctx) // ends with ctx
	}()
	s.stop = func() {
		cancel()
		<-ended
	}
	web := httptest.NewServer(sio)
	s.url = web.URL
	t.Cleanup(func() {
		s.stop()
		web.Close()
	})
	return s
}

// client speaks the protocol by hand.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	ack  int
}

func (s *server) dial(protocol int) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, fmt.Sprintf("%s/socket.io/?EIO=%d&transport=websocket", s.url, protocol), nil) //nolint:bodyclose // a websocket has none
	if err == nil {
		s.t.Cleanup(func() { _ = conn.CloseNow() })
		conn.SetReadLimit(-1)
	}
	return conn, err
}

// connect connects a client and reads what every client gets first.
func (s *server) connect(protocol int) *client {
	s.t.Helper()
	conn, err := s.dial(protocol)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &client{t: s.t, conn: conn}
	if hello := c.read(); !strings.HasPrefix(hello, `0{`) {
		s.t.Fatalf("the first packet is %q", hello)
	}
	if protocol == 4 {
		c.write("40")
	}
	if joined := c.read(); !strings.HasPrefix(joined, "40") {
		s.t.Fatalf("the second packet is %q", joined)
	}
	if status := c.read(); status != `42["/status",{"status":"idle"}]` {
		s.t.Fatalf("the third packet is %q", status)
	}
	return c
}

func (c *client) tryRead() (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	_, data, err := c.conn.Read(ctx)
	return string(data), err
}

func (c *client) read() string {
	c.t.Helper()
	text, err := c.tryRead()
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

func (c *client) write(packet string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, []byte(packet)); err != nil {
		c.t.Fatal(err)
	}
}

// isCut waits for the end of the connection.
func (c *client) isCut() {
	c.t.Helper()
	_ = c.end() // however it ends
}

// end waits for the end of the connection, and returns how it ended.
func (c *client) end() error {
	c.t.Helper()
	for {
		if _, err := c.tryRead(); err != nil {
			if c.t.Context().Err() != nil || strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
				c.t.Errorf("the connection is still there: %v", err)
			}
			return err
		}
	}
}

// send sends an event and returns the answer to it; what comes in between is dropped.
func (c *client) send(name, payload string) string {
	c.t.Helper()
	c.ack++
	c.write(fmt.Sprintf(`42%d[%q,%s]`, c.ack, name, payload))
	return c.answer()
}

func (c *client) answer() string {
	c.t.Helper()
	begin := fmt.Sprintf("43%d", c.ack)
	for {
		text, is := strings.CutPrefix(c.read(), begin)
		if !is {
			continue
		}
		var answer []string
		if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer) != 1 {
			c.t.Fatalf("the answer is %q: %v", text, err)
		}
		return answer[0]
	}
}

func (c *client) subscribe(op, kind, uuid string) string {
	c.t.Helper()
	return c.send("/subscription", fmt.Sprintf(`{"op":%q,"type":%q,"uuid":%q}`, op, kind, uuid))
}

// fence is what heard waits for.
var fence = farm.Change{Kind: farm.ChangeLifecycle, Now: farm.ManagerShutdown}

// heard is the names of all events up to the fence.
func (c *client) heard() (names []string) {
	c.t.Helper()
	for {
		text := c.read()
		if text == `42["/lifecycle",{"type":"manager-shutdown"}]` {
			return names
		}
		var parts []json.RawMessage
		if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "42")), &parts); err != nil {
			c.t.Fatalf("%s: %v", text, err)
		}
		names = append(names, strings.Trim(string(parts[0]), `"`))
	}
}

// request makes one request of polling.
func (s *server) request(method, query, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/socket.io/?transport=polling&"+query, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode, string(text)
}
