// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// object is a JSON object.
type object = map[string]any

// member is a registered Worker.
type member struct {
	id   string
	auth option
}

// register makes a Worker as a program of Flamenco 3 does. It has not signed on yet.
func (w *wire) register(name string, taskTypes ...string) member {
	w.t.Helper()
	secret := "the secret of " + name
	id := w.send("POST", "/worker/register-worker", object{
		"name": name, "secret": secret, "platform": "linux", "supported_task_types": taskTypes,
	}).is(200).has("name", name).has("platform", "linux").string("uuid")
	return member{id, as(id, secret)}
}

// awake makes a Worker that may ask for tasks.
func (w *wire) awake(name string, taskTypes ...string) member {
	w.t.Helper()
	m := w.register(name, taskTypes...)
	w.send("POST", "/worker/sign-on", object{"name": name, "software_version": "3.9", "supported_task_types": taskTypes}, m.auth).
		is(200).has("status_requested", "awake")
	w.send("POST", "/worker/state-changed", object{"status": "awake"}, m.auth).is(204)
	return m
}

// echoJob submits a job of one echo task and the given number of sleeps, and returns its ID.
func (w *wire) echoJob(name string, sleeps int) string {
	w.t.Helper()
	return w.send("POST", "/jobs", submission(name, sleeps)).is(200).string("id")
}

func submission(name string, sleeps int) object {
	return object{
		"name": name, "type": "echo-sleep-test", "priority": 50, "submitter_platform": "linux",
		"settings": object{"message": "hello", "sleep_duration_seconds": 0, "sleep_repeats": sleeps},
	}
}

func workerExchanges(t *testing.T, b *book) {
	w := connect(t, settings(t), b)
	w.send("POST", "/worker/register-worker", object{"name": "half"}).is(400)
	w.send("POST", "/worker/register-worker", "{").is(400)
	m := w.register("anna", "misc")

	stranger := as(nobody, "x")
	w.send("POST", "/worker/sign-on", object{"name": "anna", "software_version": "3.9", "supported_task_types": []string{"misc"}}).is(403)
	w.send("POST", "/worker/sign-on", object{"name": "anna", "software_version": "3.9", "supported_task_types": []string{"misc"}}, stranger).is(403)
	w.send("POST", "/worker/sign-on", object{"name": "anna", "software_version": "3.9", "supported_task_types": []string{"misc"}}, as(m.id, "wrong")).is(403)
	w.send("POST", "/worker/sign-off", nil, stranger).is(403)
	w.send("GET", "/worker/state", nil, stranger).is(403)
	w.send("POST", "/worker/state-changed", object{"status": "awake"}, stranger).is(403)
	w.send("POST", "/worker/task", nil, stranger).is(403)
	w.send("POST", "/worker/task/"+nobody, object{}, stranger).is(403)
	w.send("GET", "/worker/task/"+nobody+"/may-i-run", nil, stranger).is(403)
	w.send("POST", "/worker/task/"+nobody+"/output-produced", "x", stranger, header("Content-Type", "image/jpeg")).is(403)

	// Whether it is in JSON is what most clients look at first.
	refused := w.send("GET", "/worker/state", nil, stranger).is(403)
	if kind := refused.header.Get("Content-Type"); kind != "application/json" || !contains(refused.text, "authorization failed") {
		t.Errorf("a refusal: %s %s", kind, refused.text)
	}

	w.send("POST", "/worker/sign-on", object{"name": "anna"}, m.auth).is(400)
	w.send("POST", "/worker/sign-on", object{
		"name": "anna", "software_version": "3.9", "supported_task_types": []string{" Misc ", "BLENDER"}, "can_restart": true,
	}, m.auth).is(200).has("status_requested", "awake")
	w.send("GET", "/worker-mgt/workers/"+m.id, nil).is(200).has("status", "starting").has("can_restart", true).
		has("supported_task_types", "[misc blender]").lacks("status_change").lacks("tags").lacks("task")
	w.send("GET", "/worker/state", nil, m.auth).is(204)
	w.send("POST", "/worker/state-changed", object{"status": "dancing"}, m.auth).is(400)
	w.send("POST", "/worker/state-changed", object{"status": "awake"}, m.auth).is(204)
	w.send("POST", "/worker/task", nil, m.auth).is(204)

	// A status that somebody asked for reaches the Worker with its next call, and is gone once it says so.
	w.send("POST", "/worker-mgt/workers/"+m.id+"/setstatus", object{"status": "asleep", "is_lazy": false}).is(204)
	w.send("GET", "/worker-mgt/workers/"+m.id, nil).is(200).has("status", "awake").has("status_change.status", "asleep").has("status_change.is_lazy", false)
	w.send("GET", "/worker/state", nil, m.auth).is(200).has("status_requested", "asleep")
	w.send("POST", "/worker/task", nil, m.auth).is(423).has("status_requested", "asleep")
	w.send("POST", "/worker/state-changed", object{"status": "asleep"}, m.auth).is(204)
	w.send("GET", "/worker/state", nil, m.auth).is(204)
	w.send("POST", "/worker/task", nil, m.auth).is(409)

	// It resumes where it was, and one that is in error is woken instead of being refused for ever.
	w.send("POST", "/worker/sign-off", nil, m.auth).is(204)
	w.send("GET", "/worker-mgt/workers/"+m.id, nil).is(200).has("status", "offline")
	w.send("POST", "/worker/sign-on", object{"name": "anna", "software_version": "3.9", "supported_task_types": []string{"misc"}}, m.auth).
		is(200).has("status_requested", "asleep")
	w.send("GET", "/worker-mgt/workers/"+m.id, nil).is(200).has("can_restart", false)
	w.send("POST", "/worker/state-changed", object{"status": "error"}, m.auth).is(204)
	w.send("POST", "/worker/task", nil, m.auth).is(423)

	// So is one that signed off and asks nevertheless; one that has not said yet that it is awake has to say so first.
	ben := w.awake("ben", "misc")
	w.send("POST", "/worker/sign-off", nil, ben.auth).is(204)
	w.send("POST", "/worker/task", nil, ben.auth).is(423).has("status_requested", "awake")
	w.send("POST", "/worker/state-changed", object{"status": "awake"}, ben.auth).is(204)
	w.send("POST", "/worker/task", nil, ben.auth).is(204)
	w.send("POST", "/worker/sign-on", object{"name": "ben", "software_version": "3.9", "supported_task_types": []string{"misc"}}, ben.auth).is(200)
	w.send("POST", "/worker/task", nil, ben.auth).is(409)
}

