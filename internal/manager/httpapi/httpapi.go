// SPDX-License-Identifier: GPL-3.0-or-later

// Package httpapi owns the HTTP side of the Manager: it converts the types of the API to those of the farm and back,
// and everything that is HTTP alone: routes, validation, answers to errors, entity tags, static files.
// It must not decide anything about jobs, tasks and workers: that is sched's, and reading them is store's.
package httpapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/maintenance"
	operations "flamenco.farm/internal/operation"
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/setup"
	"flamenco.farm/internal/shaman"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/tasklog"
	"flamenco.farm/internal/variables"
	"flamenco.farm/pkg/api"
)

// Options is what the API is built on. All fields without a remark are needed.
type Options struct {
	Log       *slog.Logger
	Config    *config.Live
	Setup     *setup.Assistant
	Store     *store.Store
	Sched     *sched.Service
	JobTypes  *jobtype.Service
	Variables func() *variables.Set // asked for each request: they change with the configuration
	TaskLogs  *tasklog.Store
	Previews  *preview.Service
	Workers   *auth.Workers
	Files     *os.Root      // the local storage, whose job folders are served
	Blobs     blob.Store    // what is served before what is there; nil = there is none
	Shaman    *shaman.Store // nil = switched off
	// Description is served to whoever found the Manager in the network, at discover.DescriptionPath; nil = it is not.
	Description []byte

	WebApp     http.Handler             // see WebApp and WebAppFrom
	FarmStatus func() farm.StatusReport // of the farm as it was last found
	Events     http.Handler             // of Socket.IO clients
	Origins    []string                 // of pages that may use the API, beside its own

	Operations  *operations.Service
	Maintenance *maintenance.Keeper // nil = there is no maintenance mode
	Deletion    Deletion
	Admin       auth.AdminToken

	// ExportFarm writes the whole farm; ImportFarm takes such a file and starts the operation that puts it in place.
	ExportFarm func(ctx context.Context, to io.Writer) error
	ImportFarm func(ctx context.Context, from io.Reader, erase string) (farm.Operation, error)

	Checks  []Check                                 // what has to be well for the Manager to be ready
	Metrics http.Handler                            // nil = there are none
	Observe func(operation, status string) Observer // asked once for each; nil = nobody wants to know
}

// handlers answers the operations of the API, one method each.
type handlers struct {
	Options
	turns turns
}

var _ api.StrictServerInterface = (*handlers)(nil)

// New builds the handler of everything that the Manager serves.
func New(opts Options) (http.Handler, error) {
	doc, err := newDocument()
	if err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	h := &handlers{Options: opts, turns: newTurns()}
	gate := &gate{log: opts.Log, workers: opts.Workers, admin: opts.Admin, maintenance: opts.Maintenance, operations: doc.operations}

	gate.measure(opts.Observe)
	router := chi.NewRouter()
	router.Use(middleware.GetHead) // whoever watches over a farm often asks for the head alone
	router.NotFound(gate.answerUnknown("Not Found"))
	router.MethodNotAllowed(gate.answerUnknown("method not allowed"))
	h.mountOperations(router, gate)
	h.mountDocument(router, doc)
	h.mountFiles(router)
	h.mountHealth(router)
	router.Handle(eventsPath, opts.Events)
	compressed, err := compress(router)
	if err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	return gate.outermost(crossOrigin{opts.Origins}.admit(compressed)), nil
}

func (h *handlers) mountOperations(router chi.Router, gate *gate) {
	strict := api.NewStrictHandlerWithOptions(h, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  gate.answerBadRequest,
		ResponseErrorHandlerFunc: gate.answerError,
	})
	api.HandlerWithOptions(strict, api.ChiServerOptions{
		BaseRouter:       router,
		Middlewares:      []api.MiddlewareFunc{gate.admit},
		ErrorHandlerFunc: gate.answerBadRequest,
	})
	router.With(gate.admit).Post("/api/v3/worker/task/{task_id}/output-produced", h.takeOutput(gate))
}

// stopKey is the key of the context that ends when the server stops.
type stopKey struct{}

// WithStop marks the base context of a server: requests that are held end with stopping, others are finished.
func WithStop(base, stopping context.Context) context.Context {
	return context.WithValue(base, stopKey{}, stopping)
}

// untilStop is ctx that also ends when the server stops.
func untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if stopping, ok := ctx.Value(stopKey{}).(context.Context); ok {
		context.AfterFunc(stopping, cancel)
	}
	return ctx, cancel
}

// part asks the client of a request to make a new connection for its next one if the server of this one stops.
func part(ctx context.Context, header http.Header) {
	if stopped(ctx) {
		header.Set("Connection", "close")
	}
}

// stopped is whether the server of this request stops.
func stopped(ctx context.Context) bool {
	stopping, ok := ctx.Value(stopKey{}).(context.Context)
	return ok && stopping.Err() != nil
}
