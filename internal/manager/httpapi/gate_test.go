// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
)

// answerTo runs a handler that fails with err, as that of an ordinary operation or of one that must never fail.
func answerTo(t *testing.T, fail func(), err error, op *operation) (rec *httptest.ResponseRecorder, cut bool) {
	t.Helper()
	g := &gate{log: slog.New(slog.DiscardHandler)}
	rec = httptest.NewRecorder()
	defer func() {
		if thrown := recover(); thrown != nil {
			cut = errors.Is(thrown.(error), http.ErrAbortHandler)
		}
	}()
	g.outermost(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		callOf(r.Context()).operation = op
		fail()
		g.answerError(w, r, err)
	})).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/x", http.NoBody))
	return rec, false
}

func TestEveryCodeHasItsStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		text   string
	}{
		{farm.Errorf(farm.CodeInvalid, "bad frames"), 400, "bad frames"},
		{fmt.Errorf("secret detail: %w", farm.Errorf(farm.CodeIllegal, "not from there")), 422, "not from there"},
		{farm.ErrBusy, 503, "busy"},
		{farm.Errorf(farm.CodeStorage, "disk full"), 507, "disk full"},
		{farm.Errorf(farm.CodeMismatch, "another sum"), 417, "another sum"},
		{farm.Errorf(farm.CodeMissing, "not stored"), 424, "not stored"},
		{farm.Errorf(farm.CodeUploading, "in a moment"), 425, "in a moment"},
		{farm.Errorf(farm.CodeUnavailable, "switched off"), 503, "switched off"},
		{farm.Maintenance{On: true, Reason: "a new disk"}.Refusal(), 503, "the farm is in maintenance: a new disk"},
		{errors.New("secret detail"), 500, "Internal Server Error"},
	} {
		rec, cut := answerTo(t, func() {}, c.err, &operation{id: "fetchJobs"})
		if cut || rec.Code != c.status || !strings.Contains(rec.Body.String(), c.text) || strings.Contains(rec.Body.String(), "secret detail") {
			t.Errorf("%v: cut %v, %d %s", c.err, cut, rec.Code, rec.Body)
		}
		if (rec.Header().Get("Retry-After") == "1") != (farm.CodeOf(c.err) == farm.CodeBusy) {
			t.Errorf("%v: Retry-After %q", c.err, rec.Header().Get("Retry-After"))
		}
	}
}

func TestSignOnAndUpdatesAreCutRatherThanAnsweredWithAFault(t *testing.T) {
	t.Parallel()
	op := &operation{id: "signOn", neverFails: true}
	for _, err := range []error{farm.ErrBusy, farm.Errorf(farm.CodeStorage, "disk full"), errors.New("broken")} {
		if rec, cut := answerTo(t, func() {}, err, op); !cut {
			t.Errorf("%v: answered %d", err, rec.Code)
		}
	}
	if rec, cut := answerTo(t, func() { panic("oops") }, nil, op); !cut {
		t.Errorf("panic: answered %d", rec.Code)
	}
	if rec, cut := answerTo(t, func() {}, farm.Errorf(farm.CodeInvalid, "bad"), op); cut || rec.Code != 400 {
		t.Errorf("bad input: cut %v, %d", cut, rec.Code)
	}
}

func TestAPanicIsAnsweredAndDoesNotTellItsReason(t *testing.T) {
	t.Parallel()
	rec, cut := answerTo(t, func() { panic("secret detail") }, nil, nil)
	if cut || rec.Code != 500 || strings.Contains(rec.Body.String(), "secret") {
		t.Errorf("cut %v, %d %s", cut, rec.Code, rec.Body)
	}
}

func TestOnlyAProxyOnThisMachineIsBelieved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ peer, forwarded, real, want string }{
		{"192.168.1.5:1234", "", "", "192.168.1.5"},
		{"192.168.1.5:1234", "10.0.0.9", "", "192.168.1.5"},
		{"127.0.0.1:1234", "10.0.0.9, 10.0.0.1", "", "10.0.0.9"},
		{"[::1]:1234", "", "10.0.0.8", "10.0.0.8"},
		{"127.0.0.1:1234", "nonsense", "", "127.0.0.1"},
		{"[fe80::1%eth0]:1", "", "", "fe80::1%eth0"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if c.real != "" {
			r.Header.Set("X-Real-Ip", c.real)
		}
		if got := clientAddress(r); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}
