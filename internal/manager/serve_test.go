// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"flamenco.farm/internal/manager"
)

// eventually asks again until it is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func TestAManagerThatStopsAnswersUntilTheDelayIsOverAndThenSendsItsClientsAway(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	cfg.ShutdownDelay = 2 * time.Second
	client := newClient(t)
	url, stop := start(t, cfg)
	if status, text := call(t, client, "GET", url+"/readyz", ""); status != 200 || text != "stopping: ok\ndatabase: ok\ndatabase writes: ok\nlocal storage: ok\n" {
		t.Errorf("%d %s", status, text)
	}
	page, _, err := websocket.Dial(t.Context(), url+"/socket.io/?EIO=4&transport=websocket", nil) //nolint:bodyclose // a websocket has none
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.CloseNow() }()
	if err := page.Write(t.Context(), websocket.MessageText, []byte("40")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	eventually(t, "it is not ready", func() bool {
		status, text := call(t, client, "GET", url+"/readyz", "")
		return status == 503 && strings.Contains(text, "stopping: the Manager stops")
	})
	// It goes on to do what it does, compiling included.
	const job = `{"name":"x","type":"echo-sleep-test","submitter_platform":"linux","settings":{"message":"x"}}`
	if status, text := call(t, client, "POST", url+"/api/v3/jobs", job); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if _, text := call(t, client, "GET", url+"/metrics", ""); !strings.Contains(text, "\nflamenco_stopping 1\n") {
		t.Error("the metrics do not say that it stops")
	}
	var last string
	for {
		_, text, err := page.Read(t.Context())
		if err != nil {
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the page was sent away with %v", err)
			}
			break
		}
		last = string(text)
	}
	if !strings.Contains(last, "manager-shutdown") {
		t.Errorf("the last word was %s", last)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAManagerIsNotReadyWhenItsLocalStorageCannotBeWritten(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	client := newClient(t)
	url, stop := start(t, cfg)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := os.Rename(cfg.LocalStorage, cfg.LocalStorage+"-gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(cfg.LocalStorage + "-gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not ready", func() bool {
		status, text := call(t, client, "GET", url+"/readyz", "")
		return status == 503 && strings.Contains(text, "\nlocal storage: it cannot be written\n") && strings.Contains(text, "\ndatabase: ok\n")
	})
	if status, _ := call(t, client, "GET", url+"/livez", ""); status != 200 {
		t.Errorf("it does not live: %d", status)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) find(pattern string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := regexp.MustCompile(pattern).FindStringSubmatch(l.text.String()); found != nil {
		return found[1]
	}
	return ""
}

func TestProfilesAreServedAtAnAddressOfTheirOwnAndNeverAtThePublicOne(t *testing.T) {
	t.Parallel()
	log := &lines{}
	ctx, cancel := context.WithCancel(t.Context())
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	m := manager.New(manager.Options{
		Config: configured(t), Log: slog.New(slog.NewTextHandler(log, nil)), Profiles: "127.0.0.1:0",
		OnListen: func(a net.Addr) { listening <- a },
	})
	go func() { ended <- m.Run(ctx) }()
	public, client, profiles := "http://"+(<-listening).String(), newClient(t), ""
	eventually(t, "profiles are served", func() bool {
		profiles = log.find(`msg="profiles are served" url=(\S+)`)
		return profiles != ""
	})
	if status, text := call(t, client, "GET", profiles+"heap?debug=1", ""); status != 200 || !strings.Contains(text, "heap profile") {
		t.Errorf("%d %.100s", status, text)
	}
	if status, _ := call(t, client, "GET", public+"/debug/pprof/heap", ""); status != 404 {
		t.Errorf("the public port shows profiles: %d", status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", profiles, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		t.Error("profiles are served after the end")
	}
}
