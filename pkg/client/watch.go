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
	return watch(ctx, func(edit ...api.RequestEditorFn) (answer[api.Job], error) { return c.job(ctx, id, edit...) })
}

// watch yields something at once and then after each of its changes.
func watch[T any](ctx context.Context, ask func(...api.RequestEditorFn) (answer[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var last answer[T]
		var nothing T
		for seen := false; ; {
			asked := time.Now()
			now, err := next(ask, last.etag)
			pause := burstInterval
			switch {
			case errors.Is(err, errNotModified):
				if time.Since(asked) < pollInterval {
					pause = pollInterval // it answers at once: it knows entity tags but does not hold
				}
			case seen && passes(err):
				pause = pollInterval
			case err != nil:
				yield(nothing, err)
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
				yield(nothing, err)
				return
			}
		}
	}
}

func next[T any](ask func(...api.RequestEditorFn) (answer[T], error), etag string) (answer[T], error) {
	if etag == "" {
		return ask()
	}
	return ask(header("If-None-Match", etag), header("Prefer", holdSeconds))
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