func taskExchanges(t *testing.T, b *book) {
	w := connect(t, settings(t), b)
	anna, ben := w.awake("anna", "misc"), w.awake("ben", "misc")
	job := w.echoJob("walk", 2)
	w.send("GET", "/jobs/"+job, nil).is(200).has("status", "queued").has("steps_total", 3)

	task := w.send("POST", "/worker/task", nil, anna.auth).is(200).
		has("job", job).has("job_type", "echo-sleep-test").has("task_type", "misc").has("job_priority", 50).has("priority", 50).
		has("status", "active").has("commands.0.name", "echo").has("commands.0.parameters.message", "hello").
		has("commands.0.total_step_count", 0).has("steps_total", 1).has("steps_completed", 0).string("uuid")
	w.send("POST", "/worker/task", nil, anna.auth).is(200).has("uuid", task) // the answer was lost on the way
	w.send("POST", "/worker/task", nil, ben.auth).is(204)                    // the sleeps wait for the echo

	path := "/worker/task/" + task
	w.send("POST", path, object{"taskStatus": "soft-failed"}, anna.auth).is(400)
	w.send("POST", path, object{"taskStatus": "dancing"}, anna.auth).is(400)
	w.send("POST", "/worker/task/nonsense", object{}, anna.auth).is(400)
	w.send("POST", "/worker/task/"+nobody, object{"activity": "x"}, anna.auth).is(404)
	w.send("POST", path, object{"activity": "mine!"}, ben.auth).is(409)
	w.send("GET", "/worker/task/nonsense/may-i-run", nil, anna.auth).is(400)
	w.send("GET", "/worker/task/"+nobody+"/may-i-run", nil, anna.auth).is(200).has("mayKeepRunning", false).has("statusChangeRequested", false)
	w.send("GET", path+"/may-i-run", nil, ben.auth).is(200).has("mayKeepRunning", false)
	w.send("GET", path+"/may-i-run", nil, anna.auth).is(200).has("mayKeepRunning", true).has("statusChangeRequested", false).has("reason", "")

	// What a Worker of Flamenco 3 sends for a task of one command.
	w.send("POST", path, object{"activity": "Started", "taskStatus": "active"}, anna.auth).is(204)
	w.send("POST", path, object{"log": "pid=12 > a line\n"}, anna.auth).is(204)
	w.send("POST", path, object{"activity": "Progress", "steps_completed": 1}, anna.auth).is(204)
	w.send("GET", "/tasks/"+task, nil).is(200).has("status", "active").has("activity", "Progress").has("worker.id", anna.id).has("steps_completed", 1)
	w.send("POST", path, object{"activity": "Completed", "taskStatus": "completed"}, anna.auth).is(204)
	w.send("GET", "/jobs/"+job, nil).is(200).has("status", "active").has("steps_completed", 1)

	// A job that is canceled stops what runs, and a late report does not bring it back.
	second := w.send("POST", "/worker/task", nil, anna.auth).is(200).has("commands.0.name", "sleep").string("uuid")
	w.send("POST", "/worker-mgt/workers/"+anna.id+"/setstatus", object{"status": "asleep", "is_lazy": true}).is(204)
	w.send("GET", "/worker/task/"+second+"/may-i-run", nil, anna.auth).is(200).has("mayKeepRunning", true)
	w.send("POST", "/worker-mgt/workers/"+anna.id+"/setstatus", object{"status": "asleep", "is_lazy": false}).is(204)
	w.send("GET", "/worker/task/"+second+"/may-i-run", nil, anna.auth).is(200).has("mayKeepRunning", false).has("statusChangeRequested", true)
	w.send("POST", "/worker-mgt/workers/"+anna.id+"/setstatus", object{"status": "awake", "is_lazy": false}).is(204)
	w.send("POST", "/jobs/"+job+"/setstatus", object{"status": "cancel-requested", "reason": "enough"}).is(204)
	w.eventually("the job is canceled", func() bool { return w.send("GET", "/jobs/"+job, nil).is(200).string("status") == "canceled" })
	w.send("GET", "/worker/task/"+second+"/may-i-run", nil, anna.auth).is(200).has("mayKeepRunning", false)
	w.send("POST", "/worker/task/"+second, object{"taskStatus": "failed", "activity": "killed"}, anna.auth).is(204)
	w.send("GET", "/jobs/"+job, nil).is(200).has("status", "canceled")
	w.send("GET", "/worker-mgt/workers/"+anna.id, nil).is(200).has("task.job_id", job)
}

