// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"testing"
	"time"
)

func jobExchanges(t *testing.T, b *book) {
	w := connect(t, settings(t), b)
	types := w.send("GET", "/jobs/types", nil).is(200)
	types.has("job_types.0.name", "echo-sleep-test").has("job_types.1.name", "simple-blender-render")
	etag := w.send("GET", "/jobs/type/echo-sleep-test", nil).is(200).has("settings.0.key", "message").string("etag")
	w.send("GET", "/jobs/type/nonsense", nil).is(404)
	w.send("GET", "/jobs", nil).is(200).has("jobs", "[]")

	good := submission("good", 1)
	good["type_etag"] = etag
	good["metadata"] = object{"project": "The Film"}
	w.send("POST", "/jobs/check", good).is(204)
	job := w.send("POST", "/jobs", good).is(200).has("status", "queued").has("metadata.project", "The Film").has("settings.message", "hello").
		has("priority", 50).has("submitter_platform", "linux").has("activity", "").lacks("type_etag").lacks("initial_status").
		lacks("delete_requested_at").lacks("worker_tag").string("id")
	for _, path := range []string{"/jobs", "/jobs/check"} {
		w.send("POST", path, "{").is(400)
		w.send("POST", path, object{"name": "x", "type": "nonsense", "submitter_platform": "linux"}).is(400)
		w.send("POST", path, object{"name": "x", "submitter_platform": "linux"}).is(400)
		stale := submission("stale", 1)
		stale["type_etag"] = "0123456789"
		w.send("POST", path, stale).is(412)
	}
	w.send("GET", "/jobs", nil).is(200).has("jobs.0.id", job).has("jobs.1", nil)
	w.send("GET", "/jobs/"+job, nil).is(200).has("name", "good").has("steps_total", 2)
	w.send("GET", "/jobs/nonsense", nil).is(400)
	w.send("GET", "/jobs/"+nobody, nil).is(404)

	path := "/jobs/" + job
	w.send("POST", path+"/setpriority", object{"priority": 70}).is(204)
	w.send("POST", path+"/setpriority", object{"priority": 101}).is(400)
	w.send("POST", "/jobs/"+nobody+"/setpriority", object{"priority": 70}).is(404)
	tag := w.send("POST", "/worker-mgt/tags", object{"name": "gpu"}).is(200).string("id")
	w.send("POST", path+"/settag", object{"name": "gpu"}).is(204)
	w.send("GET", path, nil).is(200).has("worker_tag", tag).has("priority", 70)
	w.send("POST", path+"/settag", object{"id": nobody}).is(406)
	w.send("POST", path+"/settag", object{"name": "nonsense"}).is(406)
	w.send("POST", path+"/settag", "[").is(400)
	w.send("POST", "/jobs/"+nobody+"/settag", object{"id": tag}).is(404)
	w.send("POST", path+"/settag", object{}).is(204)
	w.send("GET", path, nil).is(200).lacks("worker_tag")

	w.send("POST", path+"/setstatus", object{"status": "pause-requested", "reason": "lunch"}).is(204)
	w.eventually("the job is paused", func() bool { return w.send("GET", path, nil).is(200).string("status") == "paused" })
	w.send("POST", path+"/setstatus", object{"status": "completed", "reason": "I say so"}).is(422)
	w.send("POST", path+"/setstatus", object{"status": "dancing", "reason": ""}).is(400)
	w.send("POST", "/jobs/"+nobody+"/setstatus", object{"status": "queued", "reason": ""}).is(404)
	w.send("POST", path+"/setstatus", object{"status": "requeueing", "reason": "back to work"}).is(204)
	w.eventually("the job is queued", func() bool { return w.send("GET", path, nil).is(200).string("status") == "queued" })

	w.send("GET", path+"/tasks", nil).is(200).has("tasks.0.index_in_job", 1).has("tasks.1.status", "queued").has("tasks.2", nil)
	w.send("GET", "/jobs/nonsense/tasks", nil).is(400)
	w.send("GET", "/jobs/"+nobody+"/tasks", nil).is(200).has("tasks", "[]")

	anna := w.register("anna", "misc")
	w.send("GET", path+"/blocklist", nil).is(200)
	w.send("GET", "/jobs/nonsense/blocklist", nil).is(400)
	w.send("DELETE", path+"/blocklist", []object{{"worker_id": anna.id, "task_type": "misc"}}).is(204)
	w.send("DELETE", path+"/blocklist", []object{}).is(400)
}

