// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"flamenco.farm/pkg/api"
)

// Error is an answer of the Manager that is not the wished-for one.
type Error struct {
	Status  int    // of the HTTP answer
	Message string // of the Manager, for people; "" when it sent none
	Method  string // of the request
	Path    string // of the request
}

func (e *Error) Error() string {
	if e.Message != "" {
		return e.Message
	}
	return fmt.Sprintf("%s %s was answered %d %s", e.Method, e.Path, e.Status, http.StatusText(e.Status))
}

// StatusOf is the HTTP status in err's chain, or 0 when the Manager did not answer at all.
func StatusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// UnreachableError says that the Manager gave no answer for as long as the client was ready to wait.
type UnreachableError struct {
	URL string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach a Manager at %s: %v", e.URL, innermost(e.Err))
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// innermost drops the method and address that net/http puts in front: both are known to whoever reads the message.
func innermost(err error) error {
	var outer interface {
		error
		Timeout() bool
		Unwrap() error
	}
	for errors.As(err, &outer) && outer.Unwrap() != nil {
		err = outer.Unwrap()
	}
	return err
}

// maxErrorBody is how much of an error answer is read. Whatever is longer is no message for people.
const maxErrorBody = 64 << 10

// errorFrom makes an Error of an answer and closes its body.
func errorFrom(resp *http.Response) *Error {
	defer resp.Body.Close()
	e := &Error{Status: resp.StatusCode, Method: resp.Request.Method, Path: resp.Request.URL.Path}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return e
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case strings.HasSuffix(kind, "json"):
		var sent api.Error
		_ = json.Unmarshal(body, &sent) // a body of another shape leaves the message empty, and Error() says the status
		e.Message = sent.Message
	case kind == "text/plain":
		e.Message = strings.TrimSpace(string(body))
	}
	return e
}