func picture(t *testing.T, size int, encode func(io.Writer, image.Image) error) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, size, size/2))
	noise := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a picture that does not compress, the same each time
	for i := range img.Pix {
		img.Pix[i] = byte(noise.Uint32())
	}
	img.Set(0, 0, color.White)
	var buffer bytes.Buffer
	if err := encode(&buffer, img); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func imageExchanges(t *testing.T, b *book) {
	w := connect(t, settings(t), b)
	w.send("GET", "/jobs/last-rendered", nil).is(204)
	anna := w.awake("anna", "misc")
	job := w.echoJob("pictures", 0)
	w.send("GET", "/jobs/"+job+"/last-rendered", nil).is(204)
	w.send("GET", "/jobs/nonsense/last-rendered", nil).is(400)
	task := w.send("POST", "/worker/task", nil, anna.auth).is(200).string("uuid")
	path := "/worker/task/" + task + "/output-produced"
	asJPEG, asPNG := header("Content-Type", "image/jpeg"), header("Content-Type", "image/png")

	small := picture(t, 64, png.Encode)
	w.send("POST", path, io.MultiReader(bytes.NewReader(small)), anna.auth, asPNG).is(411) // a length that is not known
	w.send("POST", path, nil, anna.auth, asPNG).is(411)
	w.send("POST", path, bytes.NewReader(make([]byte, 25<<20+1)), anna.auth, asJPEG).is(413)
	w.send("POST", path, "text", anna.auth, header("Content-Type", "text/plain")).is(415)
	w.send("POST", "/worker/task/"+nobody+"/output-produced", small, anna.auth, asPNG).is(404)
	w.send("POST", path, "no image at all", anna.auth, asJPEG).is(202)

	asLossy := func(out io.Writer, img image.Image) error { return jpeg.Encode(out, img, nil) }
	w.send("POST", path, picture(t, 64, asLossy), anna.auth, asJPEG).is(202)
	base := fmt.Sprintf("/job-files/job-%s/%s", job[:4], job)
	w.eventually("the images are there", func() bool { return w.send("GET", "/jobs/"+job+"/last-rendered", nil).status == 200 })
	for _, place := range []string{"/jobs/" + job + "/last-rendered", "/jobs/last-rendered"} {
		w.send("GET", place, nil).is(200).has("base", base).
			has("suffixes", "[last-rendered.jpg last-rendered-small.jpg last-rendered-tiny.jpg]")
	}

	// More at once than can wait: large images for many jobs.
	type upload struct {
		path string
		auth option
	}
	var uploads []upload
	for i := range 12 {
		m := w.awake(fmt.Sprint("painter ", i), "misc")
		w.echoJob(fmt.Sprint("large ", i), 0)
		id := w.send("POST", "/worker/task", nil, m.auth).is(200).string("uuid")
		uploads = append(uploads, upload{"/worker/task/" + id + "/output-produced", m.auth})
	}
	large := picture(t, 2500, png.Encode)
	var all sync.WaitGroup
	for _, u := range uploads {
		all.Go(func() {
			if status := w.send("POST", u.path, large, u.auth, asPNG).status; status != 202 && status != 429 {
				t.Errorf("a large image: %d", status)
			}
		})
	}
	all.Wait()
}

