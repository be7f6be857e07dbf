// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

var errCable = errors.New("the cable is out")

// call is one request of a Worker.
type call struct {
	method, path string
	body         any
	session      string
	headers      map[string]string
	timeout      time.Duration
	neverFails   bool // a Manager must not answer it with 5xx
}

// answer is what a Manager said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// line is the way of one Worker to the Managers: it calls any of them, and goes to the next one when that fails.
type line struct {
	dice       *dice
	record     *record
	managers   []string
	id, secret string

	mu     sync.Mutex
	at     int
	out    time.Time // until when nothing passes
	frozen time.Time // until when the Worker stands still, between what it sends and what it hears
}

func (l *line) exchange(ctx context.Context, hc *http.Client, k call) (answer, error) {
	l.misfortune()
	if err := l.thaw(ctx); err != nil {
		return answer{}, err
	}
	base, err := l.manager()
	if err != nil {
		return answer{}, errors.Join(err, pause(ctx, 200*time.Millisecond))
	}
	a, err := l.send(ctx, hc, base, k)
	if frozen := l.thaw(ctx); frozen != nil {
		return answer{}, frozen
	}
	if err != nil {
		l.moveOn()
		return answer{}, err
	}
	if a.status >= 500 && (k.neverFails || a.status == http.StatusInternalServerError) ||
		a.status == http.StatusBadRequest || a.status == http.StatusForbidden || a.status == http.StatusNotFound {
		l.record.complain("%s %s was answered %d %s", k.method, k.path, a.status, a.body)
	}
	return a, nil
}

func (l *line) send(ctx context.Context, hc *http.Client, base string, k call) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	body, err := json.Marshal(k.body)
	if err != nil {
		return answer{}, err
	}
	var reader io.Reader
	if k.body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, base+"/api/v3/worker"+k.path, reader)
	if err != nil {
		return answer{}, err
	}
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if l.id != "" {
		req.SetBasicAuth(l.id, l.secret)
	}
	if k.session != "" {
		req.Header.Set("X-Flamenco-Session", k.session)
	}
	for name, value := range k.headers {
		req.Header.Set(name, value)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

// misfortune takes the Worker off the net, or makes it stand still, for longer than its lease.
func (l *line) misfortune() {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := time.Now().Add(l.dice.between(time.Second, 2*silenceOver))
	switch {
	case l.dice.fault(5):
		l.out = until
		l.record.count(&l.record.outages)
	case l.dice.fault(5):
		l.frozen = until
		l.record.count(&l.record.freezes)
	}
}

func (l *line) thaw(ctx context.Context) error {
	for {
		l.mu.Lock()
		left := time.Until(l.frozen)
		l.mu.Unlock()
		if left <= 0 {
			return nil
		}
		if err := pause(ctx, left); err != nil {
			return err
		}
	}
}

// manager is whom to call. Now and then a Worker goes to another one without a reason.
func (l *line) manager() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.out) {
		return "", errCable
	}
	if l.dice.fault(30) {
		l.at++
	}
	return l.managers[l.at%len(l.managers)], nil
}

func (l *line) moveOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at++
}

// enlist makes the Worker known to the farm.
func (l *line) enlist(ctx context.Context, name string) error {
	l.secret = "secret of " + name
	hc := newHTTP()
	defer hc.CloseIdleConnections()
	for {
		a, err := l.exchange(ctx, hc, call{
			method: http.MethodPost, path: "/register-worker", timeout: time.Minute,
			body: map[string]any{"name": name, "secret": l.secret, "platform": "linux", "supported_task_types": taskTypes},
		})
		var worker struct {
			UUID string `json:"uuid"`
		}
		if err == nil && a.status == http.StatusOK {
			if err = json.Unmarshal(a.body, &worker); err == nil {
				l.id = worker.UUID
				return nil
			}
		}
		if pause(ctx, 300*time.Millisecond) != nil {
			return fmt.Errorf("%s: %d %w", name, a.status, err)
		}
	}
}

// newHTTP has connections of its own, as a process has.
func newHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 6, IdleConnTimeout: time.Minute}}
}
