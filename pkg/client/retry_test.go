// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/pkg/api"
)

// script is a Manager that gives one prepared answer after the other, and remembers what it was asked.
type script struct {
	t       *testing.T
	answers []func(*http.Request) (*http.Response, error)
	bodies  []string
	times   []time.Time
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		text, err := io.ReadAll(req.Body)
		if err != nil {
			s.t.Errorf("read the request: %v", err)
		}
		body = string(text)
	}
	s.bodies, s.times = append(s.bodies, body), append(s.times, time.Now())
	if len(s.times) > len(s.answers) {
		s.t.Errorf("request %d is one too many: %s %s", len(s.times), req.Method, req.URL)
		return nil, errors.New("one too many")
	}
	resp, err := s.answers[len(s.times)-1](req)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

func says(status int, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func refused(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func broken(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
}

func scripted(t *testing.T, answers ...func(*http.Request) (*http.Response, error)) (*Client, *script) {
	t.Helper()
	s := &script{t: t, answers: answers}
	c, err := New("farm:8080", WithHTTPClient(&http.Client{Transport: s}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if len(s.times) != len(answers) {
			t.Errorf("%d requests, want %d", len(s.times), len(answers))
		}
	})
	return c, s
}

const versionBody = `{"version":"4.0.0","shortversion":"4.0.0","name":"Test","git":""}`

func TestAReadIsRepeatedUntilTheManagerIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, says(200, versionBody), broken, refused, says(503, "{}"), broken, says(200, versionBody))
		for range 2 {
			if v, err := c.Version(t.Context()); err != nil || v.Name != "Test" {
				t.Fatalf("%+v, %v", v, err)
			}
		}
		for i := 2; i < len(s.times); i++ {
			least := firstWait << (i - 2) * 3 / 4
			if wait := s.times[i].Sub(s.times[i-1]); wait < least {
				t.Errorf("waited %v before request %d, want at least %v", wait, i+1, least)
			}
		}
	})
}

func TestAJobIsNotSubmittedTwiceWhenTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, broken)
		_, err := c.SubmitJob(t.Context(), api.SubmittedJob{Name: "once"})
		if _, ok := errors.AsType[*MaybeSubmittedError](err); !ok {
			t.Errorf("got %v, want a MaybeSubmittedError", err)
		}
	})
}

func TestASubmissionIsRepeatedWhileItCertainlyDidNotArrive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, refused, says(503, `{"code":503,"message":"busy"}`, "Retry-After", "7"), refused, says(200, `{"id":"x"}`))
		job, err := c.SubmitJob(t.Context(), api.SubmittedJob{Name: "kept"})
		if err != nil || job.ID != "x" {
			t.Fatalf("%+v, %v", job, err)
		}
		if wait := s.times[2].Sub(s.times[1]); wait < 7*time.Second {
			t.Errorf("waited %v, but the Manager asked for 7 s", wait)
		}
		for i, body := range s.bodies {
			if body != s.bodies[0] || !strings.Contains(body, "kept") {
				t.Errorf("request %d had the body %q", i+1, body)
			}
		}
	})
}

func TestACheckOfAJobIsRepeatedAfterABrokenConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, says(200, versionBody), broken, says(204, ""))
		if _, err := c.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.CheckJob(t.Context(), api.SubmittedJob{Name: "checked"}); err != nil {
			t.Error(err)
		}
	})
}

func TestAnAddressThatNeverAnsweredIsGivenUpSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := New("farm:8080", WithHTTPClient(&http.Client{Transport: transport(refused)}))
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		_, err = c.Version(t.Context())
		if _, ok := errors.AsType[*UnreachableError](err); !ok || !strings.Contains(err.Error(), "http://farm:8080: connection refused") {
			t.Errorf("got %v, want an UnreachableError with address and reason", err)
		}
		if took := time.Since(started); took > strangerPatience {
			t.Errorf("took %v", took)
		}
	})
}

func TestAMaintenanceIsToldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, says(503, `{"code":503,"message":"the farm is in maintenance"}`, "Retry-After", "30", "X-Flamenco-Maintenance", "on"))
		_, err := c.SubmitJob(t.Context(), api.SubmittedJob{Name: "not now"})
		if StatusOf(err) != 503 || err.Error() != "the farm is in maintenance" {
			t.Errorf("got %v", err)
		}
	})
}

func TestABusyManagerIsGivenUpWhenPatienceEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, says(503, "{}", "Retry-After", "50"), says(503, "{}", "Retry-After", "50"),
			says(503, `{"code":503,"message":"the database is busy"}`, "Retry-After", "50"))
		_, err := c.Version(t.Context())
		if StatusOf(err) != 503 || err.Error() != "the database is busy" {
			t.Errorf("got %v", err)
		}
	})
}

func TestCancelingEndsTheWaitAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, says(503, "{}", "Retry-After", "30"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		started := time.Now()
		if _, err := c.Version(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(started); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestErrorsOfEveryShapeKeepTheirStatusAndMessage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, contentType, body, want string
		status                        int
	}{
		{"an Error", "application/json; charset=utf-8", `{"code":404,"message":"no such job"}`, "no such job", 404},
		{"a SecurityError", "application/json", `{"message":"go away"}`, "go away", 403},
		{"plain text", "text/plain", "bad gateway\n", "bad gateway", 502},
		{"a page", "text/html", "<h1>nginx</h1>", "GET /api/v3/version was answered 502 Bad Gateway", 502},
		{"no JSON at all", "application/json", "<html>", "GET /api/v3/version was answered 500 Internal Server Error", 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, _ := scripted(t, says(test.status, test.body, "Content-Type", test.contentType))
			_, err := c.Version(t.Context())
			if StatusOf(err) != test.status || err.Error() != test.want {
				t.Errorf("got %d %q, want %d %q", StatusOf(err), err, test.status, test.want)
			}
		})
	}
}

func TestAddressesAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"farm:8080": "http://farm:8080", "http://farm/": "http://farm", "https://farm/flamenco/": "https://farm/flamenco",
		"farm": "http://farm", "ftp://farm": "", "http://": "", "http://a b": "", "farm,": "",
		"farm:1, http://farm:1/,other": "http://farm:1",
	} {
		c, err := New(address)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q was accepted as %s", address, c.URL())
		case want != "" && (err != nil || c.URL() != want):
			t.Errorf("%q: %v, want %s", address, err, want)
		}
	}
}
