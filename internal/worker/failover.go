// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// elsewhere reports whether another Manager may answer the call better: this one is down, overloaded or about to end, or
// something in front of it says so. Calls may be repeated anywhere: updates are numbered, and a lost task is handed out
// again.
func (a answer) elsewhere() bool {
	switch {
	case a.status == http.StatusConflict: // said by Managers only, and not always with a body
		return false
	case a.status == http.StatusOK, a.status >= http.StatusBadRequest:
		return a.status >= http.StatusInternalServerError || !a.fromManager()
	}
	return a.status >= http.StatusMultipleChoices
}

// stranger reports whether a Manager does not know the Worker, or nothing of Workers at all.
func (a answer) stranger() bool {
	return a.forbidden() || (a.status == http.StatusNotFound && a.fromManager())
}

// do makes a call: to the Manager in use, or if that is gone to the others, once each. An error means that no Manager
// answered; the caller waits before it tries again.
func (c *client) do(ctx context.Context, k call) (answer, error) {
	var failure, refusal *outcome
	round := c.managers.round()
	for i, e := range round {
		if i > 0 && !c.managers.stillFit(e) { // a request may be held for long
			continue
		}
		o := c.at(ctx, e, k, len(round)-i)
		switch {
		case o.err != nil && ctx.Err() != nil:
			return answer{}, o.err // given up by ourselves
		case o.refused:
			refusal = &o
		case o.failed:
			c.managers.failed(e, o.trouble(), o.err != nil)
			failure = failure.and(o)
		default:
			c.managers.worked(e, i > 0)
			return o.answer, nil
		}
	}
	if failure == nil { // only when every Manager refuses the Worker is it told so
		failure = refusal
	}
	return failure.answer, failure.err
}

// outcome is what became of an attempt at one Manager.
type outcome struct {
	answer  answer
	err     error // there is no answer
	failed  bool  // try another
	refused bool  // the Manager is none of this farm, or the Worker none of its Workers
	over    bool  // the Manager knows of a later session of the Worker
}

// and is the failure of both; the answer of the later one counts.
func (o *outcome) and(later outcome) *outcome {
	switch {
	case o == nil:
	case later.err != nil && o.err != nil:
		later.err = fmt.Errorf("%w; %w", o.err, later.err)
	case later.err != nil:
		later = *o
	}
	return &later
}

// trouble is why another Manager is tried.
func (o outcome) trouble() error {
	if o.err != nil {
		return o.err
	}
	return o.answer.problem()
}

// at tries a call at one Manager, which has to show first that it shares the session. So many are left to try.
func (c *client) at(ctx context.Context, e *endpoint, k call, left int) outcome {
	session, signOn, upstream := c.joined()
	several := c.managers.several()
	if several && session != "" && !k.open && !k.signOn && !c.managers.shares(e, session) {
		// What was stored in a session counts after it too.
		if o := c.join(ctx, e, signOn, session, left); o.failed || o.refused || (o.over && !k.stored) {
			return o
		}
	}
	a, err := c.once(ctx, e, k, left)
	switch {
	case err != nil:
		return outcome{err: err, failed: true}
	case !several || k.open:
		return outcome{answer: a, failed: several && a.elsewhere()}
	case a.forbidden() && !c.managers.knowsUs(e), k.signOn && a.stranger() && !c.managers.knowsUs(e):
		c.managers.refuse(e, a.problem().Error())
		return outcome{answer: a, refused: true}
	}
	if a.status < http.StatusMultipleChoices {
		c.managers.accepted(e, "")
	}
	// A Manager of Flamenco 3 shares nothing with the others: it is in use until it is gone.
	return outcome{answer: a, failed: a.elsewhere() && !(upstream && c.managers.knowsUs(e))}
}

// join signs on with another Manager in the session that there is. For one that shares it nothing changes by that, and no
// session that is over begins again.
func (c *client) join(ctx context.Context, e *endpoint, signOn call, session string, left int) outcome {
	signOn.session = session
	a, err := c.once(ctx, e, signOn, left)
	fault := ""
	switch {
	case err != nil:
		return outcome{err: err, failed: true}
	case a.stranger():
		fault = a.problem().Error()
	case a.status == http.StatusConflict:
		return outcome{answer: a, over: true}
	case a.status != http.StatusOK:
		return outcome{answer: a, failed: true}
	case a.header.Get(headerSession) == "":
		fault = "it is a Manager of Flamenco 3"
	case a.header.Get(headerSession) != session:
		fault = "it does not take the session of the others"
	default:
		c.managers.accepted(e, session)
		return outcome{answer: a}
	}
	c.managers.refuse(e, fault)
	o := outcome{answer: a, refused: true}
	if !a.forbidden() { // the answer is none to the call
		o.err = fmt.Errorf("%s is not used: %s", e.base, fault)
	}
	return o
}

// meet asks the other Managers of the list whether they share the session, so that a wrong list is told at once and not
// on the day when one of them is needed.
func (c *client) meet(ctx context.Context) {
	session, signOn, _ := c.joined()
	if session == "" {
		return
	}
	for _, e := range c.managers.strangers(session) {
		if o := c.join(ctx, e, signOn, session, 1); o.failed && ctx.Err() == nil {
			c.managers.log.Warn("a Manager of the list does not answer now", "manager", e.base, "reason", o.trouble())
		}
	}
}

// once makes a call to one Manager.
func (c *client) once(ctx context.Context, e *endpoint, k call, left int) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, share(ctx, k.timeout, left))
	defer cancel()
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	defer c.managers.calling(e, leave)()
	c.mu.Lock()
	creds, session := c.creds, c.session
	c.mu.Unlock()
	renews := !k.open && (!k.stored || k.session == session)
	if k.stored {
		session = k.session
	}
	req, err := c.request(ctx, k, e.base, creds, session)
	if err != nil {
		return answer{}, err
	}
	start := time.Now()
	resp, err := c.http.Do(req)
	if err != nil && errors.Is(context.Cause(ctx), errLeft) {
		return answer{}, fmt.Errorf("reach %s: %w", e.base, errLeft)
	}
	if err != nil {
		return answer{}, fmt.Errorf("reach the Manager: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer of %s: %w", e.base, err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: body, manager: e.base, start: start}
	if a.status < 300 && renews {
		c.renew(start)
	}
	return a, nil
}

// share is how long an attempt may take when so many more may be needed: what is left of the caller's time is for all.
func share(ctx context.Context, timeout time.Duration, left int) time.Duration {
	if timeout == 0 {
		timeout = callTimeout
	}
	if end, ok := ctx.Deadline(); ok && left > 1 {
		timeout = min(timeout, time.Until(end)/time.Duration(left))
	}
	return timeout
}

func (c *client) renew(start time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if start.After(c.contact) {
		c.contact = start
	}
}

// joined is the session, and the sign-on that began it; upstream: it is one with a Manager that knows no sessions.
func (c *client) joined() (session string, signOn call, upstream bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.joining, c.upstream
}
