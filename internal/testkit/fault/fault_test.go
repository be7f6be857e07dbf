// SPDX-License-Identifier: GPL-3.0-or-later

package fault

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echoing is a server that gives back what it gets, and tells what that was.
func echoing(t *testing.T) (address string, got chan string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	got = make(chan string, 100)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				buffer := make([]byte, 100)
				for {
					n, err := c.Read(buffer)
					if err != nil {
						_ = c.Close()
						return
					}
					got <- string(buffer[:n])
					_, _ = c.Write(buffer[:n])
				}
			}()
		}
	}()
	return listener.Addr().String(), got
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// says what becomes of a word and its echo.
func says(t *testing.T, c net.Conn, word string, patience time.Duration) string {
	t.Helper()
	if _, err := c.Write([]byte(word)); err != nil {
		return "broken"
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, len(word))
	_, err := io.ReadFull(c, buffer)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing"
	case err != nil:
		return "broken"
	}
	return string(buffer)
}

const (
	long  = 20 * time.Second
	short = 50 * time.Millisecond
)

func TestAStateHoldsForConnectionsThatAreThereAndForNewOnes(t *testing.T) {
	t.Parallel()
	target, got := echoing(t)
	p := New(t, target, Plan{})
	old, idle := dial(t, p), dial(t, p)
	expect := func(what, c, want string) {
		t.Helper()
		if c != want {
			t.Errorf("%s: %s, want %s", what, c, want)
		}
	}
	expect("open", says(t, old, "one", long), "one")
	expect("open", says(t, idle, "two", long), "two")
	<-got
	<-got
	p.Set(Mute)
	expect("mute", says(t, old, "three", short), "nothing")
	if heard := <-got; heard != "three" {
		t.Errorf("the target heard %s", heard)
	}
	p.Set(Silent)
	expect("silent", says(t, dial(t, p), "four", short), "nothing")
	p.Set(Open)
	expect("open, after it has lost an answer", says(t, old, "five", long), "broken")
	expect("open, having lost nothing", says(t, idle, "six", long), "six")
	if heard := <-got; heard != "six" {
		t.Errorf("the target heard %s", heard)
	}
	p.Set(Closed)
	expect("closed", says(t, idle, "seven", long), "broken")
	if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Address()); err == nil { // it may break as early as this
		expect("closed", says(t, c, "eight", long), "broken")
		_ = c.Close()
	}
	p.Set(Open)
	expect("open", says(t, dial(t, p), "nine", long), "nine")
}
