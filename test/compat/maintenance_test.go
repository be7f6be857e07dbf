// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What Workers, add-ons and pages of Flamenco 3 meet while the farm is in maintenance.
func TestClientsOfFlamenco3GetAlongWithAMaintenance(t *testing.T) {
	t.Parallel()
	cfg := settings(t)
	w := connect(t, cfg, &book{})
	token, err := os.ReadFile(filepath.Join(cfg.LocalStorage, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	admin := header("Authorization", "Bearer "+strings.TrimSpace(string(token)))

	busy, idle := w.awake("anna", "misc"), w.awake("bert", "misc")
	job := w.echoJob("before", 1)
	w.echoJob("another", 1)
	task := w.send("POST", "/worker/task", nil, busy.auth).is(200).string("uuid")
	w.send("GET", "/maintenance", nil).is(200).has("on", false).has("kept", true).lacks("since")
	w.send("PUT", "/maintenance", object{"on": true}).is(403)
	w.send("PUT", "/maintenance", object{"on": "yes"}, admin).is(400)
	w.send("PUT", "/maintenance", object{"on": true, "reason": "a new disk"}, admin).is(200).has("on", true)
	w.eventually("the Manager keeps it: nothing is under way any more", func() bool {
		return strings.Contains(string(w.send("GET", "/maintenance", nil).is(200).text), `"kept":true`)
	})
	w.send("GET", "/maintenance", nil).is(200).has("managers.0.epoch", 1)

	// The busy Worker ends its task, signs off, comes back, and gets nothing, as the idle one.
	w.send("POST", "/worker/task/"+task, object{"taskStatus": "active", "activity": "on it", "log": "hello\n"}, busy.auth).is(204)
	w.send("GET", "/worker/task/"+task+"/may-i-run", nil, busy.auth).is(200).has("mayKeepRunning", true)
	w.send("POST", "/worker/task/"+task, object{"taskStatus": "completed"}, busy.auth).is(204)
	w.send("GET", "/tasks/"+task, nil).is(200).has("status", "completed")
	w.send("POST", "/worker/sign-off", nil, busy.auth).is(204)
	w.send("POST", "/worker/sign-on", object{"name": "anna", "software_version": "3.9", "supported_task_types": []string{"misc"}}, busy.auth).is(200)
	w.send("POST", "/worker/state-changed", object{"status": "awake"}, busy.auth).is(204)
	for _, m := range []member{busy, idle, w.awake("carl", "misc")} {
		w.send("POST", "/worker/task", nil, m.auth).is(204)
	}

	// People can look, and are told why nothing else goes.
	for _, path := range []string{"/jobs", "/jobs/" + job, "/jobs/" + job + "/tasks", "/worker-mgt/workers", "/configuration", "/version"} {
		w.send("GET", path, nil).is(200)
	}
	w.send("GET", "/status", nil).is(200)
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/jobs", submission("during", 1)},
		{"DELETE", "/jobs/" + job, nil},
		{"POST", "/jobs/" + job + "/setstatus", object{"status": "cancel-requested", "reason": "x"}},
		{"POST", "/jobs/" + job + "/setpriority", object{"priority": 1}},
		{"POST", "/tasks/" + task + "/setstatus", object{"status": "queued", "reason": "x"}},
		{"POST", "/worker-mgt/workers/" + idle.id + "/setstatus", object{"status": "asleep", "is_lazy": true}},
		{"POST", "/worker-mgt/tags", object{"name": "x"}},
		{"POST", "/shaman/checkout/requirements", object{"files": []object{}}},
	} {
		r := w.send(c.method, c.path, c.body).is(503).has("message", "the farm is in maintenance: a new disk")
		if r.header.Get("Retry-After") != "30" || r.header.Get("X-Flamenco-Maintenance") != "on" {
			t.Errorf("%s: headers %v", r.asked, r.header)
		}
	}
	w.eventually("the page says so", func() bool {
		return strings.Contains(string(w.send("GET", "/status", nil).is(200).text), `"the farm is in maintenance: a new disk"`)
	})

	w.send("PUT", "/maintenance", object{"on": false}, admin).is(200).has("on", false).has("epoch", 2)
	w.send("POST", "/worker/task", nil, idle.auth).is(200)
	w.echoJob("afterwards", 1)
}
