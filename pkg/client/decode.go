// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"flamenco.farm/pkg/api"
)

// answer is a decoded body with the headers that callers use.
type answer[T any] struct {
	body T
	etag string
	next string // cursor of the next page, "" on the last one
}

var errNotModified = errors.New("not modified")

// decode reads a JSON answer with status 200 or 202; whatever else the Manager answered becomes an error.
// The two arguments are the results of a generated call, which can so be passed on as they are.
func decode[T any](resp *http.Response, err error) (answer[T], error) {
	var a answer[T]
	if err != nil {
		return a, plain(err)
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted:
	case http.StatusNotModified:
		drop(resp)
		return a, errNotModified
	default:
		return a, errorFrom(resp)
	}
	defer drop(resp)
	if kind := resp.Header.Get("Content-Type"); !strings.Contains(kind, "json") {
		return a, fmt.Errorf("%s answers %q instead of JSON: is this the address of a Manager?", resp.Request.URL, kind)
	}
	if err := json.NewDecoder(resp.Body).Decode(&a.body); err != nil {
		return a, fmt.Errorf("read the answer to %s %s: %w", resp.Request.Method, resp.Request.URL.Path, err)
	}
	a.etag = resp.Header.Get("ETag")
	a.next = resp.Header.Get("X-Flamenco-Next")
	return a, nil
}

// done checks an answer whose body does not matter.
func done(resp *http.Response, err error) error {
	if err != nil {
		return plain(err)
	}
	if resp.StatusCode >= 300 {
		return errorFrom(resp)
	}
	drop(resp)
	return nil
}

// plain keeps the context's own error visible, which net/http wraps in the address of the request.
func plain(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded) && !isUnreachable(err):
		return context.DeadlineExceeded
	}
	return err
}

func isUnreachable(err error) bool {
	_, ok := errors.AsType[*UnreachableError](err)
	return ok
}

// header returns an editor that sets a header which the generated parameters do not know.
func header(name, value string) api.RequestEditorFn {
	return func(_ context.Context, req *http.Request) error {
		if value != "" {
			req.Header.Set(name, value)
		}
		return nil
	}
}
