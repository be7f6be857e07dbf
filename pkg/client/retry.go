// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	firstWait        = 250 * time.Millisecond
	longestWait      = 10 * time.Second
	strangerPatience = 2 * time.Second // for a Manager that never answered yet
)

// retrier sends requests again when that cannot do any harm.
//
// A request that only reads, or that sets something to a value, is repeated after any broken connection. A POST may have
// been carried out before the connection broke, so it is repeated only when it was certainly not: the connection was
// refused, or the Manager said 429 or 503. That is why a job is never submitted twice.
//
// With several Managers a request that may be repeated goes to each of them before there is any waiting.
type retrier struct {
	next      *http.Client
	bases     []string // of the Managers; requests are made for the first
	userAgent string
	patience  time.Duration
	notice    func(reason error, wait time.Duration)
	switched  func(from, to string, reason error)
	current   atomic.Int32 // which of them is in use
	reached   atomic.Bool  // a Manager has answered before
}

// Do makes the retrier the transport of the generated client.
func (r *retrier) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", r.userAgent)
	ctx := req.Context()
	started := time.Now()
	inUse := r.current.Load()
	var why error // the one in use was left
	for try := 0; ; try++ {
		at := (int(inUse) + try) % len(r.bases)
		last := (try+1)%len(r.bases) == 0 // of a round
		sent := r.readdress(req, at)
		resp, err := r.next.Do(sent)
		if err == nil {
			r.reached.Store(true)
		}
		if ctx.Err() != nil {
			drop(resp)
			return nil, ctx.Err()
		}
		asked, reason := r.whyAgain(sent, resp, err)
		if reason == nil {
			r.use(inUse, int32(at), why, err) //nolint:gosec // an index of a list that somebody has typed
			return r.giveUp(resp, err)
		}
		if try == 0 {
			why = reason
		}
		wait := time.Duration(0)
		if last {
			wait = max(backOff(try/len(r.bases)), asked)
		}
		if (last && time.Since(started)+wait > r.limit(err)) || !rewind(req) {
			return r.giveUp(resp, err)
		}
		drop(resp)
		if !last {
			continue
		}
		if r.notice != nil && r.reached.Load() {
			r.notice(reason, wait)
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// readdress is the request for another Manager. One to a foreign address, as of a log kept elsewhere, stays as it is.
func (r *retrier) readdress(req *http.Request, at int) *http.Request {
	rest, ours := strings.CutPrefix(req.URL.String(), r.bases[0]+"/")
	if at == 0 || !ours {
		return req
	}
	to, err := url.Parse(r.bases[at] + "/" + rest)
	if err != nil {
		return req
	}
	again := req.WithContext(req.Context()) // a copy
	again.URL, again.Host = to, to.Host
	return again
}

// use notes that a Manager has answered, unless another call did that.
func (r *retrier) use(before, at int32, why, err error) {
	if err != nil || before == at || !r.current.CompareAndSwap(before, at) {
		return
	}
	if r.switched != nil {
		r.switched(r.bases[before], r.bases[at], why)
	}
}

// whyAgain is the wait that the Manager asked for, and the reason to repeat the request, nil when it is done with.
func (r *retrier) whyAgain(req *http.Request, resp *http.Response, err error) (asked time.Duration, reason error) {
	if err != nil {
		if repeatable(req) || neverSent(err) {
			return 0, r.unreachable(err)
		}
		return 0, nil
	}
	if resp.Header.Get("X-Flamenco-Maintenance") != "" {
		return 0, nil // it may last, and the answer says why
	}
	switch resp.StatusCode {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return retryAfter(resp), errors.New("the Manager is busy")
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		if len(r.bases) > 1 && repeatable(req) {
			return 0, errors.New("the Manager is not reached by what is in front of it")
		}
	}
	return 0, nil
}

func (r *retrier) unreachable(err error) error {
	return &UnreachableError{URL: strings.Join(r.bases, ", "), Err: err}
}

func (r *retrier) limit(err error) time.Duration {
	if err != nil && !r.reached.Load() {
		return min(strangerPatience, r.patience)
	}
	return r.patience
}

func (r *retrier) giveUp(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, r.unreachable(err)
	}
	return resp, nil
}

type repeatableKey struct{}

// asRepeatable marks the POSTs of ctx as safe to repeat: those that check something, or set it to a given value.
func asRepeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatableKey{}, true)
}

func repeatable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		return true
	}
	marked, _ := req.Context().Value(repeatableKey{}).(bool)
	return marked
}

// neverSent reports whether the request failed before a connection existed.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// rewind readies the body for another round; false when it cannot be read twice.
func rewind(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	req.Body = body
	return err == nil
}

// drop reads a short rest of the answer, so that its connection can be used again.
func drop(resp *http.Response) {
	if resp == nil {
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	resp.Body.Close()
}

// backOff doubles from a quarter second to ten seconds, spread so that many clients do not come back at once.
func backOff(try int) time.Duration {
	wait := longestWait
	if try < 6 {
		wait = min(longestWait, firstWait<<try)
	}
	return wait*3/4 + rand.N(wait/2)
}

// retryAfter is the wait that the Manager asked for, at most a minute, 0 when it did not.
func retryAfter(resp *http.Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return min(time.Duration(seconds)*time.Second, time.Minute)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, time.Until(at)), time.Minute)
	}
	return 0
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
