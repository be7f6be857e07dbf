// SPDX-License-Identifier: GPL-3.0-or-later

package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
)

// maxImage is the longest image that is taken, in bytes.
const maxImage = 25 << 20

// imageQueue is how many images may wait.
const imageQueue = 3

var (
	workerStatuses = []string{"starting", "awake", "asleep", "error", "testing", "offline", "restart"}
	taskStatuses   = []string{"active", "canceled", "completed", "failed", "paused", "queued"}
)

// answer is what is sent back; a body that is nil is none.
type answer struct {
	status int
	body   any
}

func failure(status int, format string, args ...any) answer {
	return answer{status, map[string]any{"code": status, "message": fmt.Sprintf(format, args...)}}
}

// invalid is how a request is refused that does not fit the API's description.
func invalid(format string, args ...any) answer {
	return answer{http.StatusBadRequest, map[string]any{"message": "request body has an error: " + fmt.Sprintf(format, args...)}}
}

// exchange is a request on its way. The Manager's lock is held while it is answered.
type exchange struct {
	*http.Request
	call   *Call
	worker *Worker
	task   string
	body   []byte
	fields map[string]json.RawMessage
}

// route is one line of the table of operations.
type route struct {
	method, pattern, operation string
	needs                      []string // fields of the body; nil = the body is not looked at
	serve                      func(*Manager, *exchange) answer
}

func routes() []route {
	return []route{
		{"GET", "/version", "getVersion", nil, (*Manager).version},
		{"POST", "/worker/register-worker", Register, []string{"secret", "platform", "supported_task_types", "name"}, (*Manager).register},
		{"POST", "/worker/sign-on", SignOn, []string{"name", "supported_task_types", "software_version"}, (*Manager).signOn},
		{"POST", "/worker/sign-off", SignOff, nil, (*Manager).signOff},
		{"GET", "/worker/state", State, nil, (*Manager).state},
		{"POST", "/worker/state-changed", StateChanged, []string{"status"}, (*Manager).stateChanged},
		{"POST", "/worker/task", Schedule, nil, (*Manager).schedule},
		{"POST", "/worker/task/{task}", Update, []string{}, (*Manager).update},
		{"GET", "/worker/task/{task}/may-i-run", MayRun, nil, (*Manager).mayRun},
		{"POST", "/worker/task/{task}/output-produced", Output, nil, (*Manager).output},
	}
}

func (m *Manager) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes() {
		mux.HandleFunc("/api/v3"+r.pattern, func(w http.ResponseWriter, req *http.Request) {
			if req.Method != r.method {
				send(w, answer{http.StatusNotFound, map[string]any{"message": "method not allowed"}})
				return
			}
			m.exchange(w, req, r)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		send(w, answer{http.StatusNotFound, map[string]any{"message": "Not Found"}})
	})
	return mux
}

