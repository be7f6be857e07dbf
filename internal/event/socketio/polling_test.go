// SPDX-License-Identifier: GPL-3.0-or-later

package socketio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"flamenco.farm/internal/event/socketio"
	"flamenco.farm/internal/farm"
)

// poller is a client that polls.
type poller struct {
	*server
	query string
}

func (s *server) poll(protocol int) *poller {
	s.t.Helper()
	status, hello := s.request("GET", fmt.Sprintf("EIO=%d", protocol), "")
	var greeting struct {
		SID      string
		Upgrades []string
	}
	if err := json.NewDecoder(strings.NewReader(hello[strings.IndexByte(hello, '{'):])).Decode(&greeting); err != nil || status != 200 {
		s.t.Fatalf("%d %s: %v", status, hello, err)
	}
	if len(greeting.Upgrades) != 1 || greeting.Upgrades[0] != "websocket" {
		s.t.Errorf("upgrades: %v", greeting.Upgrades)
	}
	return &poller{server: s, query: fmt.Sprintf("EIO=%d&sid=%s", protocol, greeting.SID)}
}

func (p *poller) post(body string) (int, string) { return p.request("POST", p.query, body) }

func (p *poller) get() string {
	p.t.Helper()
	status, text := p.request("GET", p.query, "")
	if status != 200 {
		p.t.Fatalf("a poll: %d %s", status, text)
	}
	return text
}

func TestAClientThatPollsIsServedLikeAnyOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.poll(4)
	if status, text := p.post("40"); status != 200 || text != "ok" {
		t.Fatal(status, text)
	}
	if got := p.get(); !strings.HasPrefix(got, `40{"sid":"`) || !strings.HasSuffix(got, "\x1e"+`42["/status",{"status":"idle"}]`) {
		t.Errorf("joining: %q", got)
	}
	p.post(`421["/subscription",{"op":"subscribe","type":"tasklog","uuid":"` + taskID + `"}]` + "\x1e" + `42["/chat","grüße"]`)
	if got := p.get(); got != `431["ok"]`+"\x1e"+`42["/chat","grüße"]` {
		t.Errorf("two packets are answered by %q", got)
	}
	s.bus.Announce(farm.Change{Kind: farm.ChangeTaskLog, TaskID: taskID, Now: farm.TaskLog("live\n")})
	if got := p.get(); got != `42["/tasklog",{"task_id":"`+taskID+`","log":"live\n"}]` {
		t.Errorf("heard %q", got)
	}
	p.post("1")
	if status, _ := p.post(`42["/chat","gone"]`); status != 400 {
		t.Errorf("a client that left: %d", status)
	}

	old := s.poll(3) // has joined with its first request
	old.post("1:2" + `18:421["/chat","ü🎉"]`)
	if got := old.get(); got != "1:3"+`17:42["/chat","ü🎉"]`+`9:431["ok"]` {
		t.Errorf("two packets of an old client are answered by %q", got)
	}
}

func TestPollsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *socketio.Options) { o.Limits.Message = 1000 })
	for _, c := range []struct {
		method, query, body string
		status              int
	}{
		{"GET", "EIO=5", "", 400},
		{"GET", "EIO=4&sid=unknown", "", 400},
		{"POST", "EIO=4&sid=unknown", "40", 400},
		{"POST", "EIO=4", "40", 400},
		{"GET", "EIO=3&j=0", "", 400},
		{"PUT", s.poll(4).query, "", 400},
		{"POST", s.poll(4).query, "hello", 400},
		{"POST", s.poll(4).query, "", 400},
		{"POST", s.poll(3).query, "-1:x", 400},
		{"POST", s.poll(3).query, "999999999:x", 400},
		{"POST", s.poll(3).query, "x", 400},
		{"POST", s.poll(4).query, strings.Repeat("x", 2000), 413},
	} {
		if status, text := s.request(c.method, c.query, c.body); status != c.status {
			t.Errorf("%s %s %.20q: %d %s, want %d", c.method, c.query, c.body, status, text, c.status)
		}
	}
}

