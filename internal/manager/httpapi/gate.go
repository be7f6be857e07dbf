// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/maintenance"
)

// gate is what every request passes before its handler, and every failure on its way out.
type gate struct {
	log         *slog.Logger
	workers     *auth.Workers
	admin       auth.AdminToken
	maintenance *maintenance.Keeper
	operations  map[string]*operation // by method and route
	other       *meter                // of what is no operation; nil = nobody wants to know
}

// call is what is known of a request beside its operation's parameters.
type call struct {
	operation *operation // nil = not (yet) known
	address   string
	userAgent string
	header    http.Header // of the answer
}

type callKey struct{}

// callOf is the call that a handler answers.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// outermost sees every request first: it names the caller, catches panics and logs.
func (g *gate) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &call{address: clientAddress(r), userAgent: r.UserAgent(), header: w.Header()}
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
		seen := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer g.logRequest(r, seen, start)
		defer g.measureRequest(c, seen, start)
		defer g.catch(seen, r)
		setSecurityHeaders(seen.Header())
		part(r.Context(), seen.Header())
		next.ServeHTTP(seen, r)
	})
}

func (g *gate) measureRequest(c *call, seen middleware.WrapResponseWriter, start time.Time) {
	m := g.other
	if c.operation != nil {
		m = c.operation.meter
	}
	m.saw(seen.Status(), time.Since(start))
}

func (g *gate) logRequest(r *http.Request, seen middleware.WrapResponseWriter, start time.Time) {
	if g.log.Enabled(r.Context(), slog.LevelDebug) {
		g.log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", seen.Status(), "bytes", seen.BytesWritten(),
			"took", time.Since(start), "from", callOf(r.Context()).address)
	}
}

// catch turns a panic into an answer, and an aborted request into a cut connection.
func (g *gate) catch(w middleware.WrapResponseWriter, r *http.Request) {
	switch thrown := recover(); {
	case thrown == nil:
	case thrown == http.ErrAbortHandler: //nolint:errorlint // net/http compares it like this
		panic(thrown)
	case w.Status() != 0:
		g.log.Error("panic after the answer had begun", "path", r.URL.Path, "panic", thrown, "stack", string(debug.Stack()))
		panic(http.ErrAbortHandler)
	default:
		g.answerError(w, r, fmt.Errorf("panic: %v\n%s", thrown, debug.Stack()))
	}
}

func setSecurityHeaders(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
}

// admit sees every request of the API once its route is known: who may call it, how long its body may be, whether it fits
// the document.
func (g *gate) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		op, ok := g.operations[method+" "+chi.RouteContext(r.Context()).RoutePattern()]
		if !ok {
			g.answerError(w, r, fmt.Errorf("the route %s %s is not in the document", r.Method, r.URL.Path))
			return
		}
		callOf(r.Context()).operation = op
		r.Body = http.MaxBytesReader(w, r.Body, op.bodyLimit)
		r, err := g.authorize(r, op)
		if err == nil {
			err = checkHead(r)
		}
		if err == nil {
			err = op.validate(r)
		}
		var leave func()
		if err == nil {
			leave, err = g.enter(op)
		}
		if err != nil {
			g.answerError(w, r, err)
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}

// enter refuses what is not served while the farm is in maintenance, and counts it otherwise.
func (g *gate) enter(op *operation) (leave func(), err error) {
	switch upkeep, _ := auth.UpkeepOf(op.id); {
	case g.maintenance == nil || upkeep != auth.Refused:
		return func() {}, nil
	case op.streams: // an upload may take hours, and the maintenance need not wait for it
		return func() {}, g.maintenance.Mode().Refusal()
	}
	return g.maintenance.Enter()
}

// authorize applies the rule of an operation; one without a rule is nobody's.
func (g *gate) authorize(r *http.Request, op *operation) (*http.Request, error) {
	rule, ok := auth.RuleOf(op.id)
	switch {
	case !ok:
		return r, farm.Errorf(farm.CodeForbidden, "nobody may use this operation")
	case rule == auth.Open:
		return r, nil
	case rule == auth.AdminOnly:
		return r, g.checkAdmin(r)
	}
	workerID, secret, ok := r.BasicAuth()
	if !ok || !isText(workerID) {
		return r, farm.Errorf(farm.CodeForbidden, "no credentials given")
	}
	if err := g.workers.Check(r.Context(), workerID, secret); err != nil {
		return r, err
	}
	return r.WithContext(auth.WithWorker(r.Context(), workerID)), nil
}

// checkAdmin lets those pass who can read the files of the Manager.
func (g *gate) checkAdmin(r *http.Request) error {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok && g.admin.Matches(token) {
		return nil
	}
	return farm.Errorf(farm.CodeForbidden, "this takes the admin token: send what is in the file admin.token of the Manager's "+
		"local storage as Authorization: Bearer TOKEN; on SQLite it is new after every start of the Manager")
}

// checkHead refuses a query of which net/http would silently drop the parts that it cannot read, and what no database can
// look for.
func checkHead(r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return farm.Errorf(farm.CodeInvalid, "the query of the address cannot be read: %v", err)
	}
	if !isText(r.URL.Path) {
		return farm.Errorf(farm.CodeInvalid, "the address is not a text: %q", r.URL.Path)
	}
	for name, values := range query {
		if !isText(name) || slices.ContainsFunc(values, isNoText) {
			return farm.Errorf(farm.CodeInvalid, "%q in the query of the address is not a text", name)
		}
	}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Flamenco-") && slices.ContainsFunc(values, isNoText) {
			return farm.Errorf(farm.CodeInvalid, "%s is not a text", name)
		}
	}
	return nil
}

// drain reads what is left of a body that nobody wants. Only then does net/http notice that the client goes away.
func drain(r *http.Request) error {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return badRequest(err)
	}
	return nil
}

// badRequest is err as the fault of the client.
func badRequest(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return farm.Errorf(farm.CodeTooLarge, "the request body is larger than %d bytes", tooLarge.Limit)
	}
	return farm.Errorf(farm.CodeInvalid, "%s", strings.TrimSpace(err.Error()))
}
