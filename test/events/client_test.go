// SPDX-License-Identifier: GPL-3.0-or-later

package events

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// line is what client.js prints.
type line struct {
	Event string
	Data  json.RawMessage
}

// output collects the lines of a program.
type output struct {
	t     *testing.T
	name  string
	mu    sync.Mutex
	lines []line
	came  chan struct{}
}

func newOutput(t *testing.T, name string) *output {
	return &output{t: t, name: name, came: make(chan struct{}, 1)}
}

func (o *output) add(l line) {
	o.mu.Lock()
	o.lines = append(o.lines, l)
	o.mu.Unlock()
	select {
	case o.came <- struct{}{}:
	default: // nobody has looked yet
	}
}

// of is the data of all events of a name that have come.
func (o *output) of(event string) (data []json.RawMessage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lines {
		if l.Event == event {
			data = append(data, l.Data)
		}
	}
	return data
}

// until waits until something is so; it is looked at again after each line.
func (o *output) until(what string, so func() bool) {
	o.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !so() {
		select {
		case <-o.came:
		case <-limit.C:
			o.mu.Lock()
			defer o.mu.Unlock()
			for _, l := range o.lines[max(0, len(o.lines)-100):] {
				o.t.Logf("%s: %s %s", o.name, l.Event, l.Data)
			}
			o.t.Fatalf("%s waited %v in vain until %s", o.name, patience, what)
		}
	}
}

// run starts a program that ends with the test; each line of its output goes to take.
func run(t *testing.T, cmd *exec.Cmd, take func(string)) (input io.Writer) {
	t.Helper()
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v. The tests of events need Node.js with what `make with-deps` installs, and mosquitto", err)
	}
	read := make(chan struct{})
	go scan(stdout, take, func() { close(read) })
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-read
		_ = cmd.Wait() // it was killed
		if t.Failed() && complaints.Len() > 0 {
			t.Logf("%s says:\n%s", cmd.Path, &complaints)
		}
	})
	return input
}

// scan calls take with every line and then ended.
func scan(text io.Reader, take func(string), ended func()) {
	defer ended()
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		take(lines.Text())
	}
}

// socket is a Socket.IO client of npm.
type socket struct {
	*output
	input io.Writer
}

// connect starts a client of a version over a transport and waits until it is connected.
func (f *site) connect(t *testing.T, version, transport string) *socket {
	t.Helper()
	if _, err := os.Stat("node_modules/.stamp"); err != nil {
		t.Fatal("the clients of npm are missing: run make with-deps")
	}
	s := &socket{output: newOutput(t, "client "+version+" by "+transport)}
	s.input = run(t, exec.CommandContext(t.Context(), "node", "client.js", version, transport, f.address), func(text string) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Errorf("%s prints %q: %v", s.name, text, err)
		}
		s.add(l)
	})
	s.until("it is connected", func() bool { return len(s.of("connect")) > 0 })
	return s
}

// emit sends an event and waits for its answer, which has to be ok.
func (s *socket) emit(event string, data any) {
	s.t.Helper()
	text, err := json.Marshal(map[string]any{"emit": event, "data": data})
	if err != nil {
		s.t.Fatal(err)
	}
	before := len(s.of("answer"))
	if _, err := fmt.Fprintf(s.input, "%s\n", text); err != nil {
		s.t.Fatal(err)
	}
	s.until("its "+event+" is answered", func() bool { return len(s.of("answer")) > before })
	var answer struct{ Answer string }
	if err := json.Unmarshal(s.of("answer")[before], &answer); err != nil || answer.Answer != "ok" {
		s.t.Fatalf("%s: %s is answered by %q (%v)", s.name, text, answer.Answer, err)
	}
}

func (s *socket) subscribe(kind, uuid string) {
	s.t.Helper()
	s.emit("/subscription", map[string]string{"op": "subscribe", "type": kind, "uuid": uuid})
}

// decode reads events strictly: what the document of the API does not know must not be in them.
func decode[T any](t *testing.T, events []json.RawMessage) []T {
	t.Helper()
	all := make([]T, len(events))
	for i, e := range events {
		d := json.NewDecoder(bytes.NewReader(e))
		d.DisallowUnknownFields()
		if err := d.Decode(&all[i]); err != nil {
			t.Errorf("%s: %v", e, err)
		}
	}
	return all
}