func send(w http.ResponseWriter, a answer) {
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

// exchange answers a request, or what is to go wrong with it.
func (m *Manager) exchange(w http.ResponseWriter, req *http.Request, r route) {
	body, _ := io.ReadAll(io.LimitReader(req.Body, maxImage+1))
	m.mu.Lock()
	call := Call{Operation: r.operation, Task: req.PathValue("task"), Header: req.Header, Body: string(body)}
	x := &exchange{Request: req, call: &call, task: call.Task, body: body}
	var f *fault
	if waiting := m.faults[r.operation]; len(waiting) > 0 {
		f, m.faults[r.operation] = &waiting[0], waiting[1:]
	}
	var a answer
	switch {
	case f != nil && !f.after:
		a = failure(f.status, "a fault of this Manager")
	default:
		a = m.answer(x, r)
	}
	cut := f != nil && (f.after || f.status == 0)
	if call.Status = a.status; cut {
		call.Status = 0
	}
	m.calls = append(m.calls, call)
	close(m.changed)
	m.changed = make(chan struct{})
	m.mu.Unlock()
	if cut {
		panic(http.ErrAbortHandler)
	}
	send(w, a)
}

// answer checks a request as this Manager does before it looks at what it means.
func (m *Manager) answer(x *exchange, r route) answer {
	for name := range x.Header {
		if strings.HasPrefix(name, "X-Flamenco-") {
			m.wrong("%s carries the header %s", r.operation, name)
		}
	}
	if strings.HasPrefix(r.pattern, "/worker/") && r.operation != Register {
		id, secret, _ := x.BasicAuth()
		x.call.Worker = id
		i := slices.IndexFunc(m.workers, func(w *Worker) bool { return w.ID == id && w.secret == secret })
		if i < 0 {
			return answer{http.StatusForbidden, map[string]any{"message": "security requirements failed: authorization failed: unknown worker"}}
		}
		x.worker = m.workers[i]
	}
	if r.needs == nil {
		return r.serve(m, x)
	}
	if kind := x.Header.Get("Content-Type"); kind != "application/json" {
		m.wrong("%s has the Content-Type %q", r.operation, kind)
		return invalid("header Content-Type has unexpected value %q", kind)
	}
	if err := json.Unmarshal(x.body, &x.fields); err != nil {
		m.wrong("%s has a body that is no JSON object: %s", r.operation, x.body)
		return invalid("%v", err)
	}
	for _, name := range r.needs {
		if _, ok := x.fields[name]; !ok {
			m.wrong("%s has no field %s", r.operation, name)
			return invalid("property %q is missing", name)
		}
	}
	return r.serve(m, x)
}

// text is a field of the body.
func (x *exchange) text(name string) string {
	var text string
	_ = json.Unmarshal(x.fields[name], &text)
	return text
}

func (x *exchange) taskTypes() []string {
	var types []string
	_ = json.Unmarshal(x.fields["supported_task_types"], &types)
	for i, t := range types {
		types[i] = strings.ToLower(strings.TrimSpace(t))
	}
	return types
}

func (m *Manager) version(*exchange) answer {
	return answer{http.StatusOK, map[string]any{"version": "3.9", "shortversion": "3.9", "name": "Flamenco", "git": "v3.9"}}
}

func (m *Manager) register(x *exchange) answer {
	w := &Worker{ID: newID(), Name: x.text("name"), Platform: x.text("platform"), TaskTypes: x.taskTypes(), secret: x.text("secret"), Status: "starting"}
	if w.Platform != runtime.GOOS {
		m.wrong("a Worker calls its platform %q", w.Platform)
	}
	m.workers = append(m.workers, w)
	return answer{http.StatusOK, map[string]any{
		"uuid": w.ID, "name": w.Name, "address": "127.0.0.1", "status": "", "platform": w.Platform, "software": "", "supported_task_types": w.TaskTypes,
	}}
}

func (m *Manager) signOn(x *exchange) answer {
	w := x.worker
	w.Name, w.Software, w.TaskTypes, w.Status, w.CanRestart = x.text("name"), x.text("software_version"), x.taskTypes(), "starting", false
	_ = json.Unmarshal(x.fields["can_restart"], &w.CanRestart)
	wanted := "awake"
	if w.requested != "" {
		wanted = w.requested
	}
	return answer{http.StatusOK, map[string]any{"status_requested": wanted}}
}

func (m *Manager) signOff(x *exchange) answer {
	w := x.worker
	switch {
	case w.requested == "offline" || w.requested == "restart":
		w.requested = ""
	case w.requested == "" && (w.Status == "awake" || w.Status == "asleep"):
		w.requested, w.lazy = w.Status, false
	}
	w.Status = "offline"
	m.requeue(w)
	return answer{status: http.StatusNoContent}
}

func (m *Manager) state(x *exchange) answer {
	if x.worker.requested == "" {
		return answer{status: http.StatusNoContent}
	}
	return answer{http.StatusOK, map[string]any{"status_requested": x.worker.requested}}
}

func (m *Manager) stateChanged(x *exchange) answer {
	status := x.text("status")
	if !slices.Contains(workerStatuses, status) {
		m.wrong("a Worker says that it is %q", status)
		return invalid("status: value is not one of the allowed values")
	}
	w := x.worker
	if w.requested == status {
		w.requested = ""
	}
	if w.Status == "awake" && status != "awake" {
		m.requeue(w)
	}
	w.Status = status
	return answer{status: http.StatusNoContent}
}
