// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The headers of an assignment; they are sent only to a Manager that named a session at sign-on.
const (
	headerSession      = "X-Flamenco-Session"
	headerLease        = "X-Flamenco-Lease"
	headerSlot         = "X-Flamenco-Slot"
	headerRunning      = "X-Flamenco-Running"
	headerAssignment   = "X-Flamenco-Assignment"
	headerOnDisconnect = "X-Flamenco-On-Disconnect"
	headerSequence     = "X-Flamenco-Sequence"
)

// How long a call may take. A request for a task is held by the Manager for up to 45 s, and by proxies for up to 60 s.
const (
	callTimeout = 30 * time.Second
	heldTimeout = 90 * time.Second
	dialTimeout = 10 * time.Second
	maxAnswer   = 64 << 20 // bytes
)

// client makes the Worker's calls. It knows the Manager's addresses, who the Worker is, and when the Manager last
// answered; it does not know what the calls mean.
type client struct {
	http      *http.Client
	userAgent string

	mu       sync.Mutex
	managers []string // base addresses; the first is the one in use
	creds    credentials
	session  string
	lease    time.Duration
	contact  time.Time // start of the last call that the Manager accepted, with the monotonic clock
}

func newClient(managers []string, userAgent string) *client {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     2 * time.Minute,
	}
	return &client{
		http: &http.Client{
			Transport: transport,
			// Following one would turn a POST into a GET.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		userAgent: userAgent,
		managers:  append([]string(nil), managers...),
	}
}

// call is one request. Headers with an empty value are not sent.
type call struct {
	method  string
	path    string
	body    any    // nil, []byte, or what to encode as JSON
	kind    string // content type of body, "" = JSON
	headers map[string]string
	timeout time.Duration // 0 = callTimeout
	open    bool          // without credentials
	stored  bool          // the session below, which may be none, instead of the present one
	session string
}

// answer is what the Manager said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// fromManager tells an answer of a Manager from one of a proxy on the way, which has no JSON for us.
func (a answer) fromManager() bool {
	return a.status == http.StatusNoContent || strings.Contains(a.header.Get("Content-Type"), "json")
}

// forbidden reports whether the Manager does not know the Worker, or not with this secret.
func (a answer) forbidden() bool {
	return (a.status == http.StatusForbidden || a.status == http.StatusUnauthorized) && a.fromManager()
}

// later reports whether the same call may go better in a while.
func (a answer) later() bool {
	switch a.status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusTooEarly:
		return true
	case http.StatusConflict: // said by Managers only, and not always with a body
		return false
	}
	return a.status >= 500 || !a.fromManager()
}

// problem is the Manager's own words, as an error.
func (a answer) problem() error {
	if to := a.header.Get("Location"); to != "" {
		return fmt.Errorf("the Manager answered %d: it is to be found at %s, set manager_url so", a.status, to)
	}
	var e struct {
		Message string `json:"message"`
		Reason  string `json:"reason"`
	}
	if json.Unmarshal(a.body, &e) != nil || e.Message == "" {
		return fmt.Errorf("the Manager answered %d %s", a.status, http.StatusText(a.status))
	}
	if e.Reason != "" && e.Reason != e.Message {
		e.Message += ": " + e.Reason
	}
	return fmt.Errorf("the Manager answered %d: %s", a.status, e.Message)
}

func (a answer) decode(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("understand the Manager's answer: %w", err)
	}
	return nil
}

// do makes a call. An error means that no Manager answered; the next call then tries the next address.
func (c *client) do(ctx context.Context, k call) (answer, error) {
	if k.timeout == 0 {
		k.timeout = callTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	c.mu.Lock()
	base, creds, session := c.managers[0], c.creds, c.session
	c.mu.Unlock()
	renews := !k.open && (!k.stored || k.session == session)
	if k.stored {
		session = k.session
	}
	req, err := c.request(ctx, k, base, creds, session)
	if err != nil {
		return answer{}, err
	}
	start := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		c.unreachable(ctx, base)
		return answer{}, fmt.Errorf("reach the Manager: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		c.unreachable(ctx, base)
		return answer{}, fmt.Errorf("read the Manager's answer: %w", err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: body}
	if a.status < 300 && renews {
		c.mu.Lock()
		if start.After(c.contact) {
			c.contact = start
		}
		c.mu.Unlock()
	}
	return a, nil
}

func (c *client) request(ctx context.Context, k call, base string, creds credentials, session string) (*http.Request, error) {
	var body io.Reader
	switch b := k.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("encode a request: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, base+"/api/v3"+k.path, body)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", cmp.Or(k.kind, "application/json"))
	}
	if k.open {
		return req, nil
	}
	req.SetBasicAuth(creds.ID, creds.Secret)
	if session != "" {
		req.Header.Set(headerSession, session)
		for name, value := range k.headers {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
	}
	return req, nil
}

// unreachable moves an address that did not answer to the end of the list, unless the call was given up by ourselves.
func (c *client) unreachable(ctx context.Context, base string) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.managers) > 1 && c.managers[0] == base {
		c.managers = append(c.managers[1:], base)
	}
}

func (c *client) address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.managers[0]
}

func (c *client) identify(creds credentials) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.creds = creds
}

func (c *client) identity() credentials {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.creds
}

// begin notes the session that a sign-on started at that time opened. No session: the Manager is an upstream one.
func (c *client) begin(session string, lease time.Duration, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.lease, c.contact = session, lease, at
}

func (c *client) present() (session string, lease time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.lease
}

// silence is how long ago the last accepted call was begun: the longer of what the monotonic clock says, which stands
// still while the machine is suspended, and what the wall clock says, which people may set.
func (c *client) silence() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return max(now.Sub(c.contact), now.Round(0).Sub(c.contact.Round(0)))
}

func (c *client) close() { c.http.CloseIdleConnections() }
