// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"os"
	"path/filepath"
	"testing"
)

// The life of a job as the add-on of Flamenco 3 and a Worker of Flamenco 3 see it, call by call: refresh, check, upload,
// submit; sign on, ask, report, ask again.
func TestAnAddOnSubmitsAndAWorkerDoesTheJob(t *testing.T) {
	t.Parallel()
	cfg := settings(t)
	cfg.Shaman.Enabled = true
	w := connect(t, cfg, &book{})
	addon := header("User-Agent", "Flamenco/3.9 (Blender add-on)")

	// Refresh: the add-on goes no further unless shortversion is its own version.
	w.send("GET", "/version", nil, addon).is(200).has("shortversion", "3.9")
	w.send("GET", "/configuration/shared-storage/users/linux", nil, addon).is(200).has("shamanEnabled", true).has("location", filepath.ToSlash(cfg.SharedStorage))
	kind := w.send("GET", "/jobs/types", nil, addon).is(200)
	w.send("GET", "/worker-mgt/tags", nil, addon).is(200).has("tags", "[]")
	etag := kind.has("job_types.1.name", "simple-blender-render").string("job_types.1.etag")

	output := filepath.Join(t.TempDir(), "frames")
	job := object{
		"name": "shot 1", "type": "simple-blender-render", "type_etag": etag, "priority": 50, "submitter_platform": "linux",
		"metadata": object{}, "settings": object{
			"frames": "1-4", "chunk_size": 2, "render_output_root": output, "add_path_components": 0,
			"render_output_path": filepath.Join(output, "{timestamp}", "######"), "blendfile": "dummy.blend",
			"fps": 24.0, "format": "PNG", "image_file_extension": ".png", "has_previews": false, "scene": "Scene",
		},
	}
	w.send("POST", "/jobs/check", job, addon).is(204)

	// Upload, check out, submit.
	const scene = "BLENDER-v404 and so on"
	files := []object{spec(scene, "shot.blend")}
	w.send("POST", "/shaman/checkout/requirements", object{"files": files}, addon).is(200).has("files.0.status", "unknown").has("files.0.path", "shot.blend")
	w.send("POST", filePath(scene), scene, addon, header("Content-Type", "application/octet-stream"),
		header("X-Shaman-Can-Defer-Upload", "True"), header("X-Shaman-Original-Filename", "shot.blend")).is(200)
	w.send("POST", "/shaman/checkout/requirements", object{"files": files}, addon).is(200).has("files", "[]")
	checkout := w.send("POST", "/shaman/checkout/create", object{"files": files, "checkoutPath": "shot 1"}, addon).is(200).string("checkoutPath")
	job["storage"] = object{"shaman_checkout_id": checkout}
	job["settings"].(object)["blendfile"] = "{jobs}/" + checkout + "/shot.blend" //nolint:forcetypeassert // it is made above
	id := w.send("POST", "/jobs", job, addon).is(200).has("status", "queued").has("steps_total", 5).string("id")

	// A Worker gets paths that exist, and the tasks in their order.
	anna := w.awake("anna", "blender", "ffmpeg", "misc")
	blend := filepath.Join(cfg.SharedStorage, "jobs", checkout, "shot.blend")
	for _, frames := range []string{`"1,2"`, `"3,4"`} {
		task := w.send("POST", "/worker/task", nil, anna.auth).is(200).has("task_type", "blender").has("commands.0.name", "blender-render").
			has("commands.0.parameters.exe", "blender").has("commands.0.parameters.blendfile", filepath.ToSlash(blend)).has("commands.0.total_step_count", 2)
		if !contains(task.text, frames) {
			t.Errorf("the frames %s are missing: %s", frames, task.text)
		}
		path := "/worker/task/" + task.string("uuid")
		w.send("POST", path, object{"activity": "Started", "taskStatus": "active"}, anna.auth).is(204)
		w.send("POST", path, object{"activity": "Progress", "steps_completed": 2}, anna.auth).is(204)
		w.send("POST", path, object{"activity": "Completed", "taskStatus": "completed"}, anna.auth).is(204)
	}
	if _, err := os.Stat(blend); err != nil {
		t.Error(err)
	}
	video := w.send("POST", "/worker/task", nil, anna.auth).is(200).has("task_type", "ffmpeg").has("commands.0.name", "frames-to-video").
		has("commands.0.parameters.exe", "ffmpeg").string("uuid")
	w.send("POST", "/worker/task/"+video, object{"activity": "Completed", "taskStatus": "completed", "steps_completed": 1}, anna.auth).is(204)
	w.send("GET", "/jobs/"+id, nil, addon).is(200).has("status", "completed").has("steps_completed", 5).has("steps_total", 5)
	w.send("POST", "/worker/task", nil, anna.auth).is(204)
	w.send("POST", "/worker/sign-off", nil, anna.auth).is(204)
}

// An unknown Worker registers anew, and one that failed a task does not get it again while another one can try.
func TestAFailedTaskGoesToAnotherWorker(t *testing.T) {
	t.Parallel()
	w := connect(t, settings(t), &book{})
	anna, ben := w.awake("anna", "misc"), w.awake("ben", "misc")
	job := w.echoJob("fragile", 0)
	task := w.send("POST", "/worker/task", nil, anna.auth).is(200).string("uuid")
	w.send("POST", "/worker/task/"+task, object{"activity": "Failed: no luck", "log": "no luck\n", "taskStatus": "failed"}, anna.auth).is(204)
	w.send("GET", "/tasks/"+task, nil).is(200).has("status", "soft-failed").has("failed_by_workers.0.id", anna.id)
	w.send("POST", "/worker/task", nil, anna.auth).is(204)
	w.send("POST", "/worker/task", nil, ben.auth).is(200).has("uuid", task)
	w.send("POST", "/worker/task/"+task, object{"activity": "Completed", "taskStatus": "completed"}, ben.auth).is(204)
	w.send("GET", "/jobs/"+job, nil).is(200).has("status", "completed")
}
