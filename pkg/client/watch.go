// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"reflect"
	"time"

	"flamenco.farm/pkg/api"
)

const (
	holdSeconds   = "wait=30"              // how long the Manager may keep a request that waits for a change
	pollInterval  = 2 * time.Second        // for a Manager that cannot hold requests
	burstInterval = 100 * time.Millisecond // between two changes: a busy job may change hundreds of times a second
)

// WatchJob yields a job at once and then after each of its changes, until the caller stops or an error is yielded.
//
// A Manager that gives entity tags holds the request until the job changes; any other is asked every two seconds. Once the
// job has been seen, a Manager that is gone or busy ends nothing: WatchJob waits for it to come back, however long.
func (c *Client) WatchJob(ctx context.Context, id string) iter.Seq2[api.Job, error] {
	return func(yield func(api.Job, error) bool) {
		var last answer[api.Job]
		for seen := false; ; {
			asked := time.Now()
			now, err := c.nextJob(ctx, id, last.etag)
			pause := burstInterval
			switch {
			case errors.Is(err, errNotModified):
				if time.Since(asked) < pollInterval {
					pause = pollInterval // it answers at once: it knows entity tags but does not hold
				}
			case seen && passes(err):
				pause = pollInterval
			case err != nil:
				yield(api.Job{}, err)
				return
			default:
				if changed := !seen || !reflect.DeepEqual(now.body, last.body); changed && !yield(now.body, nil) {
					return
				}
				if now.etag == "" {
					pause = pollInterval
				}
				seen, last = true, now
			}
			if err := sleep(ctx, pause); err != nil {
				yield(api.Job{}, err)
				return
			}
		}
	}
}

func (c *Client) nextJob(ctx context.Context, id, etag string) (answer[api.Job], error) {
	if etag == "" {
		return c.job(ctx, id)
	}
	return c.job(ctx, id, header("If-None-Match", etag), header("Prefer", holdSeconds))
}

// passes reports whether the error is one that goes away when the Manager is back.
func passes(err error) bool {
	if isUnreachable(err) {
		return true
	}
	switch StatusOf(err) {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return false
}
