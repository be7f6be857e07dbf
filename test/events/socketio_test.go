// SPDX-License-Identifier: GPL-3.0-or-later

package events

import (
	"bytes"
	"strings"
	"testing"

	"flamenco.farm/internal/config"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

func TestClientsOfBothVersionsHearOfAJobFromItsSubmissionToItsEnd(t *testing.T) {
	t.Parallel()
	f := startSite(t, func(*config.Config) {})
	clients := []*socket{
		f.connect(t, "2", "websocket"), f.connect(t, "4", "websocket"), f.connect(t, "4", "polling"),
		f.connect(t, "2", "polling+websocket"), f.connect(t, "4", "polling+websocket"),
	}
	for _, c := range clients {
		c.subscribe("allJobs", "")
		c.subscribe("allWorkers", "")
	}
	job := f.submit("grüße, farm", 2)
	tasks, err := client.Collect(f.Tasks(t.Context(), job.ID, client.List{}))
	if err != nil || len(tasks) != 3 {
		t.Fatalf("%v: %v", tasks, err)
	}
	for _, c := range clients {
		c.subscribe("job", job.ID)
		for _, task := range tasks {
			c.subscribe("tasklog", task.ID)
		}
	}
	f.begin(job.ID)
	f.worker("events")
	for _, c := range clients {
		c.until("the job is completed and the farm idle", func() bool {
			jobs, states := decode[api.EventJobUpdate](t, c.of("/jobs")), decode[api.EventFarmStatus](t, c.of("/status"))
			return last(jobs).Status == api.JobStatusCompleted && last(states).Status == api.FarmStatusIdle
		})
		c.heardTheJob(job)
		for _, task := range tasks {
			c.heardTheTask(task)
			c.heardTheLog(f, task.ID)
		}
		c.heardTheWorker()
	}
	clients[0].emit("/chat", map[string]string{"text": "from 2 to 4"})
	clients[1].emit("/chat", map[string]string{"text": "from 4 to 2"})
	for _, c := range clients {
		c.until("both messages arrived", func() bool { return len(c.of("/chat")) == 2 })
		if got := string(bytes.Join([][]byte{c.of("/chat")[0], c.of("/chat")[1]}, nil)); got != `{"text":"from 2 to 4"}{"text":"from 4 to 2"}` {
			t.Errorf("%s hears %s", c.name, got)
		}
	}
	f.stop()
	for _, c := range clients {
		c.until("the Manager said goodbye", func() bool { return len(c.of("/lifecycle")) == 1 })
		if got := decode[api.EventLifeCycle](t, c.of("/lifecycle"))[0].Type; got != api.LifeCycleEventTypeManagerShutdown {
			t.Errorf("%s hears %s", c.name, got)
		}
	}
}

// last is the newest event, empty if there is none.
func last[T any](events []T) (t T) {
	if len(events) > 0 {
		t = events[len(events)-1]
	}
	return t
}

// heardTheJob checks that each event goes on where the one before ended, and what the last one says.
func (s *socket) heardTheJob(job api.Job) {
	s.t.Helper()
	updates := decode[api.EventJobUpdate](s.t, s.of("/jobs"))
	status, seq := api.JobStatus(""), int64(0)
	for i, u := range updates {
		var previous api.JobStatus
		if u.PreviousStatus != nil {
			previous = *u.PreviousStatus
		}
		if u.ID != job.ID || *u.Name != job.Name || u.Type != job.Type || u.StepsTotal != 3 || previous != status || *u.Seq <= seq {
			s.t.Errorf("%s, event %d of the job: %+v after status %q", s.name, i, u, status)
		}
		status, seq = u.Status, *u.Seq
	}
	end := last(updates)
	if end.StepsCompleted != 3 || end.TaskCounts.Completed != 3 || end.TaskCounts.Queued+end.TaskCounts.Active != 0 {
		s.t.Errorf("%s, the last event of the job: %+v, %+v", s.name, end, end.TaskCounts)
	}
}

func (s *socket) heardTheTask(task api.TaskSummary) {
	s.t.Helper()
	var updates []api.EventTaskUpdate
	for _, u := range decode[api.EventTaskUpdate](s.t, s.of("/task")) {
		if u.ID == task.ID {
			updates = append(updates, u)
		}
	}
	status, ran := api.TaskStatusQueued, false
	for i, u := range updates {
		if u.PreviousStatus == nil || *u.PreviousStatus != status || u.Name != task.Name || *u.IndexInJob != task.IndexInJob ||
			u.Worker == nil || u.Worker.Name != "events" || *u.TaskType != "misc" {
			s.t.Errorf("%s, event %d of task %s: %+v after status %q", s.name, i, task.Name, u, status)
		}
		status = u.Status
		ran = ran || (status == api.TaskStatusActive)
	}
	if end := last(updates); status != api.TaskStatusCompleted || end.Activity != "Completed" || end.StepsCompleted != end.StepsTotal {
		s.t.Errorf("%s, the last event of task %s: %+v", s.name, task.Name, end)
	}
	if !ran && strings.HasPrefix(task.Name, "sleep") {
		s.t.Errorf("%s did not hear that task %s ran", s.name, task.Name)
	}
}

// heardTheLog checks that what was told of a log is the log.
func (s *socket) heardTheLog(f *site, taskID string) {
	s.t.Helper()
	var whole bytes.Buffer
	if err := f.TaskLog(s.t.Context(), taskID, &whole); err != nil {
		s.t.Fatal(err)
	}
	live := func() (text string) {
		for _, u := range decode[api.EventTaskLogUpdate](s.t, s.of("/tasklog")) {
			if u.TaskID == taskID {
				text += u.Log
			}
		}
		return text
	}
	s.until("the last line of the log arrived", func() bool { return len(live()) >= whole.Len() })
	if live() != whole.String() {
		s.t.Errorf("%s hears the log\n%s\ninstead of\n%s", s.name, live(), &whole)
	}
}

func (s *socket) heardTheWorker() {
	s.t.Helper()
	updates := decode[api.EventWorkerUpdate](s.t, s.of("/workers"))
	status := api.WorkerStatus("")
	for i, u := range updates {
		if (u.PreviousStatus == nil) != (i == 0) || (i > 0 && *u.PreviousStatus != status) || u.Name != "events" {
			s.t.Errorf("%s, event %d of the Worker: %+v after status %q", s.name, i, u, status)
		}
		status = u.Status
	}
	if status != api.WorkerStatusAwake {
		s.t.Errorf("%s hears that the Worker is %s", s.name, status)
	}
	var states []string
	for _, u := range decode[api.EventFarmStatus](s.t, s.of("/status")) {
		states = append(states, string(u.Status))
	}
	if got := strings.Join(states, " "); !strings.HasSuffix(got, "active idle") {
		s.t.Errorf("%s hears that the farm is %s", s.name, got)
	}
}

func TestAMassChangeIsOneEventThatTellsClientsToReadTheTasks(t *testing.T) {
	t.Parallel()
	f := startSite(t, func(*config.Config) {})
	all, one := f.connect(t, "2", "websocket"), f.connect(t, "4", "websocket")
	all.subscribe("allJobs", "")
	job := f.submit("hello", 500)
	one.subscribe("job", job.ID)
	if err := f.SetJobStatus(t.Context(), job.ID, api.JobStatusCancelRequested, "enough"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*socket{all, one} {
		c.until("it has to read the tasks again", func() bool {
			u := last(decode[api.EventJobUpdate](t, c.of("/jobs")))
			return u.RefreshTasks && u.TaskCounts.Canceled == 501
		})
		if n := len(c.of("/task")); n > 0 {
			t.Errorf("%s hears %d events of tasks", c.name, n)
		}
	}
}
