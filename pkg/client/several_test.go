// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/pkg/api"
)

// several is a client of two Managers that answer as scripted, a request after the other, and whom they were for.
func several(t *testing.T, answers ...func(*http.Request) (*http.Response, error)) (c *Client, s *script, asked *[]string, switches *[]string) {
	t.Helper()
	s, asked, switches = &script{t: t}, &[]string{}, &[]string{}
	for _, answer := range answers {
		s.answers = append(s.answers, func(req *http.Request) (*http.Response, error) {
			*asked = append(*asked, req.Host+req.URL.Path)
			return answer(req)
		})
	}
	c, err := New("a:1, http://b:2/farm", WithHTTPClient(&http.Client{Transport: s}), WithSwitchNotice(func(from, to string, _ error) {
		*switches = append(*switches, from+" "+to)
	}))
	if err != nil {
		t.Fatal(err)
	}
	return c, s, asked, switches
}

func TestAReadGoesToTheNextManagerAtOnceAndStaysThere(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]func(*http.Request) (*http.Response, error){
		"refused": refused, "broken": broken, "draining": says(503, "{}", "Retry-After", "5"), "bad gateway": says(502, ""), "late": says(504, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s, asked, switches := several(t, failing, says(200, versionBody), says(200, versionBody))
				for range 2 {
					if v, err := c.Version(t.Context()); err != nil || v.Name != "Test" {
						t.Fatalf("%+v, %v", v, err)
					}
				}
				if want := []string{"a:1/api/v3/version", "b:2/farm/api/v3/version", "b:2/farm/api/v3/version"}; !slices.Equal(*asked, want) {
					t.Errorf("asked %v", *asked)
				}
				if len(*switches) != 1 || (*switches)[0] != "http://a:1 http://b:2/farm" || c.URL() != "http://b:2/farm" {
					t.Errorf("told %v, and it is %s", *switches, c.URL())
				}
				if wait := s.times[2].Sub(s.times[0]); wait != 0 {
					t.Errorf("waited %v", wait)
				}
			})
		})
	}
}

func TestASubmissionGoesToTheNextManagerOnlyWhenItCertainlyDidNotArrive(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]func(*http.Request) (*http.Response, error){"refused": refused, "draining": says(503, "{}")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _, _ := several(t, failing, says(200, `{"id":"x"}`))
			job, err := c.SubmitJob(t.Context(), api.SubmittedJob{Name: "kept"})
			if err != nil || job.ID != "x" || len(s.bodies) != 2 || s.bodies[0] != s.bodies[1] {
				t.Errorf("%+v, %v, sent %v", job, err, s.bodies)
			}
		})
	}
	for name, failing := range map[string]func(*http.Request) (*http.Response, error){"broken": broken, "bad gateway": says(502, "")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _, _ := several(t, failing)
			_, err := c.SubmitJob(t.Context(), api.SubmittedJob{Name: "once"})
			if err == nil || len(s.bodies) != 1 {
				t.Errorf("%v, sent %v", err, s.bodies)
			}
		})
	}
}

func TestOnlyWhenEveryManagerHasFailedIsThereAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, asked, _ := several(t, says(200, versionBody), broken, refused, refused, says(200, versionBody))
		for range 2 {
			if _, err := c.Version(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var hosts []string
		for _, a := range *asked {
			hosts = append(hosts, a[:1])
		}
		if got := strings.Join(hosts, ""); got != "aabab" {
			t.Errorf("asked %s", got)
		}
		if first, second := s.times[2].Sub(s.times[1]), s.times[3].Sub(s.times[2]); first != 0 || second < firstWait*3/4 {
			t.Errorf("waited %v and %v", first, second)
		}
	})
}

func TestWhenNoManagerIsReachedAllAreNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := New("a:1,b:2", WithHTTPClient(&http.Client{Transport: transport(refused)}))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = c.Version(t.Context())
		if _, ok := errors.AsType[*UnreachableError](err); !ok || !strings.Contains(err.Error(), "http://a:1, http://b:2: connection refused") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > strangerPatience {
			t.Errorf("took %v", took)
		}
	})
}
