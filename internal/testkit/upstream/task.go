// SPDX-License-Identifier: GPL-3.0-or-later

package upstream

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
)

var idForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// schedule hands out a task; it never waits for one.
func (m *Manager) schedule(x *exchange) answer {
	w := x.worker
	if w.requested != "" {
		return answer{http.StatusLocked, map[string]any{"status_requested": w.requested}}
	}
	if w.Status != "awake" {
		return failure(http.StatusConflict, "worker is in state %q, requires state \"awake\" to execute tasks", w.Status)
	}
	t := m.active(w)
	if t == nil {
		i := slices.IndexFunc(m.tasks, func(t *Task) bool { return t.Status == "queued" && slices.Contains(w.TaskTypes, t.Type) })
		if i < 0 {
			return answer{status: http.StatusNoContent}
		}
		t = m.tasks[i]
	}
	t.Status, t.Worker = "active", w.ID
	x.call.Task = t.ID
	return answer{http.StatusOK, map[string]any{
		"uuid": t.ID, "job": "4a7d4c7b-0000-4000-8000-000000000001", "name": "task", "status": "active", "priority": 50, "job_priority": 50,
		"job_type": "test", "task_type": t.Type, "commands": t.Commands, "steps_completed": t.Steps, "steps_total": len(t.Commands),
	}}
}

// update takes what its Worker says of a task, whatever has become of the task.
func (m *Manager) update(x *exchange) answer {
	if !idForm.MatchString(x.task) {
		m.wrong("an update is for the task %q", x.task)
		return failure(http.StatusBadRequest, "task id is no UUID")
	}
	status := x.text("taskStatus")
	if _, given := x.fields["taskStatus"]; given && !slices.Contains(taskStatuses, status) {
		m.wrong("an update has the status %q", status)
		return failure(http.StatusBadRequest, "status %q is not for Workers", status)
	}
	for name, want := range map[string]any{"activity": new(string), "log": new(string), "steps_completed": new(int)} {
		if value, given := x.fields[name]; given && json.Unmarshal(value, want) != nil {
			m.wrong("an update has the %s %s", name, value)
			return invalid("%s has the wrong type", name)
		}
	}
	t := m.task(x.task)
	if t == nil {
		return failure(http.StatusNotFound, "no such task")
	}
	if t.Worker != x.worker.ID {
		return failure(http.StatusConflict, "task %s is not assigned to you", t.ID)
	}
	if activity := x.text("activity"); activity != "" {
		t.Activity = activity
	}
	t.Log += x.text("log")
	if steps, given := x.fields["steps_completed"]; given {
		_ = json.Unmarshal(steps, &t.Steps)
	}
	if status != "" {
		t.Status = status
		t.Statuses = append(t.Statuses, status)
	}
	return answer{status: http.StatusNoContent}
}

func (m *Manager) mayRun(x *exchange) answer {
	if !idForm.MatchString(x.task) {
		m.wrong("it is asked for the task %q", x.task)
		return failure(http.StatusBadRequest, "task id is no UUID")
	}
	t, w := m.task(x.task), x.worker
	may := map[string]any{"mayKeepRunning": false, "reason": "", "statusChangeRequested": false}
	switch {
	case w.requested != "" && !w.lazy:
		may["reason"], may["statusChangeRequested"] = "worker status change requested", true
	case t == nil || t.Worker != w.ID:
		may["reason"] = "task not assigned to this worker"
	case t.Status != "active":
		may["reason"] = "task is in non-runnable status"
	default:
		may["mayKeepRunning"] = true
	}
	return answer{http.StatusOK, may}
}

// output takes an image and never looks at it.
func (m *Manager) output(x *exchange) answer {
	kind := x.Header.Get("Content-Type")
	switch {
	case kind != "image/jpeg" && kind != "image/png":
		m.wrong("an image is of the type %q", kind)
		return invalid("header Content-Type has unexpected value %q", kind)
	case x.ContentLength <= 0:
		m.wrong("an image has no Content-Length")
		return failure(http.StatusLengthRequired, "Content-Length header required")
	case x.ContentLength > maxImage:
		m.wrong("an image has %d bytes", x.ContentLength)
		return failure(http.StatusRequestEntityTooLarge, "image too large")
	case m.task(x.task) == nil:
		return answer{http.StatusNotFound, "no such task"}
	case m.images >= imageQueue:
		return failure(http.StatusTooManyRequests, "queue is full")
	}
	m.images++
	return answer{status: http.StatusAccepted}
}
