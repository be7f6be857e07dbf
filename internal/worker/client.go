// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
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

// client makes the Worker's calls. It knows the Managers, who the Worker is, and when one of them last answered; of what
// the calls mean it knows only that a session has to be begun before a Manager is used in it.
type client struct {
	http      *http.Client
	userAgent string
	managers  *managers

	mu       sync.Mutex
	creds    credentials
	session  string
	upstream bool // signed on with a Manager that knows no sessions
	joining  call // the sign-on of the session: it makes sure that another Manager shares it
	lease    time.Duration
	contact  time.Time // start of the last call that a Manager accepted, with the monotonic clock
}

func newClient(addresses []string, userAgent string, log *slog.Logger) *client {
	// A machine that is switched off says nothing: this is how it is missed while it holds a request.
	keepAlive := net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
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
		managers:  newManagers(addresses, log),
	}
}

// call is one request. Headers with an empty value are not sent.
type call struct {
	method  string
	path    string
	body    any    // nil, []byte, or what to encode as JSON
	kind    string // content type of body, "" = JSON
	headers map[string]string
	timeout time.Duration // of the attempt at one Manager, 0 = callTimeout
	open    bool          // without credentials
	signOn  bool          // it begins a session
	stored  bool          // the session below, which may be none, instead of the present one
	session string
}

// answer is what a Manager said.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	manager string    // its address
	start   time.Time // of the request
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
		return fmt.Errorf("%s answered %d: it is to be found at %s, set manager_url so", a.manager, a.status, to)
	}
	var e struct {
		Message string `json:"message"`
		Reason  string `json:"reason"`
	}
	if json.Unmarshal(a.body, &e) != nil || e.Message == "" {
		return fmt.Errorf("%s answered %d %s", a.manager, a.status, http.StatusText(a.status))
	}
	if e.Reason != "" && e.Reason != e.Message {
		e.Message += ": " + e.Reason
	}
	return fmt.Errorf("%s answered %d: %s", a.manager, a.status, e.Message)
}

func (a answer) decode(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("understand the Manager's answer: %w", err)
	}
	return nil
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

func (c *client) identify(creds credentials) {
	c.mu.Lock()
	c.creds = creds
	c.mu.Unlock()
	c.managers.forget()
}

func (c *client) identity() credentials {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.creds
}

// begin notes the session that a sign-on has opened. No session: the Manager is an upstream one.
func (c *client) begin(session string, lease time.Duration, signOn call, a answer) {
	c.mu.Lock()
	c.session, c.upstream, c.lease, c.joining, c.contact = session, session == "", lease, signOn, a.start
	c.mu.Unlock()
	c.managers.begun(a.manager, session)
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

// lastContact is how long ago the last accepted call was begun, if there was one.
func (c *client) lastContact() (silence time.Duration, met bool) {
	c.mu.Lock()
	met = !c.contact.IsZero()
	c.mu.Unlock()
	return c.silence(), met
}

func (c *client) close() { c.http.CloseIdleConnections() }
