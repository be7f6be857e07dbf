// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"flamenco.farm/test/load/measure"
)

// Identity is a Worker that the Manager knows already.
type Identity struct{ ID, Secret string }

// worker is a simulated Worker.
type worker struct {
	conn    *conn
	id      string
	session string // "" = the Manager knows none
	rec     *measure.Recorder
	seen    *sightings
	log     []byte                     // one JSON text with a chunk of log
	onClaim func(asked, got time.Time) // nil = nobody wants to know
}

// logChunk is how much log one update of a task carries, in bytes.
const logChunk = 2048

// newWorker registers a Worker, unless it is known, and signs it on; it is awake then.
func newWorker(ctx context.Context, base *url.URL, name string, types []string, known *Identity, seen *sightings) (*worker, error) {
	w := &worker{rec: measure.NewRecorder(), seen: seen}
	if known == nil {
		var err error
		if known, err = register(ctx, base, name, types); err != nil {
			return nil, err
		}
	}
	w.id = known.ID
	w.conn = newConn(base, "Basic "+base64.StdEncoding.EncodeToString([]byte(known.ID+":"+known.Secret)))
	on, err := w.expect(ctx, http.StatusOK, "/worker/sign-on", map[string]any{
		"name": name, "supported_task_types": types, "software_version": "flamenco-bench", "can_restart": false,
	})
	if err != nil {
		return nil, err
	}
	w.session = on.header.Get("X-Flamenco-Session")
	if _, err = w.expect(ctx, http.StatusNoContent, "/worker/state-changed", map[string]any{"status": "awake"}); err != nil {
		return nil, err
	}
	line := strings.Repeat("Fra:1 Mem:9.61M (Peak 9.70M) | Time:00:00.10 | Rendering 1 / 64 samples\n", logChunk/72+1)[:logChunk-1] + "\n"
	w.log, err = json.Marshal(map[string]any{"activity": "Progress", "steps_completed": 1, "log": line})
	return w, err
}

func register(ctx context.Context, base *url.URL, name string, types []string) (*Identity, error) {
	c := newConn(base, "")
	defer c.close()
	known := &Identity{Secret: rand.Text()}
	body, err := json.Marshal(map[string]any{"secret": known.Secret, "platform": "linux", "supported_task_types": types, "name": name})
	if err != nil {
		return nil, err
	}
	a, err := c.do(ctx, http.MethodPost, "/worker/register-worker", "", body)
	if err == nil && a.status != http.StatusOK {
		err = statusError(a)
	}
	if err != nil {
		return nil, fmt.Errorf("registering a Worker: %w", err)
	}
	var registered struct{ UUID string }
	err = json.Unmarshal(a.body, &registered)
	known.ID = registered.UUID
	return known, err
}

func statusError(a answer) error {
	return fmt.Errorf("status %d: %s", a.status, bytes.TrimSpace(a.body))
}

// expect makes a call that has to be answered with a status.
func (w *worker) expect(ctx context.Context, status int, path string, body any) (answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	a, err := w.conn.do(ctx, http.MethodPost, path, w.headers(""), text)
	if err == nil && a.status != status {
		err = statusError(a)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return a, err
}

func (w *worker) headers(assignment string) string {
	if w.session == "" {
		return ""
	}
	lines := "X-Flamenco-Session: " + w.session + "\r\n"
	if assignment != "" {
		lines += "X-Flamenco-Assignment: " + assignment + "\r\n"
	}
	return lines
}

// call makes a request and takes its time. It is false when there was no answer.
func (w *worker) call(ctx context.Context, name, method, path, headers string, body []byte) (answer, bool) {
	start := time.Now()
	a, ok := w.ask(ctx, name, method, path, headers, body)
	if ok {
		w.rec.Took(name, time.Since(start))
	}
	return a, ok
}

// ask makes a request. It is false when there was no answer.
func (w *worker) ask(ctx context.Context, name, method, path, headers string, body []byte) (answer, bool) {
	a, err := w.conn.do(ctx, method, path, headers, body)
	if err != nil {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			w.rec.Failed(name, err)
		}
		return a, false
	}
	return a, true
}

// held is a task that a Worker was given.
type held struct{ id, assignment string }

// claimed says what came of asking for a task.
type claimed int

const (
	gotTask claimed = iota
	noTask
	mustChange // of status first
	refused
)

// claim asks for a task. Only what brought one counts as a claim: a Manager holds other requests for long.
func (w *worker) claim(ctx context.Context) (held, claimed) {
	start := time.Now()
	a, ok := w.ask(ctx, "claim", http.MethodPost, "/worker/task", w.headers(""), nil)
	if !ok {
		return held{}, refused
	}
	got := time.Now()
	switch a.status {
	case http.StatusOK:
		w.rec.Took("claim", got.Sub(start))
		if w.onClaim != nil {
			w.onClaim(start, got)
		}
	case http.StatusNoContent:
		w.rec.Took("claim without task", got.Sub(start))
		return held{}, noTask
	case http.StatusLocked:
		return held{}, mustChange
	default:
		w.rec.Status("claim", a.status)
		return held{}, refused
	}
	var task struct{ UUID string }
	if err := json.Unmarshal(a.body, &task); err != nil {
		w.rec.Failed("claim", err)
		return held{}, refused
	}
	w.seen.given(task.UUID, w.id)
	return held{task.UUID, a.header.Get("X-Flamenco-Assignment")}, gotTask
}

var (
	bodyActive    = []byte(`{"activity":"Started","taskStatus":"active"}`)
	bodyCompleted = []byte(`{"activity":"Completed","taskStatus":"completed"}`)
)

// perform is the rest of a task's cycle: active, one update with steps and log, may-i-run, completed. onComplete, unless nil,
// hears the task before the last of them.
func (w *worker) perform(ctx context.Context, t held, onComplete func(string)) (done bool) {
	headers := w.headers(t.assignment)
	path := "/worker/task/" + t.id
	if !w.update(ctx, "active", path, headers, 1, bodyActive) || !w.update(ctx, "steps and log", path, headers, 2, w.log) {
		return false
	}
	a, ok := w.call(ctx, "may-i-run", http.MethodGet, path+"/may-i-run", headers, nil)
	if !ok {
		return false
	}
	if a.status != http.StatusOK || !bytes.Contains(a.body, []byte(`"mayKeepRunning":true`)) {
		w.rec.Status("may-i-run refused", a.status)
		return false
	}
	if onComplete != nil {
		onComplete(t.id)
	}
	return w.update(ctx, "completed", path, headers, 3, bodyCompleted)
}

func (w *worker) update(ctx context.Context, name, path, headers string, sequence int, body []byte) bool {
	if w.session != "" {
		headers += "X-Flamenco-Sequence: " + strconv.Itoa(sequence) + "\r\n"
	}
	a, ok := w.call(ctx, name, http.MethodPost, path, headers, body)
	if ok && a.status != http.StatusNoContent {
		w.rec.Status(name, a.status)
		return false
	}
	return ok
}

// changeStatus takes the status that was asked for, and wakes up again.
func (w *worker) changeStatus(ctx context.Context) error {
	_, err := w.expect(ctx, http.StatusNoContent, "/worker/state-changed", map[string]any{"status": "awake"})
	return err
}

func (w *worker) signOff(ctx context.Context) {
	_, _ = w.expect(ctx, http.StatusNoContent, "/worker/sign-off", nil) // the measurement is over
	w.conn.close()
}
