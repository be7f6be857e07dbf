// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/farm"
	"flamenco.farm/pkg/api"
)

// statusOf is the one table from codes to HTTP statuses.
func statusOf(code farm.Code) int {
	switch code {
	case farm.CodeInvalid:
		return http.StatusBadRequest
	case farm.CodeForbidden:
		return http.StatusForbidden
	case farm.CodeNotFound:
		return http.StatusNotFound
	case farm.CodeNoSuchTag:
		return http.StatusNotAcceptable
	case farm.CodeConflict, farm.CodeNotAssigned:
		return http.StatusConflict
	case farm.CodePrecondition:
		return http.StatusPreconditionFailed
	case farm.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case farm.CodeNoMatch:
		return http.StatusRequestedRangeNotSatisfiable
	case farm.CodeMismatch:
		return http.StatusExpectationFailed
	case farm.CodeIllegal:
		return http.StatusUnprocessableEntity
	case farm.CodeMissing:
		return http.StatusFailedDependency
	case farm.CodeUploading:
		return http.StatusTooEarly
	case farm.CodeFull:
		return http.StatusTooManyRequests
	case farm.CodeBusy, farm.CodeUnavailable, farm.CodeMaintenance:
		return http.StatusServiceUnavailable
	case farm.CodeStorage:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// answerError is the end of every failed request, and the place where failures of the Manager are logged.
func (g *gate) answerError(w http.ResponseWriter, r *http.Request, err error) {
	op := callOf(r.Context()).operation
	status, message := http.StatusInternalServerError, ""
	var shown *farm.Error
	if errors.As(err, &shown) {
		status, message = statusOf(shown.Code), shown.Message
	}
	if errors.Is(err, errCutShort) && r.Context().Err() == nil {
		g.log.Warn("an answer was cut short", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if errors.Is(err, errCutShort) || (r.Context().Err() != nil && status == http.StatusInternalServerError) {
		panic(http.ErrAbortHandler) // nobody is there to read the answer, or half of it is out already
	}
	maintained := farm.CodeOf(err) == farm.CodeMaintenance
	off := maintained || farm.CodeOf(err) == farm.CodeUnavailable
	if status >= http.StatusInternalServerError && !off {
		g.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "worker", auth.Worker(r.Context()), "error", err)
		if op != nil && op.neverFails {
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case status == http.StatusInternalServerError:
		message = "Internal Server Error"
	case maintained:
		w.Header().Set("Retry-After", "30")
		w.Header().Set("X-Flamenco-Maintenance", "on") // those who would try again had better say so
	case status == http.StatusServiceUnavailable && !off:
		w.Header().Set("Retry-After", "1")
	case status == http.StatusForbidden:
		message = "security requirements failed: authorization failed: " + message
	}
	writeError(w, status, message)
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, api.Error{Code: int32(status), Message: message})
}

// writeJSON ends the body with a line break, as clients are used to.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // caught and answered with 500: a body of ours that is no JSON is a fault of ours
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client went away: net/http knows
}

// answerBadRequest is for what the generated code cannot read: parameters and bodies of the wrong form.
func (g *gate) answerBadRequest(w http.ResponseWriter, r *http.Request, err error) {
	err = badRequest(err)
	if farm.CodeOf(err) == farm.CodeInvalid && strings.Contains(err.Error(), "JSON body") {
		err = farm.Errorf(farm.CodeInvalid, "request body has an error: %s", err)
	}
	g.answerError(w, r, err)
}

// answerUnknown is for what is in no document: clients know these two texts.
func (g *gate) answerUnknown(message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, struct {
			Message string `json:"message"`
		}{message})
	}
}