func taskReadingExchanges(t *testing.T, b *book) {
	w := connect(t, settings(t), b)
	anna := w.awake("anna", "misc")
	job := w.echoJob("read me", 1)
	task := w.send("GET", "/jobs/"+job+"/tasks", nil).is(200).string("tasks.0.id")
	w.send("GET", "/jobs/"+job+"/tasks", nil).is(200).has("tasks.0.worker.id", "").has("tasks.0.worker.name", "")
	path := "/tasks/" + task
	w.send("GET", path, nil).is(200).has("worker.id", "").has("worker.name", "").has("job_id", job).has("commands.0.name", "echo")
	w.send("GET", "/tasks/nonsense", nil).is(400)
	w.send("GET", "/tasks/"+nobody, nil).is(404)
	for _, log := range []string{"/logtail", "/log"} {
		w.send("GET", path+log, nil).is(204)
		w.send("GET", "/tasks/nonsense"+log, nil).is(400)
		w.send("GET", "/tasks/"+nobody+log, nil).is(404)
	}
	w.send("POST", "/worker/task", nil, anna.auth).is(200).has("uuid", task)
	w.send("POST", "/worker/task/"+task, object{"log": "one line of output\n"}, anna.auth).is(204)
	if tail := w.send("GET", path+"/logtail", nil).is(200); !contains(tail.text, "one line of output\n") {
		t.Errorf("the end of the log: %s", tail.text)
	}
	url := w.send("GET", path+"/log", nil).is(200).has("task_id", task).has("job_id", job).string("url")
	if want := "/job-files/job-" + job[:4] + "/" + job + "/task-" + task + ".txt"; url != want {
		t.Errorf("the log is at %s, want %s", url, want)
	}
	if whole := w.get(url); !contains(whole, "one line of output\n") {
		t.Errorf("the log: %s", whole)
	}

	w.send("POST", path+"/setstatus", object{"status": "completed", "reason": "I say so"}).is(422)
	w.send("POST", path+"/setstatus", object{"status": "dancing", "reason": ""}).is(400)
	w.send("POST", "/tasks/"+nobody+"/setstatus", object{"status": "queued", "reason": ""}).is(404)
	w.send("POST", path+"/setstatus", object{"status": "canceled", "reason": "not this one"}).is(204)
	w.send("GET", path, nil).is(200).has("status", "canceled")
	w.send("POST", path+"/setstatus", object{"status": "queued", "reason": "after all"}).is(204)
	w.send("GET", path, nil).is(200).has("status", "queued").has("steps_completed", 0)
}

func deletionExchanges(t *testing.T, b *book) {
	w := connect(t, settings(t), b)
	job := w.echoJob("short-lived", 1)
	path := "/jobs/" + job
	w.send("GET", path+"/what-would-delete-do", nil).is(200).has("shaman_checkout", false)
	w.send("GET", "/jobs/nonsense/what-would-delete-do", nil).is(400)
	w.send("GET", "/jobs/"+nobody+"/what-would-delete-do", nil).is(404)
	w.send("DELETE", "/jobs/nonsense", nil).is(400)
	w.send("DELETE", "/jobs/"+nobody, nil).is(404)
	w.send("DELETE", path, nil).is(204)
	w.eventually("the job is gone", func() bool { return w.send("GET", path, nil).status == 404 })

	old := w.echoJob("old", 0)
	w.send("DELETE", "/jobs/mass-delete", object{}).is(400)
	w.send("DELETE", "/jobs/mass-delete", object{"last_updated_max": "2001-01-01T00:00:00Z"}).is(416)
	w.send("DELETE", "/jobs/mass-delete", object{"last_updated_max": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}).is(204)
	w.eventually("the old job is gone", func() bool { return w.send("GET", "/jobs/"+old, nil).status == 404 })
}
