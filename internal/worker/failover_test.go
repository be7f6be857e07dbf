// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/worker/outbox"
	"flamenco.farm/internal/worker/preview"
)

// door is one of several Managers that share a fake's farm.
type door struct {
	server *httptest.Server
	host   string

	mu     sync.Mutex
	answer http.HandlerFunc // in place of the farm, nil = the farm answers
}

func (f *fakeManager) door(t *testing.T) *door {
	t.Helper()
	d := &door{}
	d.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		answer := d.answer
		d.mu.Unlock()
		if answer == nil {
			answer = f.ServeHTTP
		}
		answer(w, r)
	}))
	d.host = strings.TrimPrefix(d.server.URL, "http://")
	t.Cleanup(d.server.Close)
	return d
}

// set makes every call meet answer from now on, nil = the farm again.
func (d *door) set(answer http.HandlerFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

// shut does the same, and breaks the calls that are on their way.
func (d *door) shut(answer http.HandlerFunc) {
	d.set(answer)
	d.server.CloseClientConnections()
}

func (d *door) is(c fakeCall) bool { return c.host == d.host }

// cut breaks the connection.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func saysStatus(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		answerJSON(w, status, map[string]any{"message": "scripted"})
	}
}

// spoken is a log that can be read.
type spoken struct {
	slog.Handler
	mu    *sync.Mutex
	lines *[]string
}

func listen(t *testing.T, opts *Options) spoken {
	t.Helper()
	s := spoken{Handler: opts.Log.Handler(), mu: &sync.Mutex{}, lines: &[]string{}}
	opts.Log = slog.New(s)
	return s
}

func (s spoken) Handle(ctx context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	s.mu.Lock()
	*s.lines = append(*s.lines, line)
	s.mu.Unlock()
	return s.Handler.Handle(ctx, r)
}

func (s spoken) WithAttrs(attrs []slog.Attr) slog.Handler {
	s.Handler = s.Handler.WithAttrs(attrs)
	return s
}

// await waits for a line with this in it.
func (s spoken) await(t *testing.T, text string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		if len(s.saying(text)) > 0 {
			return
		}
	}
	t.Fatalf("the log never says %q", text)
}

// saying are the lines so far with this in them.
func (s spoken) saying(text string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range *s.lines {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

const (
	changedManager = "using another Manager"
	notUsed        = "is not used"
)

func TestWhenOneManagerFailsTheNextIsUsedAndKept(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]http.HandlerFunc{
		"cut":          cut,
		"draining":     saysStatus(503, "Retry-After", "5"),
		"bad gateway":  saysStatus(502),
		"late gateway": saysStatus(504),
		"proxy":        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no backend", 404) },
		"elsewhere":    saysStatus(301, "Content-Type", "text/html", "Location", "http://elsewhere"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 60)
			a, b, c := f.door(t), f.door(t), f.door(t)
			opts := f.options(t)
			opts.Managers = []string{a.server.URL, b.server.URL, c.server.URL}
			log := listen(t, &opts)
			start(t, opts)
			f.await(t, "task", 1, a.is)
			b.shut(failing)
			a.shut(failing)
			f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello")}})
			f.await(t, "update", 1, func(u fakeCall) bool { return completed(u) && c.is(u) })
			a.set(nil)
			b.set(nil)
			before := len(f.all("task"))
			f.give(fakeTask{id: "u", commands: []map[string]any{echo("hello")}})
			f.await(t, "update", 2, func(u fakeCall) bool { return completed(u) && c.is(u) })
			f.await(t, "task", before+1, c.is)
			if lines := log.saying(changedManager); len(lines) != 1 || !strings.Contains(lines[0], c.server.URL) || !strings.Contains(lines[0], a.server.URL) {
				t.Errorf("the log has\n%s", strings.Join(lines, "\n"))
			}
			if n := len(f.all("register-worker")); n != 1 {
				t.Errorf("registered %d times", n)
			}
			for _, s := range f.all("sign-on")[1:] {
				if s.body != f.all("sign-on")[0].body {
					t.Errorf("another session was begun: %s", s.body)
				}
			}
		})
	}
}

func TestAnUpdateWhoseReplyIsLostIsSentToTheNextManagerAsItWas(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	a, b := f.door(t), f.door(t)
	a.set(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/task/") || strings.HasSuffix(r.URL.Path, "/may-i-run") {
			f.ServeHTTP(w, r)
			return
		}
		f.ServeHTTP(httptest.NewRecorder(), r) // the farm has it
		panic(http.ErrAbortHandler)
	})
	opts := f.options(t)
	opts.Managers = []string{a.server.URL, b.server.URL}
	start(t, opts)
	f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello")}})
	f.await(t, "update", 1, completed)
	updates := f.all("update")
	first, again := updates[0], updates[1]
	if !a.is(first) || !b.is(again) || first.body != again.body {
		t.Errorf("first %s with %s, then %s with %s", first.host, first.body, again.host, again.body)
	}
	for _, name := range []string{headerAssignment, headerSequence, headerSession} {
		if first.header.Get(name) != again.header.Get(name) || first.header.Get(name) == "" {
			t.Errorf("%s: %q, then %q", name, first.header.Get(name), again.header.Get(name))
		}
	}
}

