// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/blob/file"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/maintenance"
	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/sched"
	assistant "flamenco.farm/internal/setup"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/tasklog"
	"flamenco.farm/internal/variables"
	"flamenco.farm/pkg/api"
)

// TestMain lets the test program compile jobs and shrink pictures for itself, as flamenco-manager does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "__compile" {
		os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
	}
	if len(os.Args) > 1 && os.Args[1] == preview.ConvertArg {
		os.Exit(preview.ChildMain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// spec is the document of the API, read once for all tests.
var spec = sync.OnceValues(func() (*openapi3.T, error) {
	text, err := api.DocumentJSON()
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(text)
})

// server is a Manager's API over a real store.
type server struct {
	t       *testing.T
	url     string
	storage string // the local storage
	logs    *tasklog.Store
	store   *store.Store
	sched   *sched.Service
	handler http.Handler
	close   func() error // the store
	ops     *operation.Service
	keeper  *maintenance.Keeper
	opsLogs string // the folder of the logs of operations
	admin   auth.AdminToken
	routes  routers.Router
	began   chan string // path of each request
	ended   chan string // path of each request that was answered or given up

	pictured chan string // job of each picture that was stored
}

// run runs a part of the Manager until the test ends.
func run(t *testing.T, part func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = part(ctx) // that ctx has ended
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// holding makes requests for a task wait for long.
func holding(o *sched.Options) { o.RequestHold = time.Minute }

// webApp stands for the built web app.
var webApp = fstest.MapFS{
	"index.html":    {Data: []byte("<!DOCTYPE html>")},
	"app.js":        {Data: []byte(strings.Repeat("import { it } from './it.js'\n", 300))},
	"icon.svg":      {Data: []byte("<svg/>")},
	"assets/x-1.js": {Data: []byte("export {}")},
}

func setup(t *testing.T, change ...func(*sched.Options)) *server {
	t.Helper()
	return setupWith(t, func(*httpapi.Options) {}, change...)
}

// setupWith is setup with other options of the API.
func setupWith(t *testing.T, adjust func(*httpapi.Options), change ...func(*sched.Options)) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{t: t, storage: filepath.Join(dir, "storage"), began: make(chan string, 1000), ended: make(chan string, 1000), pictured: make(chan string, 100)}
	log := slog.New(slog.DiscardHandler)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	logs, err := tasklog.New(tasklog.Options{Folder: s.storage})
	must(err)
	t.Cleanup(func() { logs.Close() })
	files, err := os.OpenRoot(s.storage)
	must(err)
	t.Cleanup(func() { files.Close() })
	s.logs = logs
	bus := &event.Bus{}
	s.store, err = store.Open(t.Context(), store.Options{Database: filepath.Join(dir, "farm.sqlite"), Log: log, OnCommit: bus.Publish})
	must(err)
	s.close = sync.OnceValue(s.store.Close)
	t.Cleanup(func() { s.close() })
	options := sched.Options{
		TaskLog: logs, Bus: bus, Log: log, WorkerTimeout: time.Minute, TaskTimeout: 10 * time.Minute, RequestHold: 100 * time.Millisecond,
		BlocklistThreshold: 3, SoftFailLimit: 3,
	}
	for _, c := range change {
		c(&options)
	}
	s.keeper = maintenance.New(maintenance.Options{Store: s.store, Bus: bus, Log: log, Self: farm.ManagerState{
		ID: nobody, Name: "machine", Version: "4.0.0", PID: 7, Started: time.Now(),
	}})
	must(s.keeper.Register(t.Context()))
	options.Enter = s.keeper.Enter
	scheduler := sched.New(s.store, options)
	types, err := jobtype.New(jobtype.Options{Log: log})
	must(err)
	workers, err := auth.NewWorkers(scheduler)
	must(err)
	opsLogs, err := os.OpenRoot(dir)
	must(err)
	t.Cleanup(func() { opsLogs.Close() })
	s.ops, err = operation.New(operation.Options{Store: s.store, Bus: bus, Log: log, Kinds: operationKinds(), Logs: opsLogs, Enter: s.keeper.Enter})
	must(err)
	s.opsLogs, s.admin = dir, auth.NewAdminToken()
	set := variables.NewOn("linux", map[string]variables.Definition{
		"who":  {Values: []variables.Value{{Platforms: []string{"linux"}, Value: "penguin"}, {Platforms: []string{"all"}, Value: "world"}}},
		"farm": {TwoWay: true, Values: []variables.Value{{Platforms: []string{"linux"}, Value: "/farm"}, {Platforms: []string{"windows"}, Value: `F:\`}}},
	}, "/farm/shared")
	local, err := file.New(s.storage)
	must(err)
	t.Cleanup(func() { local.Close() })
	previews := preview.New(preview.Options{
		Log: log, Store: s.store, Files: local, Folder: tasklog.Folder, OnStored: func(jobID string, _ preview.Info) { s.pictured <- jobID },
	})
	run(t, previews.Run)
	apiOptions := httpapi.Options{
		Operations: s.ops, Maintenance: s.keeper, Deletion: deletion{scheduler, s.ops}, Admin: s.admin,
		Log: log, Config: config.Fixed(config.Config{ManagerName: "Test Farm", SharedStorage: "/farm/shared"}),
		Setup: assistant.New(assistant.Options{Base: dir, Install: dir, MayRun: func(string) bool { return false }}),
		Store: s.store, Sched: scheduler, JobTypes: types, TaskLogs: logs, Previews: previews, Workers: workers, Files: files,
		Variables:  func() *variables.Set { return set },
		FarmStatus: func() farm.StatusReport { return farm.StatusReport{Status: farm.StatusInoperative} },
		WebApp:     httpapi.WebApp(webApp),
		Events:     http.NotFoundHandler(), Origins: []string{"http://localhost:8081"},
	}
	adjust(&apiOptions)
	handler, err := httpapi.New(apiOptions)
	must(err)
	s.sched, s.handler = scheduler, handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.began <- r.URL.Path
		defer func() { s.ended <- r.URL.Path }()
		handler.ServeHTTP(w, r)
	}))
	web.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	t.Cleanup(web.Close)
	s.url = web.URL

	doc, err := spec()
	must(err)
	s.routes, err = gorillamux.NewRouter(doc)
	must(err)
	return s
}

// request is one call of the API.
type request struct {
	method, path string
	body         string
	header       map[string]string
	as           *worker // nil = nobody
}

// answer is what came back; it has been checked against the document.
type answer struct {
	status int
	header http.Header
	body   string
	leaves bool // the server closes the connection
}

// do sends a request and checks that the answer is one that the document allows.
func (s *server) do(r request) answer {
	s.t.Helper()
	a, err := s.try(s.t.Context(), r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	return a
}

func (s *server) try(ctx context.Context, r request) (answer, error) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, r.method, s.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.as != nil {
		req.SetBasicAuth(r.as.id, r.as.secret)
		if r.as.session != "" {
			req.Header.Set("X-Flamenco-Session", r.as.session)
		}
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	s.checkAnswer(req, resp, text)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(text), leaves: resp.Close}, nil
}

// checkAnswer compares an answer with the document; what is not in the document is not checked.
func (s *server) checkAnswer(req *http.Request, resp *http.Response, body []byte) {
	s.t.Helper()
	route, params, err := s.routes.FindRoute(req)
	if err != nil {
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route, PathParams: params},
		Status:                 resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if err := openapi3filter.ValidateResponse(req.Context(), input); err != nil {
		s.t.Errorf("%s %s answered %d with %s, which the document does not allow: %v", req.Method, req.URL.Path, resp.StatusCode, body, err)
	}
	if len(body) > 0 && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && !bytes.HasSuffix(body, []byte("\n")) {
		s.t.Errorf("%s %s: no line break behind the JSON", req.Method, req.URL.Path)
	}
}

// want sends a request and insists on the status.
func (s *server) want(status int, r request) answer {
	s.t.Helper()
	a := s.do(r)
	if a.status != status {
		s.t.Fatalf("%s %s: status %d, want %d: %s", r.method, r.path, a.status, status, a.body)
	}
	return a
}

// decode reads the JSON of an answer.
func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return v
}

// worker is a Worker of the test; without a session it is one of Flamenco 3.
type worker struct {
	id, secret, session string
}

// register makes a Worker known, signs it on and wakes it.
func (s *server) register(name string) *worker {
	s.t.Helper()
	w := &worker{secret: "secret of " + name}
	a := s.want(200, request{method: "POST", path: "/api/v3/worker/register-worker", body: `{"name":"` + name + `","secret":"` + w.secret +
		`","platform":"linux","supported_task_types":["Misc ","blender"]}`})
	w.id = decode[api.RegisteredWorker](s.t, a).UUID
	a = s.want(200, request{method: "POST", path: "/api/v3/worker/sign-on", as: w, body: signOnBody(name)})
	w.session = a.header.Get("X-Flamenco-Session")
	s.want(204, request{method: "POST", path: "/api/v3/worker/state-changed", as: w, body: `{"status":"awake"}`})
	return w
}

func signOnBody(name string) string {
	return `{"name":"` + name + `","supported_task_types":["misc"],"software_version":"1.2.3"}`
}

// submit submits an echo job with n sleeping tasks behind the echo.
func (s *server) submit(n string) api.Job {
	s.t.Helper()
	a := s.want(200, request{method: "POST", path: "/api/v3/jobs", body: `{"name":"a job","type":"echo-sleep-test","submitter_platform":"linux",
		"settings":{"message":"hello {who}","sleep_duration_seconds":0,"sleep_repeats":` + n + `}}`})
	return decode[api.Job](s.t, a)
}

// claim asks for a task and insists on one.
func (s *server) claim(w *worker) (task api.AssignedTask, assignment map[string]string) {
	s.t.Helper()
	a := s.want(200, request{method: "POST", path: "/api/v3/worker/task", as: w})
	return decode[api.AssignedTask](s.t, a), map[string]string{"X-Flamenco-Assignment": a.header.Get("X-Flamenco-Assignment")}
}

func with(header map[string]string, more ...string) map[string]string {
	all := make(map[string]string)
	for k, v := range header {
		all[k] = v
	}
	for i := 0; i+1 < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}
