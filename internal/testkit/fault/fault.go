// SPDX-License-Identifier: GPL-3.0-or-later

// Package fault puts a bad network between two programs of a test: a TCP proxy whose connections break, slow down, or
// fall silent without either side being told. It knows nothing of what passes through.
package fault

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Plan says how often what goes wrong. A connection has one fate, drawn when it is made.
type Plan struct {
	Seed uint64
	// Cut is the share of connections, in percent, that are reset after some of their bytes, in either direction.
	Cut int
	// Silent is the share, in percent, that stop passing bytes on after some, and are reset a while later.
	Silent int
	// Silence is how long that while is.
	Silence time.Duration
	// Bytes is the most that a cut or silent connection passes on before.
	Bytes int // a connection carries many calls
	// Delay is the longest that a piece of data may be late.
	Delay time.Duration
}

// State is what a proxy does at once with all its connections, beside what the plan says.
type State int

// The states of a proxy.
const (
	// Open passes everything on. Connections that have lost something are reset.
	Open State = iota
	// Closed resets connections, new and old, as when the target has ended.
	Closed
	// Silent takes connections and bytes, and passes nothing on, as when the target's machine has lost its power.
	Silent
	// Mute passes on what clients say and loses the answers.
	Mute
)

// Proxy passes connections on to a target.
type Proxy struct {
	listener net.Listener
	target   string
	plan     Plan

	mu    sync.Mutex
	dice  *rand.Rand
	open  map[net.Conn]*fate
	state State
	hurt  int // connections that did not end by themselves
	ended bool
	all   sync.WaitGroup
}

// New starts a proxy before a target, a host with port, until the test ends.
func New(t testing.TB, target string, plan Plan) *Proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		listener: listener, target: target, plan: plan, open: map[net.Conn]*fate{},
		dice: rand.New(rand.NewPCG(plan.Seed, 1)), //nolint:gosec // a test wants the same dice again
	}
	p.all.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Address is where the proxy listens, a host with port.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Hurt is how many connections were cut or fell silent so far.
func (p *Proxy) Hurt() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hurt
}

// Set makes the proxy take a state.
func (p *Proxy) Set(s State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
	for c, f := range p.open {
		if s == Closed || (s == Open && f.lossy) {
			reset(c)
		}
	}
}

// Heal makes it a good network: every connection is cut once more, and those that follow pass all on.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = Plan{}
	for c := range p.open {
		reset(c)
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.ended = true
	_ = p.listener.Close()
	for c := range p.open {
		reset(c)
	}
	p.mu.Unlock()
	p.all.Wait()
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.pass(near) })
	}
}

// pass joins a connection with one to the target until either ends or its fate is met.
func (p *Proxy) pass(near net.Conn) {
	far, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		reset(near)
		return
	}
	f := p.drawFate()
	if !p.add(f, near, far) {
		return
	}
	done := make(chan struct{}, 2)
	go p.copy(far, near, f, false, done)
	go p.copy(near, far, f, true, done)
	<-done
	p.end(near, far)
	<-done
}

func (p *Proxy) add(f *fate, conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	unwanted := p.ended || p.state == Closed
	for _, c := range conns {
		if unwanted {
			reset(c)
			continue
		}
		p.open[c] = f
	}
	return !unwanted
}

func (p *Proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.open, c)
		reset(c)
	}
}

// fate is what a connection meets once it has passed on so many bytes.
type fate struct {
	left    int // bytes until then; both directions draw on it
	healthy bool
	silent  bool
	lossy   bool          // it has lost bytes to the state of the proxy
	silence time.Duration // how long a silent one is not reset
}

func (p *Proxy) drawFate() *fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.dice.IntN(100)
	if n >= p.plan.Cut+p.plan.Silent {
		return &fate{healthy: true}
	}
	p.hurt++
	return &fate{left: p.dice.IntN(p.plan.Bytes), silent: n >= p.plan.Cut, silence: p.plan.Silence}
}

// loses tells whether the state of the proxy makes bytes vanish, in the direction of answers or the other one.
func (p *Proxy) loses(f *fate, answers bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == Silent || (p.state == Mute && answers) {
		f.lossy = true
	}
	return f.lossy
}

// spend takes n bytes from what a connection may still pass on, and returns how many of them it may.
func (p *Proxy) spend(f *fate, n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.healthy {
		return n
	}
	n = min(n, f.left)
	f.left -= n
	return n
}

func (p *Proxy) delay() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plan.Delay == 0 {
		return 0
	}
	return time.Duration(p.dice.Int64N(int64(p.plan.Delay)))
}

func (p *Proxy) copy(to, from net.Conn, f *fate, answers bool, done chan<- struct{}) {
	defer func() { done <- struct{}{} }()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if d := p.delay(); d > 0 {
			<-time.After(d)
		}
		if n > 0 && p.loses(f, answers) {
			continue
		}
		passed := p.spend(f, n)
		if _, err := to.Write(buffer[:passed]); err != nil {
			return
		}
		if passed < n {
			if f.silent {
				_ = from.SetReadDeadline(time.Now().Add(f.silence))
				_, _ = io.Copy(io.Discard, from)
			}
			return
		}
		if err != nil {
			return
		}
	}
}

// reset ends a connection without the usual farewell.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