func TestARequestForATaskThatBreaksOffIsMadeAgainAtTheNextManager(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	a, b := f.door(t), f.door(t)
	opts := f.options(t)
	opts.Managers = []string{a.server.URL, b.server.URL}
	start(t, opts)
	f.await(t, "task", 1, a.is)
	a.shut(cut) // in the middle of the hold
	c := f.await(t, "task", 1, b.is)
	if c.header.Get(headerSlot) != "0" || c.header.Get(headerRunning) != "" || c.header.Get(headerSession) != "session-1" {
		t.Errorf("asked with %v", c.header)
	}
}

func TestAManagerOfAnotherFarmIsNamedAndNotUsed(t *testing.T) {
	t.Parallel()
	for name, lease := range map[string]int{"ours": 60, "of Flamenco 3": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, other := newFake(t, 60), newFake(t, lease)
			a := f.door(t)
			opts := f.options(t)
			opts.Managers = []string{a.server.URL, other.server.URL}
			log := listen(t, &opts)
			if lease == 0 { // one that knows the Worker, by chance or because the farm came from there
				_ = credentials{ID: "worker-1", Secret: "s"}.save(opts.Home)
				f.secrets["worker-1"], other.secrets["worker-1"] = "s", "s"
			}
			start(t, opts)
			other.await(t, "sign-on", 1, nil)
			log.await(t, notUsed) // it is found out at the start
			f.await(t, "task", 1, nil)
			f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello")}})
			<-a.struck(t, 5)
			a.set(nil)
			f.await(t, "update", 1, completed)
			if lines := log.saying(notUsed); len(lines) != 1 || !strings.Contains(lines[0], other.server.URL) {
				t.Errorf("the log has\n%s", strings.Join(lines, "\n"))
			}
			if calls := other.all(""); len(calls) != 1 {
				t.Errorf("it was called %d times", len(calls))
			}
			if lines := log.saying(changedManager); len(lines) != 0 {
				t.Errorf("the log has\n%s", strings.Join(lines, "\n"))
			}
		})
	}
}

// struck makes a closed door count, and tells when so many calls have met it.
func (d *door) struck(t *testing.T, n int) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	var mu sync.Mutex
	d.shut(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		if n--; n == 0 {
			close(done)
		}
		mu.Unlock()
		panic(http.ErrAbortHandler)
	})
	return done
}

func TestAFirstManagerOfAnotherFarmCostsNoIdentity(t *testing.T) {
	t.Parallel()
	f, other := newFake(t, 60), newFake(t, 60)
	opts := f.options(t)
	opts.Managers = []string{other.server.URL, f.server.URL}
	log := listen(t, &opts)
	_ = credentials{ID: "worker-1", Secret: "s"}.save(opts.Home)
	f.secrets["worker-1"] = "s"
	start(t, opts)
	f.await(t, "state-changed", 1, nil)
	if n := len(f.all("register-worker")) + len(other.all("register-worker")); n != 0 {
		t.Errorf("registered %d times", n)
	}
	if lines := log.saying(notUsed); len(lines) != 1 || !strings.Contains(lines[0], other.server.URL) {
		t.Errorf("the log has\n%s", strings.Join(lines, "\n"))
	}
}

func TestOnlyWhenNoManagerOfTheListKnowsItDoesAWorkerRegisterAnew(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	a, b := f.door(t), f.door(t)
	opts := f.options(t)
	opts.Managers = []string{a.server.URL, b.server.URL}
	_ = credentials{ID: "deleted", Secret: "s"}.save(opts.Home)
	refused := a.struck(t, 4) // what it knows cannot be told
	start(t, opts)
	<-refused
	if n := len(f.all("register-worker")); n != 0 {
		t.Fatal("registered although a Manager was not asked")
	}
	a.set(nil)
	f.await(t, "state-changed", 1, nil)
	if creds, _ := loadCredentials(opts.Home); creds.ID != "worker-1" {
		t.Errorf("it is %s", creds.ID)
	}
	f.await(t, "sign-on", 1, func(c fakeCall) bool { return c.user == "worker-1" && b.is(c) }) // no grudge
}

