// SPDX-License-Identifier: GPL-3.0-or-later

package ha

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// browser is a Socket.IO client of npm that watches all jobs, and asks for them again whenever it had to connect anew.
type browser struct {
	name string

	mu         sync.Mutex
	subscribed int
	priorities map[int]bool // of jobs, as it heard
	came       []string     // all that it heard, for who looks into a failure
}

func newBrowser(t *testing.T, version, transport, url string) *browser {
	t.Helper()
	folder := filepath.Join("..", "events")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", ".stamp")); err != nil {
		t.Fatal("the clients of npm are missing: run make with-deps")
	}
	b := &browser{name: version + " by " + transport + " at " + url, priorities: map[int]bool{}}
	cmd := exec.Command("node", "client.js", version, transport, url) //nolint:noctx // it is killed by the test
	cmd.Dir = folder
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(output)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if b.hear(lines.Bytes()) == "connect" {
				_, _ = fmt.Fprintln(input, `{"emit":"/subscription","data":{"op":"subscribe","type":"allJobs","uuid":""}}`) // it may have ended
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-read
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("%s heard last: %q", b.name, b.came[max(0, len(b.came)-20):])
		}
	})
	waitFor(t, b.name+" listens", func() bool { return b.times() > 0 })
	return b
}

// hear takes a line of the client.
func (b *browser) hear(line []byte) (event string) {
	var heard struct {
		Event string
		Data  struct {
			Answer   string
			Priority int
		}
	}
	_ = json.Unmarshal(line, &heard) // some events have other data
	b.mu.Lock()
	defer b.mu.Unlock()
	b.came = append(b.came, string(line[:min(len(line), 150)]))
	switch {
	case heard.Event == "answer" && heard.Data.Answer == "ok":
		b.subscribed++
	case heard.Event == "/jobs":
		b.priorities[heard.Data.Priority] = true
	}
	return heard.Event
}

// times is how often it has subscribed.
func (b *browser) times() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subscribed
}

// heardOf is whether it heard of one of these priorities.
func (b *browser) heardOf(priorities []int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range priorities {
		if b.priorities[p] {
			return true
		}
	}
	return false
}
