// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/internal/sched"
)

func TestAManagerIsReadyWhileAllThatItNeedsIsWell(t *testing.T) {
	t.Parallel()
	var broken atomic.Pointer[error]
	var ran atomic.Int64
	s := setupWith(t, func(o *httpapi.Options) {
		o.Checks = []httpapi.Check{
			{Name: "tea", Run: func(context.Context) error { return nil }},
			{Name: "biscuits", Run: func(context.Context) error {
				ran.Add(1)
				if err := broken.Load(); err != nil {
					return *err
				}
				return nil
			}},
		}
	})
	ready := request{method: "GET", path: "/readyz"}
	asJSON := request{method: "GET", path: "/readyz", header: map[string]string{"Accept": "application/json"}}
	if a := s.want(200, ready); a.body != "stopping: ok\ntea: ok\nbiscuits: ok\n" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", a.header, a.body)
	}
	for range 5 {
		s.want(200, asJSON)
	}
	if n := ran.Load(); n > 2 {
		t.Errorf("asked six times at once, a check ran %d times", n)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{farm.Errorf(farm.CodeStorage, "there are none left"), "there are none left"},
		{errors.New("open /secret/place: gone"), "it fails; the log of the Manager says why"},
		{context.DeadlineExceeded, "no answer within 2s"},
	} {
		broken.Store(&c.err)
		var answer struct {
			Ready  bool
			Checks []struct {
				Name    string
				OK      bool
				Message string
			}
		}
		awaitSo(t, func() bool { // the last result is kept for a second
			a := s.do(asJSON)
			if err := json.Unmarshal([]byte(a.body), &answer); err != nil || len(answer.Checks) != 3 {
				t.Fatalf("%s: %v", a.body, err)
			}
			if answer.Ready != (a.status == 200) {
				t.Errorf("%d %s", a.status, a.body)
			}
			return answer.Checks[2].Message == c.want
		})
		if answer.Ready || !answer.Checks[0].OK || !answer.Checks[1].OK || answer.Checks[2].OK || answer.Checks[2].Name != "biscuits" {
			t.Errorf("%v: %+v", c.err, answer)
		}
	}
	if a := s.want(200, request{method: "GET", path: "/livez"}); a.body != "ok\n" {
		t.Errorf("it lives although it is not ready: %q", a.body)
	}
	s.want(503, request{method: "HEAD", path: "/readyz"})
	s.want(404, request{method: "POST", path: "/readyz"})
	s.want(404, request{method: "GET", path: "/metrics"}) // nobody gave it any
}

// awaitSo asks again until it is so.
func awaitSo(t *testing.T, is func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(time.Minute); !is(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatal("not within a minute")
		}
	}
}

func TestACheckThatHangsIsToldInTimeAndRunsOnce(t *testing.T) {
	t.Parallel()
	var ran atomic.Int64
	over := make(chan struct{})
	s := setupWith(t, func(o *httpapi.Options) {
		o.Checks = []httpapi.Check{{Name: "disk", Run: func(context.Context) error {
			ran.Add(1)
			<-over // as a disk that is gone: no context helps
			return nil
		}}}
	})
	t.Cleanup(func() { close(over) })
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if a := s.do(request{method: "GET", path: "/readyz"}); a.status != 503 || !strings.Contains(a.body, "disk: no answer within 2s\n") {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if n := ran.Load(); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

func TestRequestsAreMeasuredByOperationAndStatusNeverByPath(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen, lookups := map[string]int{}, map[string]int{}
	s := setupWith(t, func(o *httpapi.Options) {
		o.Observe = func(operation, status string) httpapi.Observer {
			name := operation + " " + status
			mu.Lock()
			defer mu.Unlock()
			lookups[name]++
			return func(took time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				if seen[name]++; took <= 0 {
					t.Errorf("%s took %s", name, took)
				}
			}
		}
	})
	w := s.register("w")
	s.do(request{method: "GET", path: "/api/v3/jobs/" + nobody})
	s.do(request{method: "GET", path: "/api/v3/jobs/" + nobody})
	s.do(request{method: "POST", path: "/api/v3/worker/task", as: &worker{id: w.id, secret: "wrong"}})
	s.do(request{method: "GET", path: "/nowhere/" + nobody})
	s.do(request{method: "GET", path: "/app/"})
	awaitSo(t, func() bool { // it is measured when the answer is out
		mu.Lock()
		defer mu.Unlock()
		return seen["other 2xx"] == 1
	})
	mu.Lock()
	defer mu.Unlock()
	for name, want := range map[string]int{"fetchJob 4xx": 2, "scheduleTask 4xx": 1, "other 4xx": 1, "other 2xx": 1, "registerWorker 2xx": 1} {
		if seen[name] != want || lookups[name] != 1 {
			t.Errorf("%s: seen %d times, looked up %d times, want %d and 1", name, seen[name], lookups[name], want)
		}
	}
	for name := range seen {
		if strings.Contains(name, nobody) || strings.Contains(name, "/") {
			t.Errorf("a path became a name: %s", name)
		}
	}
}

func TestAStoppingServerAnswersWorkersAndAsksForNewConnections(t *testing.T) {
	t.Parallel()
	stopping, stop := context.WithCancel(context.Background())
	defer stop()
	s := setup(t, func(o *sched.Options) { o.RequestHold = time.Hour })
	w := s.register("w")
	inner := s.handler
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(rw, r.WithContext(httpapi.WithStop(r.Context(), stopping)))
	}))
	web.Start()
	t.Cleanup(web.Close)
	s.url = web.URL
	held := make(chan answer, 1)
	go func() { held <- s.do(request{method: "POST", path: "/api/v3/worker/task", as: w}) }()
	awaitSo(t, func() bool { return s.sched.Stats().Held == 1 })
	if a := s.want(200, request{method: "GET", path: "/readyz"}); a.leaves {
		t.Errorf("before the stop: %v", a)
	}
	stop()
	leaves := func(a answer) answer {
		t.Helper()
		if !a.leaves {
			t.Errorf("the connection stays: %v", a.header)
		}
		return a
	}
	if a := leaves(<-held); a.status != 204 {
		t.Errorf("the request that was held got %d %s", a.status, a.body)
	}
	if a := leaves(s.want(503, request{method: "GET", path: "/readyz"})); !strings.Contains(a.body, "stopping: the Manager stops") {
		t.Errorf("while it stops: %s", a.body)
	}
	leaves(s.want(204, request{method: "POST", path: "/api/v3/worker/task", as: w})) // at once
	leaves(s.want(200, request{method: "GET", path: "/api/v3/version"}))
	leaves(s.want(200, request{method: "POST", path: "/api/v3/worker/sign-on", as: w, body: signOnBody("w")}))
}
