// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"fmt"
	"testing"

	"flamenco.farm/pkg/api"
)

// onPlatform makes a Worker of a platform known, and wakes it.
func (s *server) onPlatform(platform string) *worker {
	s.t.Helper()
	w := &worker{secret: "secret"}
	a := s.want(200, request{method: "POST", path: "/api/v3/worker/register-worker", body: fmt.Sprintf(`{"name":%q,"secret":"secret","platform":%q,"supported_task_types":["misc"]}`, platform, platform)})
	w.id = decode[api.RegisteredWorker](s.t, a).UUID
	s.want(200, request{method: "POST", path: "/api/v3/worker/sign-on", as: w, body: signOnBody(platform)})
	s.want(204, request{method: "POST", path: "/api/v3/worker/state-changed", as: w, body: `{"status":"awake"}`})
	return w
}

func TestAPathOfTheSubmitterReachesWorkersOfAnyPlatformAsTheirs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ submitter, given, stored, worker, want string }{
		{"linux", "/farm/shot/a.blend", "{farm}/shot/a.blend", "linux", "/farm/shot/a.blend"},
		{"linux", "/farm/shot/a.blend", "{farm}/shot/a.blend", "windows", `F:\shot\a.blend`},
		{"windows", `f:\shot\a.blend`, `{farm}\shot\a.blend`, "linux", "/farm/shot/a.blend"},
		{"linux", "/farmer/a.blend", "/farmer/a.blend", "windows", "/farmer/a.blend"},
	} {
		s := setup(t)
		body := fmt.Sprintf(`{"name":"x","type":"echo-sleep-test","submitter_platform":%q,"settings":{"message":%q,"sleep_repeats":0},"metadata":{"from":%q}}`, c.submitter, c.given, c.given)
		s.want(204, request{method: "POST", path: "/api/v3/jobs/check", body: body})
		job := decode[api.Job](t, s.want(200, request{method: "POST", path: "/api/v3/jobs", body: body}))
		if job.Settings["message"] != c.stored || job.Metadata["from"] != c.stored {
			t.Errorf("%s from %s was stored as %v and %v, want %s", c.given, c.submitter, job.Settings, job.Metadata, c.stored)
		}
		task, _ := s.claim(s.onPlatform(c.worker))
		if got := task.Commands[0].Parameters["message"]; got != c.want {
			t.Errorf("%s from %s: a Worker on %s gets %v, want %s", c.given, c.submitter, c.worker, got, c.want)
		}
	}
}
