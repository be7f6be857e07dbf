// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// heard is a log that can be read while it is written.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(p)
}

// find waits for a line that matches, and returns its first group.
func (h *heard) find(t *testing.T, pattern string) string {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		h.mu.Lock()
		found := regexp.MustCompile(pattern).FindStringSubmatch(h.text.String())
		h.mu.Unlock()
		if found != nil {
			return found[1]
		}
	}
	t.Fatalf("%s is not in the log", pattern)
	return ""
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", url, resp.StatusCode, text, err)
	}
	return string(text)
}

func TestAWorkerTellsWhatWaitsInItsOutbox(t *testing.T) {
	t.Parallel()
	f, log := newFake(t, 60), &heard{}
	f.on["update"] = fails(500)
	opts := f.options(t)
	opts.Log, opts.Metrics, opts.Profiles = slog.New(slog.NewTextHandler(log, nil)), "127.0.0.1:0", "127.0.0.1:0"
	f.give(fakeTask{id: "task", commands: []map[string]any{echo("hello")}})
	start(t, opts)
	log.find(t, `(cannot deliver an update)`)
	text := get(t, log.find(t, `msg="metrics are served" url=(\S+)`))
	for _, pattern := range []string{
		`(?m)^flamenco_worker_outbox_updates [1-9]`, `(?m)^flamenco_worker_outbox_bytes [1-9]`, `(?m)^flamenco_worker_manager_silence_seconds `,
		`(?m)^flamenco_worker_tasks_running [01]$`, `(?m)^flamenco_worker_build_info\{.*version=`, `(?m)^process_start_time_seconds `,
	} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("%s is missing in\n%s", pattern, text)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%+v %v", problems, err)
	}
	if page := get(t, log.find(t, `msg="profiles are served" url=(\S+)`)); !strings.Contains(page, "goroutine") {
		t.Errorf("the page of profiles is %.200s", page)
	}
}

func TestTheManualNamesEveryMetricOfAWorker(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "usage", "monitoring.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metrics {
		if !strings.Contains(string(text), "| `"+m.Name+"` | "+m.Help+" |\n") {
			t.Errorf("the manual lacks: | `%s` | %s |", m.Name, m.Help)
		}
	}
}
