// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/pkg/api"
)

// watchUntilCompleted collects the statuses that a watch shows.
func watchUntilCompleted(t *testing.T, c *Client) []api.JobStatus {
	t.Helper()
	var seen []api.JobStatus
	for job, err := range c.WatchJob(t.Context(), "x") {
		if err != nil {
			t.Fatalf("after %v: %v", seen, err)
		}
		seen = append(seen, job.Status)
		if job.Status == api.JobStatusCompleted {
			break
		}
	}
	return seen
}

func TestAWatchIsHeldByAManagerWithEntityTags(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		after := func(tag string, wait time.Duration, answer func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
			return func(req *http.Request) (*http.Response, error) {
				if req.Header.Get("If-None-Match") != tag || req.Header.Get("Prefer") != "wait=30" {
					t.Errorf("headers %v, want the entity tag %s", req.Header, tag)
				}
				if err := sleep(req.Context(), wait); err != nil {
					return nil, err
				}
				return answer(req)
			}
		}
		c, s := scripted(t,
			says(200, `{"id":"x","status":"queued"}`, "ETag", `"1"`),
			after(`"1"`, 30*time.Second, says(304, "")),
			after(`"1"`, 5*time.Second, says(200, `{"id":"x","status":"active"}`, "ETag", `"2"`)),
			after(`"2"`, time.Second, says(200, `{"id":"x","status":"completed"}`, "ETag", `"3"`)),
		)
		got := watchUntilCompleted(t, c)
		if want := []api.JobStatus{"queued", "active", "completed"}; !slices.Equal(got, want) {
			t.Errorf("saw %v, want %v", got, want)
		}
		if took := time.Since(s.times[0]); took > 37*time.Second {
			t.Errorf("took %v, of which the Manager held 36 s", took)
		}
	})
}

func TestAManagerWithoutEntityTagsIsAskedEveryTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		active := says(200, `{"id":"x","status":"active"}`)
		c, s := scripted(t, active, active, active, says(200, `{"id":"x","status":"completed"}`))
		got := watchUntilCompleted(t, c)
		if want := []api.JobStatus{"active", "completed"}; !slices.Equal(got, want) {
			t.Errorf("saw %v, want %v: what stays the same is no news", got, want)
		}
		if took := time.Since(s.times[0]); took != 6*time.Second {
			t.Errorf("took %v, want three times 2 s", took)
		}
	})
}

func TestAManagerThatDoesNotHoldIsNotAskedWithoutPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		same := says(304, "")
		c, s := scripted(t, says(200, `{"id":"x","status":"active"}`, "ETag", `"1"`), same, same,
			says(200, `{"id":"x","status":"completed"}`, "ETag", `"2"`))
		watchUntilCompleted(t, c)
		if took := time.Since(s.times[0]); took < 4*time.Second {
			t.Errorf("four requests in %v", took)
		}
	})
}

func TestAWatchOutlastsAnyAbsenceOfTheManager(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(time.Hour)
		s := transport(func(*http.Request) (*http.Response, error) {
			switch {
			case time.Now().After(back):
				return says(200, `{"id":"x","status":"completed"}`)(nil)
			case time.Until(back) < time.Hour:
				return refused(nil)
			}
			return says(200, `{"id":"x","status":"active"}`)(nil)
		})
		c, err := New("farm", WithHTTPClient(&http.Client{Transport: s}))
		if err != nil {
			t.Fatal(err)
		}
		watchUntilCompleted(t, c)
	})
}

func TestAWatchOfAJobThatIsNotThereEndsWithTheError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, says(200, `{"id":"x","status":"active"}`), says(404, `{"code":404,"message":"gone"}`))
		var last error
		for _, err := range c.WatchJob(t.Context(), "x") {
			last = err
		}
		if StatusOf(last) != 404 {
			t.Errorf("got %v", last)
		}
	})
}

func TestAWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, says(200, `{"id":"x","status":"active"}`))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var last error
		for _, err := range c.WatchJob(ctx, "x") {
			last = err
		}
		if !errors.Is(last, context.DeadlineExceeded) {
			t.Errorf("got %v", last)
		}
	})
}

// transport is an http.RoundTripper of one function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := f(req)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}
