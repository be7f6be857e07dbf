// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/pkg/api"
)

// logServer serves the log of one task like a Manager does, and notes the ranges that were asked for.
type logServer struct {
	mu     sync.Mutex
	text   string
	status string
	ranges []string
	serve  func(w http.ResponseWriter, r *http.Request, text string)
	asked  func(s *logServer) // called before each look at the task, with the lock held
}

func (s *logServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/api/v3/tasks/t":
		if s.asked != nil {
			s.asked(s)
		}
		fmt.Fprintf(w, `{"id":"t","status":%q}`, s.status)
	case "/api/v3/tasks/t/log":
		if s.text == "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprintf(w, `{"task_id":"t","job_id":"j","url":"/job-files/t.txt","size":%d}`, len(s.text))
	case "/job-files/t.txt":
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		w.Header().Set("Content-Type", "text/plain")
		s.serve(w, r, s.text)
	default:
		http.NotFound(w, r)
	}
}

func serveRanges(w http.ResponseWriter, r *http.Request, text string) {
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

func startLog(t *testing.T, s *logServer) *Client {
	t.Helper()
	if s.serve == nil {
		s.serve = serveRanges
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAFollowedLogIsCopiedOnceUntilTheTaskEnds(t *testing.T) {
	t.Parallel()
	looks := 0
	s := &logServer{status: "active", asked: func(s *logServer) {
		switch looks++; looks {
		case 2:
			s.text = "one\n"
		case 3:
			s.text += "two\n"
		case 4:
			s.text += "three\n"
			s.status = "completed"
		}
	}}
	var out bytes.Buffer
	if err := startLog(t, s).FollowTaskLog(t.Context(), "t", &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != "one\ntwo\nthree\n" {
		t.Errorf("got %q", out.String())
	}
	if want := []string{"", "bytes=4-", "bytes=8-"}; !slices.Equal(s.ranges, want) {
		t.Errorf("asked for %q, want %q", s.ranges, want)
	}
}

func TestAFollowedLogThatBeginsAnewIsCopiedFromItsBeginning(t *testing.T) {
	t.Parallel()
	looks := 0
	s := &logServer{status: "active", text: "first attempt\n", asked: func(s *logServer) {
		if looks++; looks == 2 {
			s.text, s.status = "second\n", "completed"
		}
	}}
	var out bytes.Buffer
	if err := startLog(t, s).FollowTaskLog(t.Context(), "t", &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != "first attempt\nsecond\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestALogIsCopiedWhereRangesAreNotHonoured(t *testing.T) {
	t.Parallel()
	looks := 0
	s := &logServer{
		status: "active", text: "one\n",
		serve: func(w http.ResponseWriter, _ *http.Request, text string) { fmt.Fprint(w, text) },
		asked: func(s *logServer) {
			if looks++; looks == 2 {
				s.text, s.status = "one\ntwo\n", "failed"
			}
		},
	}
	var out bytes.Buffer
	if err := startLog(t, s).FollowTaskLog(t.Context(), "t", &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != "one\ntwo\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestACutConnectionIsTakenUpWhereItBroke(t *testing.T) {
	t.Parallel()
	whole := strings.Repeat("a line of the log\n", 5000)
	cuts := 0
	s := &logServer{status: "completed", text: whole, serve: func(w http.ResponseWriter, r *http.Request, text string) {
		if cuts++; cuts > 3 {
			serveRanges(w, r, text)
			return
		}
		start := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(text)-1, len(text)))
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(text)-start))
		if start > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		fmt.Fprint(w, text[start:start+20_000])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}}
	var out bytes.Buffer
	if err := startLog(t, s).TaskLog(t.Context(), "t", &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != whole {
		t.Errorf("got %d bytes, want the %d of the log", out.Len(), len(whole))
	}
}

func TestATaskWithoutALogHasAnEmptyOne(t *testing.T) {
	t.Parallel()
	c, _ := scripted(t, says(204, ""), says(204, ""))
	if tail, err := c.TaskLogTail(t.Context(), "t"); tail != "" || err != nil {
		t.Errorf("%q, %v", tail, err)
	}
	var out bytes.Buffer
	if err := c.TaskLog(t.Context(), "t", &out); err != nil || out.Len() > 0 {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestListsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	var queries []string
	page := func(body, next string) func(*http.Request) (*http.Response, error) {
		return func(req *http.Request) (*http.Response, error) {
			queries = append(queries, req.URL.Query().Get("after"))
			query := req.URL.Query()
			if query.Get("limit") != "2" || query.Get("status_in") != "active,queued" || query.Get("search") != "a,b c" {
				t.Errorf("query %s", req.URL.RawQuery)
			}
			return says(200, body, "X-Flamenco-Next", next)(req)
		}
	}
	c, _ := scripted(t,
		page(`{"jobs":[{"id":"1"},{"id":"2"}]}`, "c1"), page(`{"jobs":[{"id":"3"},{"id":"4"}]}`, "c2"), page(`{"jobs":[{"id":"5"}]}`, ""))
	list := List{Status: []string{"active", "queued"}, Search: "a,b c", PageSize: 2}
	jobs, err := Collect(c.Jobs(t.Context(), list))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, job := range jobs {
		ids = append(ids, job.ID)
	}
	if !slices.Equal(ids, []string{"1", "2", "3", "4", "5"}) || !slices.Equal(queries, []string{"", "c1", "c2"}) {
		t.Errorf("jobs %v with cursors %v", ids, queries)
	}
}

func TestPagesAreNotFetchedBeforeTheyAreNeeded(t *testing.T) {
	t.Parallel()
	c, _ := scripted(t, says(200, `{"jobs":[{"id":"1"},{"id":"2"}]}`, "X-Flamenco-Next", "c1"))
	var first api.Job
	for job, err := range c.Jobs(t.Context(), List{}) {
		if err != nil {
			t.Fatal(err)
		}
		first = job
		break
	}
	if first.ID != "1" {
		t.Errorf("got %+v", first)
	}
}