func TestTwoPollsAtOnceEndTheClient(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.poll(4)
	p.post("40")
	p.get()
	answers := make(chan string, 2)
	for range 2 { // whichever comes second ends both
		go func() {
			_, text := p.request("GET", p.query, "")
			answers <- text
		}()
	}
	a, b := <-answers, <-answers
	if a != "1" && b != "1" {
		t.Errorf("answers %q and %q", a, b)
	}
	if status, _ := p.post("3"); status != 400 {
		t.Errorf("the client is still there: %d", status)
	}
}

func TestAClientChangesOverToAWebsocketAndMissesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.poll(4)
	p.post("40")
	p.get()
	open := make(chan string, 1)
	go func() { open <- p.get() }()

	url := s.url + "/socket.io/?transport=websocket&" + p.query
	conn, _, err := websocket.Dial(t.Context(), url, nil) //nolint:bodyclose // a websocket has none
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	if second, _, err := websocket.Dial(t.Context(), url, nil); err == nil { //nolint:bodyclose // a websocket has none
		_ = second.CloseNow()
		t.Error("two websockets could take over")
	}
	c := &client{t: t, conn: conn}
	c.write("2probe")
	if got := c.read(); got != "3probe" {
		t.Fatalf("the probe is answered by %q", got)
	}
	if got := <-open; got != "6" {
		t.Fatalf("the open poll is answered by %q", got)
	}
	s.bus.Announce(farm.Change{Kind: farm.ChangeStatus, Now: farm.StatusReport{Status: farm.StatusActive}}) // while neither is used
	c.write("5")
	if got := c.read(); got != `42["/status",{"status":"active"}]` {
		t.Errorf("heard %q", got)
	}
	if status, _ := p.request("GET", p.query, ""); status != 400 {
		t.Errorf("a poll afterwards: %d", status)
	}
	c.isCut() // two transports at once are one too many
}

func TestAWebsocketThatDoesNotProveItselfLeavesThePollsAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.poll(4)
	p.post("40")
	p.get()
	for _, wrong := range []string{"2", "5", "40"} {
		conn, _, err := websocket.Dial(t.Context(), s.url+"/socket.io/?transport=websocket&"+p.query, nil) //nolint:bodyclose // a websocket has none
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, conn: conn}
		c.write(wrong)
		c.isCut()
	}
	p.post(`42["/chat","still here"]`)
	if got := p.get(); got != `42["/chat","still here"]` {
		t.Errorf("heard %q", got)
	}
}

func TestAPollIsAnsweredWhenTheServerStops(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.poll(4)
	p.post("40")
	p.get()
	s.bus.Announce(farm.Change{Kind: farm.ChangeLifecycle, Now: farm.ManagerShutdown})
	answer := make(chan string, 1)
	go func() { answer <- p.get() }()
	first := <-answer
	if !strings.Contains(first, "manager-shutdown") {
		t.Errorf("heard %q", first)
	}
	s.stop()
	if status, _ := s.request("GET", "EIO=4", ""); status != 503 {
		t.Errorf("a new client: %d", status)
	}
}

func FuzzMessage(f *testing.F) {
	for _, seed := range []string{`2["/chat",1]`, `2/ns,17["x"]`, `0{"a":1}`, `3/x?y,`, "5", "", `2[["x"]]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, text []byte) { _ = socketio.ParseMessage(text) })
}

func FuzzPayload(f *testing.F) {
	f.Add(3, []byte("2:404:ü🎉x"))
	f.Add(4, []byte("40\x1e41"))
	f.Fuzz(func(t *testing.T, protocol int, payload []byte) {
		packets, err := socketio.DecodePayload(protocol, payload)
		if err != nil {
			return
		}
		again, err := socketio.DecodePayload(protocol, socketio.EncodePayload(protocol, packets))
		if err != nil || len(again) != len(packets) {
			t.Fatalf("%q became %q: %v", packets, again, err)
		}
		for i := range packets {
			if !bytes.Equal(packets[i], again[i]) {
				t.Errorf("%q became %q", packets[i], again[i])
			}
		}
	})
}
