// SPDX-License-Identifier: GPL-3.0-or-later

package event_test

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
)

func TestEventsAreSaidInTheWordsOfTheAPI(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 6, 20, 27, 407981000, time.UTC)
	bus := &event.Bus{}
	f := bus.Attach(library{}, slog.New(slog.DiscardHandler), everything)
	f.Listen(farm.ChangeJob, farm.ChangeTask, farm.ChangeWorker, farm.ChangeTag, farm.ChangeLastRendered, farm.ChangeTaskLog,
		farm.ChangeLifecycle, farm.ChangeStatus)
	bus.Announce(
		farm.Change{Kind: farm.ChangeJob, JobID: "j", Now: &farm.JobChange{
			ID: "j", Name: "Shot", Type: "render", Status: farm.JobActive, Previous: farm.JobQueued, Priority: 60, Updated: at,
			StepsCompleted: 1, StepsTotal: 9, DeleteRequestedAt: at, Tasks: farm.TaskCounts{Queued: 1, Active: 2, Completed: 3, SoftFailed: 4, Failed: 5, Canceled: 6, Paused: 7},
		}},
		farm.Change{Kind: farm.ChangeJob, JobID: "gone", Now: &farm.JobChange{ID: "gone", Deleted: true}},
		farm.Change{Kind: farm.ChangeTask, JobID: "j", TaskID: "t", Now: &farm.TaskChange{
			ID: "t", JobID: "j", Name: "1-3", Type: "blender", IndexInJob: 2, Status: farm.TaskActive, Previous: farm.TaskQueued,
			Activity: "Started", StepsCompleted: 1, StepsTotal: 3, Updated: at, WorkerID: "w", WorkerName: "W",
		}},
		farm.Change{Kind: farm.ChangeWorker, WorkerID: "w", Now: &farm.WorkerChange{
			ID: "w", Name: "W", Status: farm.WorkerAwake, Requested: &farm.StatusRequest{Status: farm.WorkerAsleep, Lazy: true},
			Software: "4.0", Updated: at, LastSeen: at, DeletedAt: at, CanRestart: true,
		}},
		farm.Change{Kind: farm.ChangeTag, TagID: "g", Now: &farm.TagChange{Tag: farm.Tag{ID: "g", Name: "gpu", Description: "fast"}, Deleted: true}},
		farm.Change{Kind: farm.ChangeLastRendered, JobID: "j", Now: &farm.LastRendered{JobID: "j", Base: "/job-files/j", Suffixes: []string{"a.jpg"}}},
		farm.Change{Kind: farm.ChangeTaskLog, JobID: "j", TaskID: "t", Now: farm.TaskLog("a line\n")},
		farm.Change{Kind: farm.ChangeLifecycle, Now: farm.ManagerStartup},
		farm.Change{Kind: farm.ChangeStatus, Now: farm.StatusReport{Status: farm.StatusAsleep}},
	)
	want := []string{
		`/jobs [/jobs] {"id":"j","name":"Shot","updated":"2026-11-22T06:20:27.407981Z","status":"active","previous_status":"queued","type":"render",` +
			`"priority":60,"refresh_tasks":false,"steps_completed":1,"steps_total":9,"delete_requested_at":"2026-11-22T06:20:27.407981Z",` +
			`"task_counts":{"queued":1,"active":2,"completed":3,"soft_failed":4,"failed":5,"canceled":6,"paused":7},"seq":N}`,
		`/jobs [/jobs] {"id":"gone","name":"","updated":"0001-01-01T00:00:00Z","status":"","type":"","priority":0,"refresh_tasks":false,` +
			`"steps_completed":0,"steps_total":0,"was_deleted":true,"seq":N}`,
		`/task [/jobs/j] {"id":"t","job_id":"j","worker":{"name":"W","uuid":"w"},"name":"1-3","updated":"2026-11-22T06:20:27.407981Z",` +
			`"status":"active","previous_status":"queued","activity":"Started","steps_completed":1,"steps_total":3,"index_in_job":2,"task_type":"blender","seq":N}`,
		`/workers [/workers] {"id":"w","name":"W","updated":"2026-11-22T06:20:27.407981Z","last_seen":"2026-11-22T06:20:27.407981Z","status":"awake",` +
			`"status_change":{"status":"asleep","is_lazy":true},"version":"4.0","deleted_at":"2026-11-22T06:20:27.407981Z","can_restart":true,"seq":N}`,
		`/workertags [/workertags] {"tag":{"id":"g","name":"gpu","description":"fast"},"was_deleted":true,"seq":N}`,
		`/last-rendered [/jobs/j/last-rendered /last-rendered] {"job_id":"j","thumbnail":{"base":"/job-files/j","suffixes":["a.jpg"]}}`,
		`/tasklog [/tasklog/t] {"task_id":"t","log":"a line\n"} local`,
		`/lifecycle [/lifecycle] {"type":"manager-startup"}`,
		`/status [/status] {"status":"asleep"}`,
	}
	var got []string
	for _, m := range f.Rest(t.Context()) {
		text := fmt.Sprintf("%s %s %s", m.Name, m.Rooms, regexp.MustCompile(`"seq":\d+`).ReplaceAll(m.Data, []byte(`"seq":N`)))
		if m.Local {
			text += " local"
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRoomsWithNobodyInThemAreLeftAlone(t *testing.T) {
	t.Parallel()
	for room, change := range map[string]farm.Change{
		"/jobs":                 {Kind: farm.ChangeJob, JobID: "j"},
		"/jobs/j":               {Kind: farm.ChangeTask, JobID: "j", TaskID: "t"},
		"/tasklog/t":            {Kind: farm.ChangeTaskLog, JobID: "j", TaskID: "t"},
		"/jobs/j/last-rendered": {Kind: farm.ChangeLastRendered, JobID: "j"},
		"/workers":              {Kind: farm.ChangeWorker, WorkerID: "w"},
	} {
		if !event.InRoom(change, func(r string) bool { return r == room }) {
			t.Errorf("nobody in %s hears of a change of kind %s", room, change.Kind)
		}
		var asked []string
		if event.InRoom(change, func(r string) bool { asked = append(asked, r); return false }) || !slices.Contains(asked, room) {
			t.Errorf("a change of kind %s would be told in empty rooms; asked for %v", change.Kind, asked)
		}
	}
}