func managementExchanges(t *testing.T, b *book) {
	w := connect(t, settings(t), b)
	w.send("GET", "/worker-mgt/workers", nil).is(200).has("workers", "[]")
	m := w.register("anna", "misc")
	w.send("GET", "/worker-mgt/workers", nil).is(200).has("workers.0.id", m.id).has("workers.0.name", "anna")
	path := "/worker-mgt/workers/" + m.id
	w.send("GET", "/worker-mgt/workers/nonsense", nil).is(400)
	w.send("GET", "/worker-mgt/workers/"+nobody, nil).is(404)
	w.send("POST", path+"/setstatus", object{"status": "restart", "is_lazy": true}).is(412)
	w.send("POST", path+"/setstatus", object{"status": "asleep"}).is(400)
	w.send("POST", "/worker-mgt/workers/nonsense/setstatus", object{"status": "asleep", "is_lazy": true}).is(400)
	w.send("POST", "/worker-mgt/workers/"+nobody+"/setstatus", object{"status": "asleep", "is_lazy": true}).is(404)
	w.send("POST", path+"/setstatus", object{"status": "asleep", "is_lazy": true}).is(204)
	w.send("POST", path+"/setstatus", object{"status": "offline", "is_lazy": true}).is(204) // its status: takes the request back
	w.send("GET", path, nil).is(200).lacks("status_change")

	w.send("GET", "/worker-mgt/tags", nil).is(200)
	tag := w.send("POST", "/worker-mgt/tags", object{"name": "gpu", "description": "has a GPU"}).is(200).has("name", "gpu").string("id")
	const chosen = "11111111-2222-4333-8444-555555555555"
	w.send("POST", "/worker-mgt/tags", object{"id": chosen, "name": "chosen"}).is(200).has("id", chosen)
	w.send("POST", "/worker-mgt/tags", object{"name": "gpu"}).is(409)
	w.send("POST", "/worker-mgt/tags", object{"description": "nameless"}).is(400)
	w.send("GET", "/worker-mgt/tag/"+tag, nil).is(200).has("description", "has a GPU")
	w.send("GET", "/worker-mgt/tag/nonsense", nil).is(400)
	w.send("GET", "/worker-mgt/tag/"+nobody, nil).is(404)
	w.send("PUT", "/worker-mgt/tag/"+tag, object{"name": "fast"}).is(204)
	w.send("PUT", "/worker-mgt/tag/nonsense", object{"name": "fast"}).is(400)
	w.send("PUT", "/worker-mgt/tag/"+nobody, object{"name": "other"}).is(404)
	w.send("POST", path+"/settags", object{"tag_ids": []string{tag, nobody}}).is(204) // the one that nobody knows is dropped
	w.send("POST", path+"/settags", object{}).is(400)
	w.send("POST", "/worker-mgt/workers/"+nobody+"/settags", object{"tag_ids": []string{}}).is(404)
	w.send("GET", path, nil).is(200).has("tags.0.id", tag).has("tags.0.name", "fast")
	w.send("DELETE", "/worker-mgt/tag/"+tag, nil).is(204)
	w.send("DELETE", "/worker-mgt/tag/"+tag, nil).is(404)
	w.send("DELETE", "/worker-mgt/tag/nonsense", nil).is(400)

	schedule := path + "/sleep-schedule"
	w.send("GET", schedule, nil).is(204)
	w.send("GET", "/worker-mgt/workers/"+nobody+"/sleep-schedule", nil).is(204)
	w.send("GET", "/worker-mgt/workers/nonsense/sleep-schedule", nil).is(400)
	office := object{"is_active": true, "days_of_week": "Monday Tue", "start_time": "09:00", "end_time": "18:00"}
	w.send("POST", schedule, office).is(204)
	w.send("GET", schedule, nil).is(200).has("days_of_week", "mo tu").has("start_time", "09:00").has("end_time", "18:00").has("is_active", true)
	w.send("POST", schedule, object{"is_active": true, "days_of_week": "", "start_time": "22:00", "end_time": "06:00"}).is(204)
	w.send("GET", schedule, nil).is(200).has("start_time", "22:00").has("end_time", "06:00") // not turned round: it is at night
	w.send("POST", schedule, object{"is_active": true, "days_of_week": "", "start_time": "25:00", "end_time": "26:00"}).is(400)
	w.send("POST", schedule, object{"is_active": true, "days_of_week": "x", "start_time": "", "end_time": ""}).is(400)
	w.send("POST", "/worker-mgt/workers/"+nobody+"/sleep-schedule", office).is(404)

	w.send("DELETE", "/worker-mgt/workers/nonsense", nil).is(400)
	w.send("DELETE", path, nil).is(204)
	w.send("DELETE", path, nil).is(404)
	w.send("GET", "/worker/state", nil, m.auth).is(403) // whoever was deleted has to register again
}
