// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// attemptServer serves the logs of one task, of which the newest has an address that stays.
func attemptServer(t *testing.T, status func(look int) string, logs func(look int) []string) *Client {
	t.Helper()
	look := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		now := logs(look)
		url := func(i int) string {
			if i == len(now)-1 {
				return "/job-files/t.txt"
			}
			return fmt.Sprintf("/job-files/t.%d.txt", i+1)
		}
		switch r.URL.Path {
		case "/api/v3/tasks/t":
			look++
			fmt.Fprintf(w, `{"id":"t","status":%q}`, status(look))
			return
		case "/api/v3/tasks/t/log":
			var attempts []string
			for i, text := range now {
				attempts = append(attempts, fmt.Sprintf(`{"generation":%d,"url":%q,"size":%d,"started":"2026-01-01T00:00:00Z"}`, i+1, url(i), len(text)))
			}
			fmt.Fprintf(w, `{"task_id":"t","job_id":"j","url":"/job-files/t.txt","size":%d,"attempts":[%s]}`, len(now[len(now)-1]), strings.Join(attempts, ","))
			return
		}
		for i, text := range now {
			if r.URL.Path == url(i) {
				serveRanges(w, r, text)
				return
			}
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAFollowedLogGoesOnWithTheNextAttempt(t *testing.T) {
	t.Parallel()
	c := attemptServer(t, func(look int) string {
		if look >= 4 {
			return "completed"
		}
		return "active"
	}, func(look int) []string {
		return [][]string{
			nil,
			{"old\n", "second: 1\n"},
			{"old\n", "second: 1\nsecond: 2\n"},
			{"old\n", "second: 1\nsecond: 2\nits end\n", "third: a longer line than all before together\n"},
			{"old\n", "second: 1\nsecond: 2\nits end\n", "third: cut\n"},
		}[look]
	})
	var out bytes.Buffer
	if err := c.FollowTaskLog(t.Context(), "t", &out); err != nil {
		t.Fatal(err)
	}
	if want := "second: 1\nsecond: 2\nits end\nthird: a longer line than all before together\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestTheLogOfOneAttemptIsCopied(t *testing.T) {
	t.Parallel()
	c := attemptServer(t, nil, func(int) []string { return []string{"one\n", "two\n"} })
	for attempt, want := range map[int64]string{1: "one\n", 2: "two\n"} {
		var out bytes.Buffer
		if err := c.AttemptLog(t.Context(), "t", attempt, &out); err != nil || out.String() != want {
			t.Errorf("attempt %d: %q, %v", attempt, out.String(), err)
		}
	}
	var out bytes.Buffer
	if err := c.TaskLog(t.Context(), "t", &out); err != nil || out.String() != "two\n" {
		t.Errorf("the newest: %q, %v", out.String(), err)
	}
	if err := c.AttemptLog(t.Context(), "t", 3, &out); StatusOf(err) != http.StatusNotFound {
		t.Errorf("attempt 3: %v", err)
	}
}
