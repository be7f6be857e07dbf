// SPDX-License-Identifier: GPL-3.0-or-later

// Package client talks to a Flamenco Manager over its API, for the command line and for programs of other people.
//
// It owns what every caller would otherwise write again: typed errors, repeating what may safely be repeated, reading
// long lists page by page, waiting for a job to change, and following a task log that is still being written. It works
// with any Manager of the Flamenco 3 API; where one offers less, it does the same by asking more often. It knows nothing
// of files, terminals or settings of a user, and imports only pkg/api.
package client

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"flamenco.farm/pkg/api"
)

// Client makes calls to the Manager of a farm, or to one of several. It may be used by several goroutines at once.
type Client struct {
	base string // that requests are made for
	api  *api.Client
	http *retrier
}

// Option changes how a Client works.
type Option func(*retrier)

// WithHTTPClient makes calls through hc, for example to trust another certificate. It must not follow a time limit
// shorter than a minute: a Manager may hold a request that long.
func WithHTTPClient(hc *http.Client) Option {
	return func(r *retrier) { r.next = hc }
}

// WithUserAgent names the calling program in every request.
func WithUserAgent(name string) Option {
	return func(r *retrier) { r.userAgent = name }
}

// WithPatience sets how long a call is repeated while the Manager is busy or gone. As long as it was not reached even
// once the limit is at most two seconds, because then the address is probably wrong. The default is two minutes.
func WithPatience(limit time.Duration) Option {
	return func(r *retrier) { r.patience = limit }
}

// WithRetryNotice has notice called before each repetition, with its reason and the wait ahead of it. The short attempts
// to reach a Manager that has never answered are not told.
func WithRetryNotice(notice func(reason error, wait time.Duration)) Option {
	return func(r *retrier) { r.notice = notice }
}

// WithSwitchNotice has notice called when another Manager is used from now on, with the reason.
func WithSwitchNotice(notice func(from, to string, reason error)) Option {
	return func(r *retrier) { r.switched = notice }
}

// New returns a client for the Manager at the address, which may leave out the scheme: "farm:8080" is "http://farm:8080".
// Several Managers of one farm have commas between them; the first that answers is used until it does not any more.
// Nothing is sent before the first call.
func New(address string, opts ...Option) (*Client, error) {
	var bases []string
	for _, one := range strings.Split(address, ",") {
		base, err := baseURL(strings.TrimSpace(one))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(bases, base) {
			bases = append(bases, base)
		}
	}
	base := bases[0]
	r := &retrier{next: defaultHTTPClient(), patience: 2 * time.Minute, userAgent: "Flamenco-Go-Client", bases: bases}
	for _, opt := range opts {
		opt(r)
	}
	generated, err := api.NewClient(base, api.WithHTTPClient(r))
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", base, err)
	}
	return &Client{base: base, api: generated, http: r}, nil
}

// URL is the address of the Manager in use, without a slash at its end.
func (c *Client) URL() string { return c.http.bases[c.http.current.Load()] }

func baseURL(address string) (string, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%q is not the address of a Manager: %w", address, err)
	}
	if u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%q is not the address of a Manager, which looks like http://farm:8080", address)
	}
	u.RawQuery, u.Fragment = "", ""
	return strings.TrimRight(u.String(), "/"), nil
}

// defaultHTTPClient gives up on a Manager that does not answer for longer than it ever holds a request.
func defaultHTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	transport.ResponseHeaderTimeout = 90 * time.Second
	return &http.Client{Transport: transport}
}
