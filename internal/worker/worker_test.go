// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
)

func TestANewWorkerRegistersAndKeepsItsCredentials(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	opts := f.options(t)
	stop := start(t, opts)
	c := f.await(t, "state-changed", 1, nil)
	if c.body != `{"status":"awake"}` || c.user != "worker-1" {
		t.Errorf("acknowledged with %s as %s", c.body, c.user)
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	f.await(t, "sign-off", 1, nil)
	info, err := os.Stat(filepath.Join(opts.Home, credentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the credentials are %v", info.Mode())
	}
	start(t, opts)
	f.await(t, "sign-on", 2, nil)
	if n := len(f.all("register-worker")); n != 1 {
		t.Errorf("registered %d times", n)
	}
	if agent := f.all("sign-on")[0].header.Get("User-Agent"); !strings.HasPrefix(agent, "Flamenco/") {
		t.Errorf("User-Agent: %s", agent)
	}
}

func TestOnlyARefusalMakesAWorkerRegisterAnew(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 503, 429} {
		f := newFake(t, 60)
		opts := f.options(t)
		_ = credentials{ID: "worker-1", Secret: "s"}.save(opts.Home)
		f.secrets["worker-1"] = "s"
		f.on["sign-on"] = times(3, fails(status))
		start(t, opts)
		f.await(t, "state-changed", 1, nil)
		if n := len(f.all("register-worker")); n != 0 {
			t.Errorf("after %d the Worker registered %d times", status, n)
		}
	}
	f := newFake(t, 60)
	opts := f.options(t)
	_ = credentials{ID: "unknown", Secret: "s"}.save(opts.Home)
	start(t, opts)
	f.await(t, "state-changed", 1, nil)
	if creds, _ := loadCredentials(opts.Home); creds.ID != "worker-1" {
		t.Errorf("after 403 the Worker is %s", creds.ID)
	}
}

func TestRegisteringAnewOnDemandLeavesTheOldIdentityAndEnds(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	opts := f.options(t)
	_ = credentials{ID: "old", Secret: "s"}.save(opts.Home)
	f.secrets["old"] = "s"
	opts.RegisterOnly = true
	w, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if creds, err := loadCredentials(opts.Home); err != nil || creds.ID != "worker-2" || creds.Secret != f.secrets["worker-2"] {
		t.Errorf("it is now %q, %v", creds.ID, err)
	}
	if calls := f.all(""); len(calls) != 1 || calls[0].what != "register-worker" {
		t.Errorf("%d calls, the last one %s", len(calls), calls[len(calls)-1].what)
	}
}

func TestAManagerThatRefusesRegistrationsEndsTheWorkerWithItsReason(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	f.on["register-worker"] = fails(403)
	w, err := New(f.options(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "scripted") {
		t.Errorf("Run: %v", err)
	}
}

func TestTheFirstManagerThatAnswersIsUsed(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	opts := f.options(t)
	opts.Managers = []string{"127.0.0.1:1", f.server.URL}
	start(t, opts)
	f.await(t, "state-changed", 1, nil)
}

func TestTwoWorkersDoNotShareAHome(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	opts := f.options(t)
	start(t, opts)
	f.await(t, "sign-on", 1, nil)
	second, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another Worker") {
		t.Errorf("the second Worker: %v", err)
	}
}

func TestTheManagerSendsTheWorkerToSleepWakesItAndStopsIt(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	stop := start(t, f.options(t))
	f.await(t, "task", 1, nil)
	f.ask(farm.WorkerAsleep)
	f.await(t, "state-changed", 1, func(c fakeCall) bool { return c.body == `{"status":"asleep"}` })
	f.await(t, "state", 2, nil)
	f.ask(farm.WorkerAwake)
	f.await(t, "state-changed", 2, func(c fakeCall) bool { return c.body == `{"status":"awake"}` })
	f.ask(farm.WorkerOffline)
	if err := f.ended(t, stop); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestARestartIsTellable(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	stop := start(t, f.options(t))
	f.await(t, "task", 1, nil)
	f.ask(farm.WorkerRestart)
	if err := f.ended(t, stop); !errors.Is(err, ErrRestart) {
		t.Errorf("Run: %v", err)
	}
}

func TestTheExitCodeSaysWhyTheWorkerEnded(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want int
	}{
		{t.Context(), nil, 0},
		{t.Context(), ErrRestart, 47},
		{stopped, context.Canceled, 1},
		{t.Context(), errors.New("disk"), 1},
	} {
		if got := exitCode(c.ctx, c.err, Options{RestartExitCode: 47}, log); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

func TestASessionThatIsOverIsFollowedByANewOne(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	f.on["task"] = times(1, fails(403))
	start(t, f.options(t))
	c := f.await(t, "task", 2, nil)
	if got := c.header.Get(headerSession); got != "session-2" {
		t.Errorf("asked in %s", got)
	}
	if got := f.all("sign-on")[1].header.Get(headerSession); got != "" {
		t.Errorf("signed on with the old session %s", got)
	}
	if n := len(f.all("register-worker")); n != 1 {
		t.Errorf("registered %d times", n)
	}
}

func TestAWorkerThatIsBelievedToBeInErrorHealsItself(t *testing.T) {
	t.Parallel()
	f := newFake(t, 0)
	f.on["task"] = times(1, fails(409))
	start(t, f.options(t))
	f.await(t, "state-changed", 2, func(c fakeCall) bool { return c.body == `{"status":"awake"}` })
	f.await(t, "task", 2, nil)
}

func TestAManagerThatKeepsSayingNotAwakeIsSignedOnWithAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	f.on["task"] = times(maxConflicts+1, fails(409))
	start(t, f.options(t))
	f.await(t, "sign-on", 2, nil)
	f.await(t, "task", maxConflicts+2, nil)
}

func TestAnAnswerOfAProxyIsNotTheManagers(t *testing.T) {
	t.Parallel()
	proxy := func(w http.ResponseWriter, _ fakeCall) bool {
		http.Error(w, "no backend", http.StatusNotFound)
		return true
	}
	f := newFake(t, 60)
	f.on["update"] = times(2, proxy)
	f.on["register-worker"] = times(2, proxy)
	start(t, f.options(t))
	f.give(fakeTask{id: "t", commands: []map[string]any{echo("hello")}})
	f.await(t, "update", 1, completed)
}

// panics is a log handler with a defect.
type panics struct {
	slog.Handler
	message string
}

func (p panics) Handle(_ context.Context, r slog.Record) error {
	if r.Message == p.message {
		panic("scripted defect")
	}
	return nil
}

func TestAWorkerWithADefectSignsOff(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	opts := f.options(t)
	opts.Log = slog.New(panics{opts.Log.Handler(), "awake"})
	stop := start(t, opts)
	if err := f.ended(t, stop); err == nil || !strings.Contains(err.Error(), "scripted defect") {
		t.Errorf("Run: %v", err)
	}
}
