// SPDX-License-Identifier: GPL-3.0-or-later

package farm

import (
	"errors"
	"fmt"
	"io/fs"
)

// Code classifies an Error; the HTTP layer maps each to one status.
type Code string

// The codes of errors that a user may see.
const (
	CodeInvalid      Code = "invalid"            // the input is wrong: 400
	CodeForbidden    Code = "forbidden"          // the caller may not: 403
	CodeNotFound     Code = "not_found"          // no such thing: 404
	CodeNoSuchTag    Code = "no_such_tag"        // a tag named in a change does not exist: 406
	CodeConflict     Code = "conflict"           // it clashes with what is: 409
	CodeNotAssigned  Code = "not_assigned"       // the task is, or was given, to somebody else: 409
	CodePrecondition Code = "precondition"       // an etag or a capability does not match: 412
	CodeTooLarge     Code = "too_large"          // over a size limit: 413
	CodeNoMatch      Code = "no_match"           // a selection fits nothing: 416
	CodeMismatch     Code = "mismatch"           // the content is not what was announced: 417
	CodeIllegal      Code = "illegal_transition" // the status may not follow the present one: 422
	CodeMissing      Code = "missing"            // something it needs is not there yet: 424
	CodeUploading    Code = "uploading"          // somebody else is doing it, come back later: 425
	CodeFull         Code = "full"               // a queue has no room, and what was sent is dropped: 429
	CodeBusy         Code = "busy"               // the database stays locked: 503, try again
	CodeUnavailable  Code = "unavailable"        // it is switched off or suspended: 503, waiting does not help
	CodeMaintenance  Code = "maintenance"        // not while the farm is in maintenance: 503, try again later
	CodeStorage      Code = "storage"            // a disk is full or failing: 507
)

// ErrNotExist is what every store answers for something that is not there.
var ErrNotExist = &Error{Code: CodeNotFound, Message: "not found"}

// ErrBusy is what the store answers when the database stayed locked too long.
var ErrBusy = &Error{Code: CodeBusy, Message: "the database is busy, try again in a moment"}

// Error is a failure whose message a user may see.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return e.Message }

// Is makes errors.Is compare codes, so that any not-found error is ErrNotExist.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of the first Error in err's chain, or "" if there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// IsNotExist reports whether err says that something is not there, whatever store said so.
func IsNotExist(err error) bool {
	return CodeOf(err) == CodeNotFound || errors.Is(err, fs.ErrNotExist)
}
