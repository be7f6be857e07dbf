// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/go-cmp/cmp"

	"flamenco.farm/pkg/api"
)

func TestAWorkerRunsAJobToItsEnd(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	job := s.submit("1")

	a := s.want(200, request{method: "POST", path: "/api/v3/worker/task", as: w, header: map[string]string{"X-Flamenco-Slot": "0", "X-Flamenco-Running": ""}})
	task := decode[api.AssignedTask](t, a)
	assignment := map[string]string{"X-Flamenco-Assignment": a.header.Get("X-Flamenco-Assignment")}
	if a.header.Get("X-Flamenco-Generation") != "1" || a.header.Get("X-Flamenco-On-Disconnect") != "stop" || assignment["X-Flamenco-Assignment"] == "" {
		t.Errorf("headers: %v", a.header)
	}
	if task.Job != job.ID || task.JobType != "echo-sleep-test" || task.TaskType != "misc" || task.Commands[0].Parameters["message"] != "hello penguin" {
		t.Errorf("task: %s", a.body)
	}

	path := "/api/v3/worker/task/" + task.UUID
	started := request{method: "POST", path: path, as: w, body: `{"taskStatus":"active","activity":"Started","log":"line one\n","command":{"index":0,"name":"echo","ended":false}}`, header: with(assignment, "X-Flamenco-Sequence", "1")}
	s.want(204, started)
	s.want(204, started) // the answer was lost: nothing is doubled
	may := decode[api.MayKeepRunning](t, s.want(200, request{method: "GET", path: path + "/may-i-run", as: w, header: assignment}))
	if !may.MayKeepRunning {
		t.Errorf("may-i-run: %+v", may)
	}
	ended := request{method: "POST", path: path, as: w, body: `{"taskStatus":"completed","activity":"Completed","log":"line two\n","command":{"index":0,"name":"echo","ended":true,"exit_code":0}}`, header: with(assignment, "X-Flamenco-Sequence", "2")}
	s.want(204, ended)
	s.want(204, ended)

	tail := s.want(200, request{method: "GET", path: "/api/v3/tasks/" + task.UUID + "/logtail"})
	if strings.Count(tail.body, "line one\n") != 1 || strings.Count(tail.body, "line two\n") != 1 {
		t.Errorf("log: %q", tail.body)
	}
	info := decode[api.TaskLogInfo](t, s.want(200, request{method: "GET", path: "/api/v3/tasks/" + task.UUID + "/log"}))
	whole := s.want(200, request{method: "GET", path: info.URL})
	if len(whole.body) != info.Size || whole.body != tail.body || whole.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("whole log %q of %+v", whole.body, info)
	}
	got := decode[api.Task](t, s.want(200, request{method: "GET", path: "/api/v3/tasks/" + task.UUID}))
	if got.Status != "completed" || got.Worker.ID != w.id || len(got.Attempts) != 1 || *got.Attempts[0].Outcome != "completed" || len(got.Attempts[0].Steps) != 1 {
		t.Errorf("task: %+v", got)
	}

	second, assignment2 := s.claim(w)
	s.want(204, request{method: "POST", path: "/api/v3/worker/task/" + second.UUID, as: w, body: `{"taskStatus":"completed"}`, header: with(assignment2, "X-Flamenco-Sequence", "1")})
	done := decode[api.Job](t, s.want(200, request{method: "GET", path: "/api/v3/jobs/" + job.ID}))
	if done.Status != "completed" || done.StepsCompleted != done.StepsTotal || done.TaskCounts.Completed != 2 {
		t.Errorf("job: %+v", done)
	}
	s.want(204, request{method: "POST", path: "/api/v3/worker/task", as: w})
	s.want(204, request{method: "POST", path: "/api/v3/worker/sign-off", as: w})
}

func TestARequestForATaskThatArrivesLateDoublesNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	s.submit("1")
	task, assignment := s.claim(w)
	update := request{method: "POST", path: "/api/v3/worker/task/" + task.UUID, as: w, body: `{"log":"line one\n"}`, header: with(assignment, "X-Flamenco-Sequence", "1")}
	s.want(204, update)
	if again, _ := s.claim(w); again.UUID != task.UUID { // the Worker gave it up long ago, for one at another Manager
		t.Errorf("got %s, want %s again", again.UUID, task.UUID)
	}
	s.want(204, update)
	if tail := s.want(200, request{method: "GET", path: "/api/v3/tasks/" + task.UUID + "/logtail"}); strings.Count(tail.body, "line one\n") != 1 {
		t.Errorf("log: %q", tail.body)
	}
}

