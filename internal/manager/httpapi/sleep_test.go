// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"strings"
	"testing"
)

func TestASleepScheduleIsSetAndShown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	path := "/api/v3/worker-mgt/workers/" + w.id + "/sleep-schedule"
	unknown := "/api/v3/worker-mgt/workers/" + nobody + "/sleep-schedule"
	s.want(204, request{method: "GET", path: path})
	s.want(204, request{method: "GET", path: unknown})
	s.want(400, request{method: "GET", path: "/api/v3/worker-mgt/workers/nope/sleep-schedule"})
	const plain = `{"is_active":true,"days_of_week":"Monday TU","start_time":"18:00","end_time":"8:30"}`
	s.want(404, request{method: "POST", path: unknown, body: plain})
	s.want(400, request{method: "POST", path: "/api/v3/worker-mgt/workers/nope/sleep-schedule", body: plain})
	for name, bad := range map[string]string{
		"a day of one letter":  `{"is_active":true,"days_of_week":"m","start_time":"","end_time":""}`,
		"no day":               `{"is_active":true,"days_of_week":"mo yy","start_time":"","end_time":""}`,
		"no time":              `{"is_active":false,"days_of_week":"","start_time":"25:00","end_time":""}`,
		"a number for a time":  `{"is_active":true,"days_of_week":"","start_time":18,"end_time":""}`,
		"a missing field":      `{"is_active":true,"days_of_week":"","start_time":""}`,
		"a bad window":         `{"is_active":true,"days_of_week":"","start_time":"","end_time":"","windows":[{"days_of_week":"","start_time":"","end_time":"noon"}]}`,
		"more than it can use": `{"is_active":true,"days_of_week":"","start_time":"","end_time":"","windows":[` + strings.Repeat(`{"days_of_week":"","start_time":"","end_time":""},`, 100) + `{"days_of_week":"","start_time":"","end_time":""}]}`,
	} {
		if a := s.do(request{method: "POST", path: path, body: bad}); a.status != 400 || !strings.Contains(a.body, `"code":400`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	s.want(204, request{method: "GET", path: path})

	for sent, want := range map[string]string{
		plain: `{"days_of_week":"mo tu","end_time":"08:30","is_active":true,"start_time":"18:00","windows":[{"days_of_week":"mo tu","end_time":"08:30","start_time":"18:00"}]}`,
		`{"is_active":false,"days_of_week":"","start_time":"","end_time":"","windows":[]}`: `{"days_of_week":"","end_time":"","is_active":false,"start_time":"","windows":[{"days_of_week":"","end_time":"","start_time":""}]}`,
		`{"is_active":true,"days_of_week":"fr","start_time":"1:00","end_time":"2:00","windows":[
			{"days_of_week":"SAT,sun","start_time":"","end_time":""},{"days_of_week":"","start_time":"12:00","end_time":"13:00"}]}`: `{"days_of_week":"sa su","end_time":"","is_active":true,"start_time":"","windows":[` +
			`{"days_of_week":"sa su","end_time":"","start_time":""},{"days_of_week":"","end_time":"13:00","start_time":"12:00"}]}`,
	} {
		s.want(204, request{method: "POST", path: path, body: sent})
		if a := s.want(200, request{method: "GET", path: path}); strings.TrimSpace(a.body) != want {
			t.Errorf("%s\nis shown as %s\nwant        %s", sent, a.body, want)
		}
	}
	s.want(204, request{method: "DELETE", path: "/api/v3/worker-mgt/workers/" + w.id})
	s.want(204, request{method: "GET", path: path})
	s.want(404, request{method: "POST", path: path, body: plain})
}

func TestAScheduleThatIsSavedIsFollowedAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, holding)
	w := s.register("w")
	s.want(204, request{
		method: "POST", path: "/api/v3/worker-mgt/workers/" + w.id + "/sleep-schedule",
		body: `{"is_active":true,"days_of_week":"","start_time":"","end_time":""}`,
	})
	a := s.want(423, request{method: "POST", path: "/api/v3/worker/task", as: w})
	if !strings.Contains(a.body, `"asleep"`) {
		t.Errorf("the worker is told %s", a.body)
	}
	if got := s.want(200, request{method: "GET", path: "/api/v3/worker-mgt/workers/" + w.id}); !strings.Contains(got.body, `"is_lazy":false`) {
		t.Errorf("the request is not immediate: %s", got.body)
	}
}