func TestAManagerOfFlamenco3IsLeftOnlyWhenItIsGone(t *testing.T) {
	t.Parallel()
	f, other := newFake(t, 0), newFake(t, 0)
	a := f.door(t)
	opts := f.options(t)
	opts.Managers = []string{a.server.URL, other.server.URL}
	log := listen(t, &opts)
	start(t, opts)
	f.await(t, "task", 1, nil)
	f.script(func() { f.on["update"], f.on["task"] = times(3, fails(503)), times(2, fails(500)) })
	f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello")}})
	f.await(t, "update", 1, completed)
	if calls := other.all(""); len(calls) != 0 {
		t.Errorf("trouble made the Worker call the other one: %s", calls[0].what)
	}
	<-a.struck(t, 3)
	other.await(t, "", 1, nil)
	a.set(nil)
	f.give(fakeTask{id: "u", commands: []map[string]any{echo("hello")}})
	f.await(t, "update", 1, func(c fakeCall) bool { return c.task == "u" && completed(c) })
	if n := len(other.all("register-worker")); n != 0 {
		t.Error("registered with the other one")
	}
	if lines := log.saying(notUsed); len(lines) != 1 {
		t.Errorf("the log has\n%s", strings.Join(lines, "\n"))
	}
}

// sessionOver makes the farm know of a later session, until a new one is begun.
func (f *fakeManager) sessionOver() {
	over := true
	f.script(func() {
		f.on["sign-on"] = func(w http.ResponseWriter, c fakeCall) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			if c.header.Get(headerSession) == "" {
				over = false
			} else if over {
				answerJSON(w, 409, map[string]any{"message": "this session is over"})
			}
			return over
		}
	})
}

func TestAWorkerWhoseSessionIsOverBeginsANewOneWithTheNextManager(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]farm.WorkerStatus{"awake": farm.WorkerAwake, "asleep": farm.WorkerAsleep} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 60)
			f.status = status
			a, b := f.door(t), f.door(t)
			b.set(saysStatus(503))
			opts := f.options(t)
			opts.Managers = []string{a.server.URL, b.server.URL}
			log := listen(t, &opts)
			start(t, opts)
			log.await(t, "does not answer now") // it is not joined
			f.await(t, map[farm.WorkerStatus]string{farm.WorkerAwake: "task", farm.WorkerAsleep: "state"}[status], 1, nil)
			f.sessionOver()
			b.set(nil)
			a.shut(cut)
			anew := f.await(t, "sign-on", 1, func(c fakeCall) bool { return b.is(c) && c.header.Get(headerSession) == "" })
			if anew.body == f.all("sign-on")[0].body {
				t.Error("the session that was over was begun again")
			}
			f.await(t, "state-changed", 1, func(c fakeCall) bool { return b.is(c) && c.header.Get(headerSession) == "session-2" })
			if joins := f.all("sign-on"); joins[1].header.Get(headerSession) != "session-1" {
				t.Errorf("it was joined with %v", joins[1].header)
			}
		})
	}
}

func TestAnUpdateOfASessionThatIsOverIsStillSentToTheNextManager(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	a, b := f.door(t), f.door(t)
	opts := f.options(t)
	opts.Managers = []string{a.server.URL, b.server.URL}
	w, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.close)
	w.client.identify(credentials{ID: "worker-1", Secret: "s"})
	f.secrets["worker-1"] = "s"
	signOn := call{method: http.MethodPost, path: "/worker/sign-on", signOn: true, stored: true}
	w.client.begin("session-1", time.Minute, signOn, answer{manager: a.server.URL})
	f.sessionOver()
	a.set(saysStatus(503))
	if v := w.deliver(t.Context(), outbox.Update{TaskID: "t", Assignment: "x", Session: "session-1", Sequence: 1, Body: []byte("{}")}); v != outbox.Accepted {
		t.Errorf("the verdict is %v", v)
	}
	f.await(t, "update", 1, b.is)
}

func TestAPictureGoesToTheNextManagerOrWaits(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	a, b := f.door(t), f.door(t)
	opts := f.options(t)
	opts.Managers = []string{a.server.URL, b.server.URL}
	w, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.close)
	w.client.identify(credentials{ID: "worker-1", Secret: "s"})
	f.secrets["worker-1"] = "s"
	send := func() error {
		return w.sendPicture(t.Context(), preview.Output{TaskID: "t", Assignment: "x", Session: "s"}, []byte("jpeg"))
	}
	a.set(saysStatus(503, "Retry-After", "5"))
	if err := send(); err != nil || f.await(t, "output-produced", 1, b.is).body != "jpeg" {
		t.Errorf("sent: %v", err)
	}
	b.set(saysStatus(503))
	if err := send(); !errors.Is(err, preview.ErrLater) {
		t.Errorf("sent to nobody: %v", err)
	}
}

func TestTheWorkerSignsOffWithTheManagerThatIsLeft(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	a, b := f.door(t), f.door(t)
	opts := f.options(t)
	opts.Managers = []string{a.server.URL, b.server.URL}
	stop := start(t, opts)
	f.await(t, "task", 1, nil)
	f.ask(farm.WorkerOffline)
	a.shut(cut)
	if err := stop(); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	f.await(t, "sign-off", 1, b.is)
}
