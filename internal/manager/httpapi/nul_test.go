// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/pkg/api"
)

func TestNULInTextsOfPeopleIsRefusedAndItsPlaceNamed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit("1")
	for _, c := range []struct{ method, path, body, where string }{
		{"POST", "/jobs", strings.Replace(jobStart, `"x"`, `"a\u0000b"`, 1) + `,"settings":{"message":"x"}}`, "name"},
		{"POST", "/jobs", jobStart + `,"settings":{"message":"\\\u0000"}}`, "settings.message"},
		{"POST", "/jobs", jobStart + `,"settings":{"message":"x"},"metadata":{"a":"b","user\u0000":"c"}}`, "metadata.user\uFFFD"},
		{"POST", "/worker-mgt/tags", `{"name":"gpu\u0000"}`, "name"},
		{"POST", "/jobs/" + job.ID + "/setstatus", `{"status":"canceled","reason":"\u0000"}`, "reason"},
	} {
		a := s.want(400, request{method: c.method, path: "/api/v3" + c.path, body: c.body})
		if !strings.Contains(a.body, "request body has an error: "+c.where+": there is a NUL") {
			t.Errorf("%s: %s", c.body, a.body)
		}
	}
	s.want(400, request{method: "GET", path: "/api/v3/jobs?search=a%00b"})
	s.want(400, request{method: "GET", path: "/api/v3/jobs?search=a%ffb"})
	s.want(400, request{method: "GET", path: "/api/v3/jobs/type/a%00b"})
	s.want(200, request{method: "POST", path: "/api/v3/worker-mgt/tags", body: `{"name":"C:\\u0000"}`}) // a backslash
}

func TestNULInTextsOfWorkersIsReplaced(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := s.want(200, request{method: "POST", path: "/api/v3/worker/register-worker", body: `{"name":"a\u0000b","secret":"s\u0000","platform":"linux","supported_task_types":["misc"]}`})
	w := &worker{id: decode[api.RegisteredWorker](t, a).UUID, secret: "s\x00"}
	s.want(200, request{method: "POST", path: "/api/v3/worker/sign-on", as: w, body: signOnBody(`a\u0000b`)})
	s.want(204, request{method: "POST", path: "/api/v3/worker/state-changed", as: w, body: `{"status":"awake"}`})
	if known := decode[api.Worker](t, s.want(200, request{method: "GET", path: "/api/v3/worker-mgt/workers/" + w.id})); known.Name != "a\uFFFDb" {
		t.Errorf("it is called %q", known.Name)
	}
	s.submit("1")
	task, assignment := s.claim(w)
	s.want(204, request{
		method: "POST", path: "/api/v3/worker/task/" + task.UUID, as: w, header: assignment,
		body: `{"activity":"\u0000 C:\\u0000","log":"raw \u0000\n"}`,
	})
	if now := decode[api.Task](t, s.want(200, request{method: "GET", path: "/api/v3/tasks/" + task.UUID})); now.Activity != "\uFFFD C:\\u0000" {
		t.Errorf("it does %q", now.Activity)
	}
	log, _, _, err := s.logs.Part(farm.LogID{JobID: task.Job, TaskID: task.UUID, Generation: 1}, 0, 1<<16)
	if err != nil || !strings.Contains(string(log), "raw \x00\n") {
		t.Errorf("the log is %q, %v", log, err)
	}
	s.want(403, request{method: "GET", path: "/api/v3/worker/state", as: &worker{id: "a\x00", secret: "s"}})
}