func TestAnUpdateThatComesTooLateIsRefusedOnlyToThoseWhoUnderstand(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ours, upstream := s.register("ours"), s.register("upstream")
	upstream.session = ""
	s.submit("1")
	s.submit("1")
	task1, assignment := s.claim(ours)
	task2, _ := s.claim(upstream)
	for _, id := range []string{task1.UUID, task2.UUID} {
		s.want(204, request{method: "POST", path: "/api/v3/tasks/" + id + "/setstatus", body: `{"status":"canceled","reason":"no longer needed"}`})
	}
	late := `{"taskStatus":"completed","log":"finished anyway\n"}`
	refused := s.want(409, request{method: "POST", path: "/api/v3/worker/task/" + task1.UUID, as: ours, body: late, header: with(assignment, "X-Flamenco-Sequence", "1")})
	if !strings.Contains(refused.body, `"reason"`) || !strings.Contains(refused.body, "canceled") {
		t.Errorf("answer: %s", refused.body)
	}
	s.want(204, request{method: "POST", path: "/api/v3/worker/task/" + task2.UUID, as: upstream, body: late})
	for _, id := range []string{task1.UUID, task2.UUID} {
		if got := decode[api.Task](t, s.want(200, request{method: "GET", path: "/api/v3/tasks/" + id})); got.Status != "canceled" {
			t.Errorf("status %s", got.Status)
		}
		if tail := s.want(200, request{method: "GET", path: "/api/v3/tasks/" + id + "/logtail"}); !strings.Contains(tail.body, "finished anyway") {
			t.Errorf("log: %q", tail.body)
		}
	}
}

func TestAnUpdateForSomeoneElsesTaskIsRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	one, other := s.register("one"), s.register("other")
	s.submit("1")
	task, assignment := s.claim(one)
	path := "/api/v3/worker/task/" + task.UUID
	s.want(409, request{method: "POST", path: path, as: other, body: `{"taskStatus":"completed"}`})
	s.want(409, request{method: "POST", path: path, as: other, body: `{"taskStatus":"completed"}`, header: assignment})
	s.want(409, request{method: "POST", path: path, as: one, body: `{"taskStatus":"completed"}`, header: map[string]string{"X-Flamenco-Assignment": nobody}})
	s.want(404, request{method: "POST", path: "/api/v3/worker/task/" + nobody, as: one, body: `{"taskStatus":"completed"}`})
	s.want(400, request{method: "POST", path: "/api/v3/worker/task/nope", as: one, body: `{"taskStatus":"completed"}`})
	s.want(400, request{method: "POST", path: path, as: one, body: `{"taskStatus":"soft-failed"}`})
	if may := decode[api.MayKeepRunning](t, s.want(200, request{method: "GET", path: path + "/may-i-run", as: other})); may.MayKeepRunning || may.Reason == "" {
		t.Errorf("may-i-run: %+v", may)
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	for _, c := range []*worker{nil, {id: w.id, secret: "wrong"}, {id: nobody, secret: w.secret}, {}} {
		a := s.want(403, request{method: "POST", path: "/api/v3/worker/sign-on", as: c, body: signOnBody("w")})
		if !strings.Contains(a.body, "security requirements failed: authorization failed: ") {
			t.Errorf("%+v: %s", c, a.body)
		}
	}
	s.want(204, request{method: "DELETE", path: "/api/v3/worker-mgt/workers/" + w.id})
	s.want(403, request{method: "GET", path: "/api/v3/worker/state", as: w})
}

func TestAWorkerLearnsThatItShouldChange(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	status := "/api/v3/worker-mgt/workers/" + w.id + "/setstatus"
	s.want(204, request{method: "GET", path: "/api/v3/worker/state", as: w})
	s.want(412, request{method: "POST", path: status, body: `{"status":"restart","is_lazy":false}`})
	s.want(204, request{method: "POST", path: status, body: `{"status":"asleep","is_lazy":false}`})
	if a := s.want(200, request{method: "GET", path: "/api/v3/worker/state", as: w}); !strings.Contains(a.body, `"asleep"`) {
		t.Errorf("state: %s", a.body)
	}
	if a := s.want(423, request{method: "POST", path: "/api/v3/worker/task", as: w}); !strings.Contains(a.body, `"status_requested":"asleep"`) {
		t.Errorf("task: %s", a.body)
	}
	s.want(204, request{method: "POST", path: "/api/v3/worker/state-changed", as: w, body: `{"status":"asleep"}`})
	if a := s.want(409, request{method: "POST", path: "/api/v3/worker/task", as: w}); !strings.Contains(a.body, `"code":409`) {
		t.Errorf("task: %s", a.body)
	}
	a := s.want(200, request{method: "GET", path: "/api/v3/worker-mgt/workers/" + w.id})
	got := decode[api.Worker](t, a)
	if got.Status != "asleep" || got.StatusChange != nil || got.IPAddress != "127.0.0.1" || got.Version != "1.2.3" || got.LastSeen == nil {
		t.Errorf("worker: %s", a.body)
	}
	if diff := cmp.Diff([]string{"misc"}, []string(got.SupportedTaskTypes)); diff != "" {
		t.Errorf("task types: %s", diff)
	}
}

