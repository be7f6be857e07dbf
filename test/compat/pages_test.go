// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"net/http"
	"testing"
)

// at makes a request outside of the API, follows nothing and reads no body.
func (w *wire) at(method, path string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

// What a web page, an add-on and those who watch over a farm ask for beside the API.
func TestTheWebAppTheAddOnAndWatchersFindTheirPages(t *testing.T) {
	t.Parallel()
	w := connect(t, settings(t), &book{})
	for _, c := range []struct {
		method, path string
		status       int
		location     string
	}{
		{"GET", "/", 307, "/app/"},
		{"GET", "/app", 307, "/app/"},
		{"GET", "/app/jobs/" + nobody + "/" + nobody, 200, ""},
		{"GET", "/api/v3/openapi3.json", 200, ""},
		{"GET", "/api/v3/swagger-ui/", 200, ""},
		{"GET", "/flamenco-addon.zip", 404, ""},
		{"GET", "/flamenco3-addon.zip", 308, "/flamenco-addon.zip"},
		{"GET", "/job-files/", 404, ""},
		{"GET", "/debug/pprof/heap", 404, ""},
		{"GET", "/livez", 200, ""},
		{"GET", "/readyz", 200, ""},
		{"GET", "/metrics", 200, ""},
		{"POST", "/metrics", 404, ""},
		{"HEAD", "/readyz", 200, ""},
		{"HEAD", "/", 307, "/app/"},
		{"HEAD", "/app/", 200, ""},
		{"HEAD", "/api/v3/version", 200, ""},
		{"HEAD", "/api/v3/jobs/" + nobody, 404, ""},
		{"HEAD", "/api/v3/worker/state", 403, ""},
		{"HEAD", "/api/v3/worker/task", 404, ""},
	} {
		resp := w.at(c.method, c.path)
		if resp.StatusCode != c.status || resp.Header.Get("Location") != c.location {
			t.Errorf("%s %s: %d, to %q", c.method, c.path, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

// The web app of Flamenco 3 offers these actions for these statuses.
func TestTheWebAppMayDoWhatItOffers(t *testing.T) {
	t.Parallel()
	w := connect(t, settings(t), &book{})
	for action, statuses := range map[string][]string{
		"cancel-requested": {"failed", "paused", "queued"},
		"pause-requested":  {"canceled", "queued"},
		"requeueing":       {"canceled", "failed", "paused"},
	} {
		for _, status := range statuses {
			path := "/jobs/" + w.echoJob(action+" of "+status, 1)
			w.become(path, status)
			w.send("POST", path+"/setstatus", object{"status": action, "reason": "asked by the web app"}).is(204)
		}
	}
	for action, statuses := range map[string][]string{"canceled": {"queued"}, "queued": {"canceled", "failed"}} {
		for _, status := range statuses {
			job := w.echoJob(action+" of a task that is "+status, 1)
			path := "/tasks/" + w.send("GET", "/jobs/"+job+"/tasks", nil).is(200).string("tasks.0.id") // it waits for no other one
			w.become(path, status)
			w.send("POST", path+"/setstatus", object{"status": action, "reason": "asked by the web app"}).is(204)
			w.send("GET", path, nil).is(200).has("status", action)
		}
	}
}

// become brings a job or a task into a status that somebody may ask for.
func (w *wire) become(path, status string) {
	w.t.Helper()
	w.send("POST", path+"/setstatus", object{"status": status, "reason": "for the test"}).is(204)
	w.eventually("it is "+status, func() bool { return w.send("GET", path, nil).is(200).string("status") == status })
}

// A proxy in front of the Manager says who called; nobody else is believed.
func TestAnotherWorkerBehindAProxyHasItsOwnAddress(t *testing.T) {
	t.Parallel()
	w := connect(t, settings(t), &book{})
	m := w.register("anna", "misc")
	w.send("POST", "/worker/sign-on", object{"name": "anna", "software_version": "3.9", "supported_task_types": []string{"misc"}},
		m.auth, header("X-Forwarded-For", "192.0.2.7, 10.0.0.1")).is(200)
	w.send("GET", "/worker-mgt/workers/"+m.id, nil).is(200).has("ip_address", "192.0.2.7")
}
