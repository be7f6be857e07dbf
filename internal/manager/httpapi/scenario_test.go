// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"strings"
	"testing"

	"flamenco.farm/pkg/api"
)

const jobStart = `{"name":"x","type":"echo-sleep-test","submitter_platform":"linux"`

func TestRequestsGetTheAnswersOfTheContract(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit("1")
	types := decode[api.AvailableJobTypes](t, s.want(200, request{method: "GET", path: "/api/v3/jobs/types"}))
	if len(types.JobTypes) < 2 || types.JobTypes[0].Name != "echo-sleep-test" {
		t.Errorf("job types: %+v", types)
	}
	for _, c := range []struct {
		name         string
		method, path string
		body         string
		header       map[string]string
		status       int
		contains     []string
		lacks        []string
	}{
		{name: "version", method: "GET", path: "/api/v3/version", status: 200, contains: []string{`"name":"Test Farm"`, `"shortversion":"4.0.0`}},
		{
			name: "version for an add-on", method: "GET", path: "/api/v3/version", header: map[string]string{"User-Agent": "Flamenco/3.9.1 (Blender add-on)"},
			status: 200, contains: []string{`"shortversion":"3.9.1"`, `"version":"4.0.0`},
		},
		{
			name: "version for a worker", method: "GET", path: "/api/v3/version", header: map[string]string{"User-Agent": "Flamenco/3.9.1 (abcdef)"},
			status: 200, contains: []string{`"shortversion":"4.0.0`},
		},
		{name: "configuration", method: "GET", path: "/api/v3/configuration", status: 200, contains: []string{`"shamanEnabled":false`, `"storageLocation":"/farm/shared"`, `"isFirstRun":false`}},
		{name: "variables", method: "GET", path: "/api/v3/configuration/variables/workers/linux", status: 200, contains: []string{`"who":{"is_twoway":false,"value":"penguin"}`, `"jobs"`}},
		{name: "variables elsewhere", method: "GET", path: "/api/v3/configuration/variables/users/beos", status: 200, contains: []string{`"world"`}},
		{name: "shared storage", method: "GET", path: "/api/v3/configuration/shared-storage/users/windows", status: 200, contains: []string{`"audience":"users"`, `"platform":"windows"`, `"location":"F:\\shared"`}},
		{name: "shared storage where no variable covers it", method: "GET", path: "/api/v3/configuration/shared-storage/users/darwin", status: 200, contains: []string{`"location":"/farm/shared"`}},
		{name: "configuration file", method: "GET", path: "/api/v3/configuration/file", status: 200, contains: []string{`"manager_name":"Test Farm"`}},
		{name: "no configuration file to replace", method: "PUT", path: "/api/v3/configuration/file", body: `{}`, status: 409, contains: []string{`"code":409`}},
		{name: "no configuration", method: "PUT", path: "/api/v3/configuration/file", body: `"x"`, status: 400, contains: []string{`"code":400`}},
		{name: "folder that cannot be used", method: "POST", path: "/api/v3/configuration/check/shared-storage", body: `{"path":"/no/such"}`, status: 200, contains: []string{`"is_usable":false`, `"path":"/no/such"`, "no such folder"}},
		{name: "program that may not be tried", method: "POST", path: "/api/v3/configuration/check/blender", body: `{"path":"/bin/sh"}`, status: 403, contains: []string{`"code":403`, "-setup-assistant"}},
		{name: "incomplete setup", method: "POST", path: "/api/v3/configuration/setup-assistant", body: `{"storageLocation":"","blenderExecutable":{"input":"","path":"","source":"default","is_usable":true,"cause":""}}`, status: 400, contains: []string{"storageLocation"}},
		{name: "farm status", method: "GET", path: "/api/v3/status", status: 200, contains: []string{`"inoperative"`}},

		{name: "unknown path", method: "GET", path: "/api/v3/nope", status: 404, contains: []string{`{"message":"Not Found"}`}},
		{name: "unknown path elsewhere", method: "GET", path: "/nope", status: 404, contains: []string{`{"message":"Not Found"}`}},
		{name: "wrong method", method: "DELETE", path: "/api/v3/version", status: 404, contains: []string{`{"message":"method not allowed"}`}},

		{name: "job type", method: "GET", path: "/api/v3/jobs/type/echo-sleep-test", status: 200, contains: []string{`"etag"`, `"key":"message"`}},
		{name: "no such job type", method: "GET", path: "/api/v3/jobs/type/nope", status: 404, contains: []string{`"code":404`}},
		{name: "defaults are filled in", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x"}}`, status: 200, contains: []string{`"priority":50`, `"sleep_repeats":1`, `"submitter_platform":"linux"`}, lacks: []string{"null"}},
		{name: "unknown properties are accepted", method: "POST", path: "/api/v3/jobs/check", body: jobStart + `,"settings":{"message":"x"},"colour":"red"}`, status: 204},
		{name: "paused job", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x"},"initial_status":"paused"}`, status: 200, contains: []string{`"status":"paused"`}},
		{name: "job in an odd initial status", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x"},"initial_status":"failed"}`, status: 400, contains: []string{"initial_status"}},
		{name: "unknown type", method: "POST", path: "/api/v3/jobs", body: `{"name":"x","type":"nope","submitter_platform":"linux"}`, status: 400, contains: []string{"nope", `"code":400`}},
		{name: "stale etag", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x"},"type_etag":"old"}`, status: 412, contains: []string{`"code":412`}},
		{name: "missing setting", method: "POST", path: "/api/v3/jobs", body: jobStart + `}`, status: 400, contains: []string{"message"}},
		{name: "setting of the wrong type", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x","sleep_repeats":"many"}}`, status: 400, contains: []string{"sleep_repeats"}},
		{name: "missing property", method: "POST", path: "/api/v3/jobs", body: `{"name":"x","submitter_platform":"linux"}`, status: 400, contains: []string{"request body has an error", "type", `"code":400`}},
		{name: "property of the wrong type", method: "POST", path: "/api/v3/jobs", body: `{"name":5,"type":"x","submitter_platform":"linux"}`, status: 400, contains: []string{"request body has an error", "name"}},
		{name: "text after the JSON", method: "POST", path: "/api/v3/jobs/" + job.ID + "/setpriority", body: `{"priority":80} trailing{`, status: 400, contains: []string{"text follows"}},
		{name: "no JSON", method: "POST", path: "/api/v3/jobs", body: `{oops`, status: 400, contains: []string{"request body has an error"}},
		{name: "no body", method: "POST", path: "/api/v3/jobs", status: 400, contains: []string{"request body has an error"}},
		{name: "a form", method: "POST", path: "/api/v3/jobs", body: "name=x", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 400, contains: []string{"Content-Type"}},
		{name: "unknown tag at submission", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x"},"worker_tag":"` + nobody + `"}`, status: 400, contains: []string{"worker_tag"}},
		{name: "tag that is no ID", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x"},"worker_tag":"gpu"}`, status: 400, contains: []string{"worker_tag"}},
		{name: "body too large", method: "POST", path: "/api/v3/worker-mgt/tags", body: `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, status: 413, contains: []string{`"code":413`}},

		{name: "no such job", method: "GET", path: "/api/v3/jobs/" + nobody, status: 404, contains: []string{nobody}},
		{name: "job that is no ID", method: "GET", path: "/api/v3/jobs/nope", status: 400, contains: []string{"not a valid ID"}},
		{name: "ID in another spelling", method: "GET", path: "/api/v3/jobs/" + strings.ReplaceAll(nobody, "-", ""), status: 400},
		{name: "tasks of no job", method: "GET", path: "/api/v3/jobs/" + nobody + "/tasks", status: 200, contains: []string{`{"tasks":[]}`}},
		{name: "no such task", method: "GET", path: "/api/v3/tasks/" + nobody, status: 404},
		{name: "log of no task", method: "GET", path: "/api/v3/tasks/" + nobody + "/logtail", status: 404},
		{name: "no such worker", method: "GET", path: "/api/v3/worker-mgt/workers/" + nobody, status: 404},
		{name: "worker that is no ID", method: "DELETE", path: "/api/v3/worker-mgt/workers/nope", status: 400},
		{name: "no worker to delete", method: "DELETE", path: "/api/v3/worker-mgt/workers/" + nobody, status: 404},
		{name: "no workers", method: "GET", path: "/api/v3/worker-mgt/workers", status: 200, contains: []string{`{"workers":[]}`}},
		{name: "no tags", method: "GET", path: "/api/v3/worker-mgt/tags", status: 200, contains: []string{`{"tags":[]}`}},
		{name: "empty blocklist", method: "GET", path: "/api/v3/jobs/" + job.ID + "/blocklist", status: 200, contains: []string{"[]"}},
		{name: "nothing to unblock", method: "DELETE", path: "/api/v3/jobs/" + job.ID + "/blocklist", body: `[]`, status: 400},

		{name: "priority", method: "POST", path: "/api/v3/jobs/" + job.ID + "/setpriority", body: `{"priority":80}`, status: 204},
		{name: "priority out of range", method: "POST", path: "/api/v3/jobs/" + job.ID + "/setpriority", body: `{"priority":101}`, status: 400, contains: []string{"priority"}},
		{name: "tag by unknown name", method: "POST", path: "/api/v3/jobs/" + job.ID + "/settag", body: `{"name":"nope"}`, status: 406, contains: []string{`"code":406`}},
		{name: "tag by unknown id", method: "POST", path: "/api/v3/jobs/" + job.ID + "/settag", body: `{"id":"` + nobody + `"}`, status: 406},
		{name: "no tag", method: "POST", path: "/api/v3/jobs/" + job.ID + "/settag", body: `{}`, status: 204},
		{name: "illegal status", method: "POST", path: "/api/v3/jobs/" + job.ID + "/setstatus", body: `{"status":"completed","reason":"because"}`, status: 422, contains: []string{`"code":422`}},
		{name: "unknown status", method: "POST", path: "/api/v3/jobs/" + job.ID + "/setstatus", body: `{"status":"lost","reason":"because"}`, status: 400, contains: []string{"status"}},
		{name: "status of no job", method: "POST", path: "/api/v3/jobs/" + nobody + "/setstatus", body: `{"status":"cancel-requested","reason":"because"}`, status: 404},

		{name: "page too large", method: "GET", path: "/api/v3/jobs?limit=1001", status: 400, contains: []string{"limit"}},
		{name: "page of no number", method: "GET", path: "/api/v3/jobs?limit=ten", status: 400, contains: []string{"limit"}},
		{name: "semicolon in the query", method: "GET", path: "/api/v3/jobs?order_by=name;limit=1", status: 400, contains: []string{"query", "semicolon"}},
		{name: "unknown order", method: "GET", path: "/api/v3/jobs?order_by=zebra", status: 400, contains: []string{"zebra"}},
		{name: "unknown status to list", method: "GET", path: "/api/v3/jobs?status_in=zebra", status: 400, contains: []string{"status_in"}},
		{name: "cursor of something else", method: "GET", path: "/api/v3/jobs?after=zebra", status: 400, contains: []string{"after"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.t = t
			a := s.do(request{method: c.method, path: c.path, body: c.body, header: c.header})
			if a.status != c.status {
				t.Fatalf("status %d, want %d: %s", a.status, c.status, a.body)
			}
			for _, text := range c.contains {
				if !strings.Contains(a.body, text) {
					t.Errorf("%s does not contain %s", a.body, text)
				}
			}
			for _, text := range c.lacks {
				if strings.Contains(a.body, text) {
					t.Errorf("%s contains %s", a.body, text)
				}
			}
		})
	}
}

func TestTagsAreCreatedChangedAndDeleted(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	job := s.submit("1")
	own := "11111111-2222-4333-8444-555555555555"
	gpu := decode[api.WorkerTag](t, s.want(200, request{method: "POST", path: "/api/v3/worker-mgt/tags", body: `{"name":"gpu","id":"` + own + `"}`}))
	if *gpu.ID != own {
		t.Errorf("id %s", *gpu.ID)
	}
	s.want(409, request{method: "POST", path: "/api/v3/worker-mgt/tags", body: `{"name":"gpu"}`})
	s.want(400, request{method: "POST", path: "/api/v3/worker-mgt/tags", body: `{"name":""}`})
	s.want(204, request{method: "PUT", path: "/api/v3/worker-mgt/tag/" + own, body: `{"name":"fast","description":"with two GPUs"}`})
	s.want(204, request{method: "POST", path: "/api/v3/worker-mgt/workers/" + w.id + "/settags", body: `{"tag_ids":["` + own + `","` + nobody + `"]}`})
	s.want(204, request{method: "POST", path: "/api/v3/jobs/" + job.ID + "/settag", body: `{"name":"fast"}`})
	a := s.want(200, request{method: "GET", path: "/api/v3/worker-mgt/workers/" + w.id})
	if tags := decode[api.Worker](t, a).Tags; len(tags) != 1 || tags[0].Name != "fast" || *tags[0].Description != "with two GPUs" {
		t.Errorf("tags of the worker: %s", a.body)
	}
	if got := decode[api.Job](t, s.want(200, request{method: "GET", path: "/api/v3/jobs/" + job.ID})); got.WorkerTag == nil || *got.WorkerTag != own {
		t.Errorf("tag of the job: %v", got.WorkerTag)
	}
	s.want(204, request{method: "DELETE", path: "/api/v3/worker-mgt/tag/" + own})
	s.want(404, request{method: "GET", path: "/api/v3/worker-mgt/tag/" + own})
	s.want(404, request{method: "DELETE", path: "/api/v3/worker-mgt/tag/" + own})
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit("6")
	var names []string
	path := "/api/v3/jobs/" + job.ID + "/tasks?limit=3&order_by=-index_in_job&search=SLEEP&status_in=queued"
	for range 5 {
		a := s.want(200, request{method: "GET", path: path})
		for _, task := range decode[api.JobTasksSummary](t, a).Tasks {
			names = append(names, task.Name)
		}
		next := a.header.Get("X-Flamenco-Next")
		if next == "" {
			break
		}
		path = "/api/v3/jobs/" + job.ID + "/tasks?limit=3&order_by=-index_in_job&search=SLEEP&status_in=queued&after=" + next
	}
	if len(names) != 6 || names[0] == names[5] {
		t.Errorf("got %v", names)
	}
	a := s.want(200, request{method: "GET", path: "/api/v3/jobs/" + job.ID + "/tasks"})
	if tasks := decode[api.JobTasksSummary](t, a).Tasks; len(tasks) != 7 || a.header.Get("X-Flamenco-Next") != "" {
		t.Errorf("the whole list has %d tasks and next page %q", len(tasks), a.header.Get("X-Flamenco-Next"))
	}
}

func TestAnEntityTagSaysWhetherSomethingChanged(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	job := s.submit("1")
	task := decode[api.JobTasksSummary](t, s.want(200, request{method: "GET", path: "/api/v3/jobs/" + job.ID + "/tasks"})).Tasks[0]
	for _, path := range []string{"/api/v3/jobs/" + job.ID, "/api/v3/tasks/" + task.ID, "/api/v3/worker-mgt/workers/" + w.id} {
		tag := s.want(200, request{method: "GET", path: path}).header.Get("ETag")
		a := s.want(304, request{method: "GET", path: path, header: map[string]string{"If-None-Match": `"other", W/` + tag}})
		if a.header.Get("ETag") != tag {
			t.Errorf("%s: tag %s, then %s", path, tag, a.header.Get("ETag"))
		}
	}
	path := "/api/v3/jobs/" + job.ID
	old := map[string]string{"If-Match": s.want(200, request{method: "GET", path: path}).header.Get("ETag")}
	s.want(204, request{method: "POST", path: path + "/setpriority", body: `{"priority":1}`, header: old})
	s.want(412, request{method: "POST", path: path + "/setpriority", body: `{"priority":2}`, header: old})
	s.want(412, request{method: "POST", path: path + "/setstatus", body: `{"status":"cancel-requested","reason":"x"}`, header: old})
	s.want(412, request{method: "POST", path: path + "/settag", body: `{}`, header: old})
	s.want(412, request{method: "POST", path: "/api/v3/tasks/" + task.ID + "/setstatus", body: `{"status":"canceled","reason":"x"}`, header: map[string]string{"If-Match": `"0"`}})
	if got := decode[api.Job](t, s.want(200, request{method: "GET", path: path, header: map[string]string{"If-None-Match": old["If-Match"]}})); got.Priority != 1 {
		t.Errorf("priority %d", got.Priority)
	}
}