// await waits until a request for path was noted.
func await(t *testing.T, noted chan string, path string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case got := <-noted:
			if got == path {
				return
			}
		case <-timeout:
			t.Fatalf("nothing happened to %s", path)
		}
	}
}

func TestAHeldRequestGetsWorkTheMomentItAppears(t *testing.T) {
	t.Parallel()
	s := setup(t, holding)
	w := s.register("w")
	got := make(chan answer, 1)
	go func() { got <- s.do(request{method: "POST", path: "/api/v3/worker/task", as: w}) }()
	await(t, s.began, "/api/v3/worker/task")
	s.submit("1")
	select {
	case a := <-got:
		if a.status != 200 {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no task")
	}
}

func TestNothingIsClaimedForAClientThatWentAway(t *testing.T) {
	t.Parallel()
	s := setup(t, holding)
	w := s.register("w")
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := s.try(ctx, request{method: "POST", path: "/api/v3/worker/task", as: w, body: "a body that nobody reads"})
		gone <- err
	}()
	await(t, s.began, "/api/v3/worker/task")
	cancel()
	<-gone
	await(t, s.ended, "/api/v3/worker/task")
	job := s.submit("1")
	if counts := decode[api.Job](t, s.want(200, request{method: "GET", path: "/api/v3/jobs/" + job.ID})).TaskCounts; counts.Active != 0 || counts.Queued != 2 {
		t.Errorf("counts: %+v", counts)
	}
}

