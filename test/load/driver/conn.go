// SPDX-License-Identifier: GPL-3.0-or-later

// Package driver owns the loads: what simulated Workers, browsers and people do to a Manager, over the public API and
// nothing else, so that any Manager of Flamenco 3 can be measured. It must not know which Manager that is.
package driver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// conn is one lasting connection with HTTP/1.1 on it. It does less than http.Client, which takes three goroutines for a
// request: load and Manager share a machine, and what the load uses is missing where it is measured.
type conn struct {
	base *url.URL
	auth string // the value of the header Authorization, "" = none
	c    net.Conn
	r    *bufio.Reader
	out  []byte
}

func newConn(base *url.URL, auth string) *conn { return &conn{base: base, auth: auth} }

// answer is what matters of a response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request and reads its answer. headers are whole lines. A connection that broke is opened again by the next
// call. When ctx ends, the call ends with it.
func (c *conn) do(ctx context.Context, method, path, headers string, body []byte) (answer, error) {
	if c.c == nil {
		if err := c.dial(ctx); err != nil {
			return answer{}, err
		}
	}
	opened := c.c
	stop := context.AfterFunc(ctx, func() { _ = opened.Close() })
	a, err := c.exchange(method, path, headers, body)
	if !stop() || err != nil {
		c.close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	return a, err
}

func (c *conn) dial(ctx context.Context) error {
	var d net.Dialer
	port := c.base.Port()
	if port == "" {
		port = "80"
	}
	opened, err := d.DialContext(ctx, "tcp", net.JoinHostPort(c.base.Hostname(), port))
	if err != nil {
		return err
	}
	c.c, c.r = opened, bufio.NewReader(opened)
	return nil
}

func (c *conn) close() {
	if c.c != nil {
		_ = c.c.Close()
		c.c = nil
	}
}

func (c *conn) exchange(method, path, headers string, body []byte) (answer, error) {
	out := append(c.out[:0], method...)
	out = append(out, " /api/v3"...)
	out = append(out, path...)
	out = append(out, " HTTP/1.1\r\nHost: "...)
	out = append(out, c.base.Host...)
	if c.auth != "" {
		out = append(out, "\r\nAuthorization: "...)
		out = append(out, c.auth...)
	}
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	if len(body) > 0 {
		out = append(out, "\r\nContent-Type: application/json"...)
	}
	out = append(out, "\r\n"...)
	out = append(out, headers...)
	out = append(out, "\r\n"...)
	out = append(out, body...)
	c.out = out
	if _, err := c.c.Write(out); err != nil {
		return answer{}, err
	}
	response, err := http.ReadResponse(c.r, nil) //nolint:bodyclose // it is read to its end, and nothing else has to be closed
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	a := answer{status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		return a, fmt.Errorf("reading the answer: %w", err)
	}
	if response.Close {
		c.close()
	}
	return a, nil
}
