// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/worker/process"
	"flamenco.farm/pkg/api"
)

// TestMain lets the test program be what a Manager and a Worker start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "__compile":
			os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
		case manager.OperationArg:
			os.Exit(manager.OperationMain(os.Stdin, os.Stdout, os.Stderr, nil))
		case preview.ConvertArg:
			os.Exit(preview.ChildMain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		case process.ShimArgument:
			os.Exit(process.ShimMain())
		}
	}
	os.Exit(m.Run())
}

// nobody is an ID that nothing has.
const nobody = "00000000-1111-4222-8333-444444444444"

// settings is the configuration of a Manager in a folder of its own, which the test may change before it starts.
func settings(t *testing.T) config.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.ManagerName = "Old Farm"
	cfg.Autodiscoverable = false
	cfg.Listen = "127.0.0.1:0"
	cfg.Database = filepath.Join(dir, "farm.sqlite")
	cfg.Durability = config.DurabilityNormal
	cfg.LocalStorage = filepath.Join(dir, "local")
	cfg.SharedStorage = filepath.Join(dir, "shared")
	cfg.TaskRequestHold = 0 // a request without work is answered at once, as by Flamenco 3
	cfg.JobCompiler.TimeLimit = time.Minute
	return cfg
}

// wire speaks HTTP with a Manager, byte by byte as a client of Flamenco 3 would.
type wire struct {
	t      *testing.T
	url    string // without a slash at the end
	book   *book
	routes routers.Router
}

// connect starts a Manager, which ends with the test.
func connect(t *testing.T, cfg config.Config, b *book) *wire {
	t.Helper()
	return connectTo(t, manager.Options{Config: cfg}, b)
}

// connectTo is connect for a Manager with other options than its configuration.
func connectTo(t *testing.T, opts manager.Options, b *book) *wire {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	opts.Log, opts.OnListen = slog.New(slog.DiscardHandler), func(a net.Addr) { listening <- a }
	m := manager.New(opts)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, manager.ErrRestart) {
			t.Errorf("the Manager ended: %v", err)
		}
	})
	routes, err := document()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case address := <-listening:
		return &wire{t: t, url: "http://" + address.String(), book: b, routes: routes}
	case err := <-ended:
		ended <- nil
		t.Fatalf("the Manager did not start: %v", err)
		return nil
	}
}

// document is the description of the API, which every answer must fit.
var document = sync.OnceValues(func() (routers.Router, error) {
	text, err := api.DocumentJSON()
	if err != nil {
		return nil, err
	}
	spec, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return gorillamux.NewRouter(spec)
})

// option changes a request.
type option func(*http.Request)

// as is a Worker that calls.
func as(id, secret string) option { return func(r *http.Request) { r.SetBasicAuth(id, secret) } }

func header(name, value string) option {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// send makes a request below /api/v3. A body that is text or bytes is sent as it is, anything else as JSON.
func (w *wire) send(method, path string, body any, options ...option) reply {
	w.t.Helper()
	var content io.Reader = http.NoBody
	switch b := body.(type) {
	case nil:
	case io.Reader:
		content = b
	case string:
		content = strings.NewReader(b)
	case []byte:
		content = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+"/api/v3"+path, content)
	if err != nil {
		w.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, change := range options {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	w.check(req, resp, text)
	return reply{w.t, method + " " + path, resp.StatusCode, resp.Header, text}
}

// check compares an answer with the document and enters it in the book.
func (w *wire) check(req *http.Request, resp *http.Response, text []byte) {
	w.t.Helper()
	route, params, err := w.routes.FindRoute(req)
	if err != nil {
		return // not an operation: the test says what it expects
	}
	w.book.enter(route.Operation.OperationID, resp.StatusCode)
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(text)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(req.Context(), input); err != nil {
		w.t.Errorf("%s %s: the answer does not fit the document: %v", req.Method, req.URL.Path, err)
	}
}

// reply is an answer.
type reply struct {
	t      *testing.T
	asked  string
	status int
	header http.Header
	text   []byte
}

// is ends the test unless the status is the wanted one. An error must have the form that clients read.
func (r reply) is(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: %d, want %d: %s", r.asked, r.status, status, r.text)
	}
	if status >= http.StatusBadRequest && status != http.StatusLocked {
		r.has("code", float64(status))
		if message, _ := r.value("message").(string); message == "" {
			r.t.Errorf("%s: %d without a message: %s", r.asked, status, r.text)
		}
	}
	if status == http.StatusNoContent && len(r.text) > 0 {
		r.t.Errorf("%s: 204 with a body: %s", r.asked, r.text)
	}
	return r
}

// value is what stands at a path such as "tasks.0.name"; nil is nothing.
func (r reply) value(path string) any {
	r.t.Helper()
	var at any
	if err := json.Unmarshal(r.text, &at); err != nil {
		r.t.Fatalf("%s: no JSON: %v: %s", r.asked, err, r.text)
	}
	for part := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(v) {
				return nil
			}
			at = v[i]
		default:
			return nil
		}
	}
	return at
}

// has checks a value in the answer.
func (r reply) has(path string, want any) reply {
	r.t.Helper()
	if got := r.value(path); fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("%s: %s is %v, want %v: %s", r.asked, path, got, want, r.text)
	}
	return r
}

// lacks checks that a field is left out, not null.
func (r reply) lacks(field string) reply {
	r.t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(r.text, &fields); err != nil {
		r.t.Fatalf("%s: %v", r.asked, err)
	}
	if v, there := fields[field]; there {
		r.t.Errorf("%s: has %s: %s", r.asked, field, v)
	}
	return r
}

// string is a text in the answer, which must be there.
func (r reply) string(path string) string {
	r.t.Helper()
	text, ok := r.value(path).(string)
	if !ok || text == "" {
		r.t.Fatalf("%s: no %s: %s", r.asked, path, r.text)
	}
	return text
}

// book is what was answered to which operation.
type book struct {
	mu   sync.Mutex
	seen map[string]map[int]bool
}

func (b *book) enter(operation string, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[string]map[int]bool{}
	}
	if b.seen[operation] == nil {
		b.seen[operation] = map[int]bool{}
	}
	b.seen[operation][status] = true
}

// eventually repeats what may take a moment.
func (w *wire) eventually(what string, done func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			w.t.Fatalf("still not so after a minute: %s", what)
		}
	}
}