func TestAClientWaitsForAJobToChange(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit("1")
	path := "/api/v3/jobs/" + job.ID
	tag := s.want(200, request{method: "GET", path: path}).header.Get("ETag")
	s.want(304, request{method: "GET", path: path, header: map[string]string{"If-None-Match": tag, "Prefer": "wait=1"}})
	got := make(chan answer)
	go func() {
		got <- s.do(request{method: "GET", path: path, header: map[string]string{"If-None-Match": tag, "Prefer": "respond-async, wait=60"}})
	}()
	s.want(204, request{method: "POST", path: path + "/setpriority", body: `{"priority":99}`})
	if a := <-got; a.status != 200 || decode[api.Job](t, a).Priority != 99 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

func TestAnUpdateThatCannotBeStoredCutsTheConnection(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	s.submit("1")
	task, assignment := s.claim(w)
	path := "/api/v3/worker/task/" + task.UUID
	folder := filepath.Join(s.storage, "job-"+task.Job[:4], task.Job)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	update := request{method: "POST", path: path, as: w, body: `{"log":"x\n","taskStatus":"completed"}`, header: with(assignment, "X-Flamenco-Sequence", "1")}
	if a, err := s.try(t.Context(), update); err == nil {
		t.Errorf("answered %d: %s", a.status, a.body)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	s.want(204, update)
}

func TestASignOnIsNeverAnsweredWithAFaultOfTheManager(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if a, err := s.try(t.Context(), request{method: "POST", path: "/api/v3/worker/sign-on", as: w, body: signOnBody("w")}); err == nil {
		t.Errorf("answered %d: %s", a.status, a.body)
	}
	stranger := &worker{id: nobody, secret: "x"} // nobody can tell without the database
	if a, err := s.try(t.Context(), request{method: "POST", path: "/api/v3/worker/sign-on", as: stranger, body: signOnBody("w")}); err == nil {
		t.Errorf("a stranger got %d: %s", a.status, a.body)
	}
	if a := s.do(request{method: "GET", path: "/api/v3/jobs"}); a.status < 500 || !strings.Contains(a.body, `"code":`) {
		t.Errorf("jobs: %d %s", a.status, a.body)
	}
}

// TestWorkersCallsAreCheckedAsTheDocumentSays compares the checks written by hand with the general validation.
func TestWorkersCallsAreCheckedAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	s.submit("1")
	task, assignment := s.claim(w)
	for _, c := range []struct{ path, body string }{
		{"/api/v3/worker/sign-on", signOnBody("w")},
		{"/api/v3/worker/sign-on", `{"supported_task_types":["misc"],"software_version":"1"}`},
		{"/api/v3/worker/sign-on", `{"name":"w","software_version":"1"}`},
		{"/api/v3/worker/sign-on", `{"name":"w","supported_task_types":["misc"]}`},
		{"/api/v3/worker/sign-on", `{"name":"w","supported_task_types":"misc","software_version":"1"}`},
		{"/api/v3/worker/sign-on", `{"name":"w","supported_task_types":[1],"software_version":"1"}`},
		{"/api/v3/worker/sign-on", `{"name":"w","supported_task_types":[],"software_version":"1","can_restart":"yes"}`},
		{"/api/v3/worker/sign-on", `nonsense`},
		{"/api/v3/worker/sign-on", `[]`},
		{"/api/v3/worker/state-changed", `{"status":"awake"}`},
		{"/api/v3/worker/state-changed", `{}`},
		{"/api/v3/worker/state-changed", `{"status":"dancing"}`},
		{"/api/v3/worker/state-changed", `{"status":7}`},
		{"/api/v3/worker/task/" + task.UUID, `{"activity":"fine","colour":"red"}`},
		{"/api/v3/worker/task/" + task.UUID, `{"taskStatus":"dancing"}`},
		{"/api/v3/worker/task/" + task.UUID, `{"steps_completed":"many"}`},
		{"/api/v3/worker/task/" + task.UUID, `{"steps_completed":1.5}`},
		{"/api/v3/worker/task/" + task.UUID, `{"log":["a"]}`},
		{"/api/v3/worker/task/" + task.UUID, `{"command":{"index":0,"ended":false}}`},
		{"/api/v3/worker/task/" + task.UUID, `{"command":{"index":-1,"name":"x","ended":false}}`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		route, params, err := s.routes.FindRoute(req)
		if err != nil {
			t.Fatal(err)
		}
		invalid := openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{
			Request: req, Route: route, PathParams: params, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		})
		caller := *w
		caller.session = "" // sign-on ends the session of the others
		a := s.do(request{method: "POST", path: c.path, as: &caller, body: c.body, header: assignment})
		if refused := a.status == 400; refused != (invalid != nil) {
			t.Errorf("%s %s: answered %d %s, the document says %v", c.path, c.body, a.status, a.body, invalid)
		}
	}
	a := s.do(request{method: "POST", path: "/api/v3/worker/sign-on", as: w, body: signOnBody("w"), header: map[string]string{"Content-Type": "text/plain"}})
	if a.status != 400 {
		t.Errorf("text instead of JSON: %d", a.status)
	}
}

func TestAWorkerSaysWhyItCannotWork(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	s.want(204, request{method: "POST", path: "/api/v3/worker/state-changed", as: w, body: `{"status":"error","reason":"cannot read /mnt/farm"}`})
	got := decode[api.Worker](t, s.want(200, request{method: "GET", path: "/api/v3/worker-mgt/workers/" + w.id}))
	if got.Status != "error" || got.StatusReason == nil || *got.StatusReason != "worker went to status error: cannot read /mnt/farm" {
		t.Errorf("worker: %+v", got)
	}
	long := strings.Repeat("ä", 5000)
	s.want(204, request{method: "POST", path: "/api/v3/worker/state-changed", as: w, body: `{"status":"asleep","reason":"` + long + `"}`})
	got = decode[api.Worker](t, s.want(200, request{method: "GET", path: "/api/v3/worker-mgt/workers/" + w.id}))
	if got.StatusReason == nil || len(*got.StatusReason) > 1100 {
		t.Errorf("kept %d bytes", len(*got.StatusReason))
	}
}

func TestTextBehindTheJSONOfAWorkersCallIsRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	s.submit("1")
	task, assignment := s.claim(w)
	for _, c := range []struct{ path, body string }{
		{"/api/v3/worker/task/" + task.UUID, `{"taskStatus":"completed"}`},
		{"/api/v3/worker/state-changed", `{"status":"asleep"}`},
		{"/api/v3/worker/sign-on", `{"name":"w","supported_task_types":["misc"],"software_version":"1"}`},
	} {
		for _, behind := range []string{" x", "{}", "\n" + c.body, "]", "\x00"} {
			a := s.do(request{method: "POST", path: c.path, as: w, header: assignment, body: c.body + behind})
			if a.status != 400 || !strings.Contains(a.body, "request body has an error") {
				t.Errorf("%s with %q: %d %s", c.path, behind, a.status, a.body)
			}
		}
	}
	got := decode[api.Task](t, s.want(200, request{method: "GET", path: "/api/v3/tasks/" + task.UUID}))
	if got.Status != "active" {
		t.Errorf("the task is %s", got.Status)
	}
	s.want(204, request{method: "POST", path: "/api/v3/worker/task/" + task.UUID, as: w, header: assignment, body: "{\"taskStatus\":\"completed\"}\r\n \t"})
}
