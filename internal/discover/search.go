// SPDX-License-Identifier: GPL-3.0-or-later

package discover

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
)

// search is what is asked. Answers may take up to MX seconds.
const search = "M-SEARCH * HTTP/1.1\r\nHOST: " + group + "\r\nST: " + ServiceType + "\r\nMAN: \"ssdp:discover\"\r\nMX: 3\r\n\r\n"

const (
	searchEvery = time.Second
	pingLimit   = 5 * time.Second
	maxPings    = 16 // at once: anybody in the network can answer, as often as they like
	maxFailures = 100
)

// Search says where to look for a Manager.
type Search struct {
	Log *slog.Logger
	// Fallback is tried when nobody has answered for FallbackAfter, and again with every question. "" = none.
	Fallback      string
	FallbackAfter time.Duration

	target   *net.UDPAddr // nil = everybody in the local network
	interval time.Duration
}

// Find asks the local network for Managers, once a second, until one of those that answer can really be reached. It
// returns its address, such as http://192.168.1.4:8080, or the cause of ctx's end.
func (s Search) Find(ctx context.Context) (string, error) {
	if s.interval == 0 {
		s.interval = searchEvery
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp4", ":0")
	if err != nil {
		return "", fmt.Errorf("search for a Manager: %w", err)
	}
	r := &round{
		search: s, answers: make(chan string), reached: make(chan ping), pinging: map[string]bool{},
		http: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy: it is near
			Timeout:       pingLimit,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	ctx, cancel := context.WithCancel(ctx)
	defer r.all.Wait()
	defer func() { _ = conn.Close() }()
	defer cancel()
	r.all.Go(func() { r.read(ctx, conn) })
	return r.run(ctx, ipv4.NewPacketConn(conn))
}

// round is a search while it runs. Its maps belong to run.
type round struct {
	search  Search
	http    *http.Client
	answers chan string // addresses that somebody says are Managers'
	reached chan ping
	pinging map[string]bool
	all     sync.WaitGroup
}

// ping is the end of a try to reach a Manager.
type ping struct {
	address string
	err     error
}

func (r *round) run(ctx context.Context, conn *ipv4.PacketConn) (string, error) {
	clock := time.NewTicker(r.search.interval)
	defer clock.Stop()
	fallback := time.NewTimer(r.search.FallbackAfter)
	defer fallback.Stop()
	r.ask(conn)
	for {
		select {
		case <-clock.C:
			r.ask(conn)
		case <-fallback.C:
			if r.search.Fallback != "" {
				r.try(ctx, r.search.Fallback)
				fallback.Reset(r.search.interval)
			}
		case address := <-r.answers:
			r.try(ctx, address)
		case p := <-r.reached:
			if p.err == nil {
				return p.address, nil
			}
			delete(r.pinging, p.address)
			r.search.Log.Debug("no Manager answers there", "address", p.address, "error", p.err)
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// ask sends the question to all networks.
func (r *round) ask(conn *ipv4.PacketConn) {
	if r.search.target != nil {
		_, _ = conn.WriteTo([]byte(search), nil, r.search.target)
		return
	}
	to, err := net.ResolveUDPAddr("udp4", group)
	if err != nil {
		return // it is a constant
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		r.search.Log.Debug("cannot list the networks of this machine", "error", err)
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 {
			continue
		}
		err := conn.SetMulticastInterface(&i)
		if err == nil {
			_, err = conn.WriteTo([]byte(search), nil, to)
		}
		if err != nil { // without IPv4, for instance
			r.search.Log.Debug("cannot search for a Manager in this network", "network", i.Name, "error", err)
		}
	}
}

// try finds out whether a Manager can be reached there.
func (r *round) try(ctx context.Context, address string) {
	if r.pinging[address] || len(r.pinging) >= maxPings {
		return
	}
	r.pinging[address] = true
	r.all.Go(func() {
		p := ping{address, r.ping(ctx, address)}
		select {
		case r.reached <- p:
		case <-ctx.Done():
		}
	})
}

func (r *round) ping(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/api/v3/version", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

// read hands on the answers until ctx ends.
func (r *round) read(ctx context.Context, conn net.PacketConn) {
	undo := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer undo()
	packet := make([]byte, 64<<10)
	for failures := 0; failures < maxFailures; {
		n, from, err := conn.ReadFrom(packet)
		if ctx.Err() != nil {
			return
		}
		if err != nil { // on Windows also when somebody could not be reached
			failures++
			r.search.Log.Debug("cannot read an answer", "error", err)
			continue
		}
		failures = 0
		address, err := readAnswer(packet[:n])
		if err != nil {
			r.search.Log.Debug("somebody answers, but no Manager", "from", from, "reason", err)
			continue
		}
		select {
		case r.answers <- address:
		case <-ctx.Done():
			return
		}
	}
}

// readAnswer finds the address of a Manager in an answer to a search.
func readAnswer(packet []byte) (string, error) {
	whole := append(bytes.Clone(packet), "\r\n\r\n"...) // some leave out the end of the header
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(whole)), nil)
	if err != nil {
		return "", fmt.Errorf("read an answer: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the answer is %q", resp.Status)
	}
	if usn := resp.Header.Get("USN"); usn != USN {
		return "", fmt.Errorf("it is a %q", usn)
	}
	return baseURL(resp.Header.Get("LOCATION"))
}
