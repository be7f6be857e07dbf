// SPDX-License-Identifier: GPL-3.0-or-later

package event

import (
	"time"

	"flamenco.farm/internal/farm"
)

func payloadOf(c farm.Change, seq int64) (name string, payload any) {
	switch c.Kind {
	case farm.ChangeJob:
		return "/jobs", jobPayload(*c.JobNow(), seq)
	case farm.ChangeTask:
		return "/task", taskPayload(*c.TaskNow(), seq)
	case farm.ChangeWorker:
		return "/workers", workerPayload(*c.WorkerNow(), seq)
	case farm.ChangeTag:
		t := c.TagNow()
		return "/workertags", tagUpdate{Tag: tag{ID: t.ID, Name: t.Name, Description: t.Description}, WasDeleted: t.Deleted, Seq: seq}
	case farm.ChangeLastRendered:
		l := c.Now.(*farm.LastRendered)
		return "/last-rendered", lastRenderedUpdate{JobID: l.JobID, Thumbnail: thumbnail{Base: l.Base, Suffixes: l.Suffixes}}
	case farm.ChangeTaskLog:
		return "/tasklog", taskLogUpdate{TaskID: c.TaskID, Log: c.LogNow()}
	case farm.ChangeLifecycle:
		return "/lifecycle", lifecycleUpdate{Type: c.Now}
	case farm.ChangeStatus:
		return "/status", statusUpdate(c.Now.(farm.StatusReport))
	}
	panic("event: nobody is told of a change of kind " + string(c.Kind))
}

type jobUpdate struct {
	ID                string         `json:"id"`
	Name              string         `json:"name"`
	Updated           time.Time      `json:"updated"`
	Status            farm.JobStatus `json:"status"`
	PreviousStatus    farm.JobStatus `json:"previous_status,omitempty"`
	Type              string         `json:"type"`
	Priority          int            `json:"priority"`
	RefreshTasks      bool           `json:"refresh_tasks"`
	StepsCompleted    int            `json:"steps_completed"`
	StepsTotal        int            `json:"steps_total"`
	DeleteRequestedAt *time.Time     `json:"delete_requested_at,omitempty"`
	WasDeleted        bool           `json:"was_deleted,omitempty"`
	TaskCounts        *taskCounts    `json:"task_counts,omitempty"`
	Seq               int64          `json:"seq"`
}

type taskCounts struct {
	Queued     int `json:"queued"`
	Active     int `json:"active"`
	Completed  int `json:"completed"`
	SoftFailed int `json:"soft_failed"`
	Failed     int `json:"failed"`
	Canceled   int `json:"canceled"`
	Paused     int `json:"paused"`
}

func jobPayload(j farm.JobChange, seq int64) jobUpdate {
	u := jobUpdate{
		ID: j.ID, Name: j.Name, Updated: j.Updated, Status: j.Status, PreviousStatus: j.Previous, Type: j.Type,
		Priority: j.Priority, RefreshTasks: j.RefreshTasks, StepsCompleted: j.StepsCompleted, StepsTotal: j.StepsTotal,
		DeleteRequestedAt: optional(j.DeleteRequestedAt), WasDeleted: j.Deleted, Seq: seq,
	}
	if !j.Deleted {
		counts := taskCounts(j.Tasks)
		u.TaskCounts = &counts
	}
	return u
}

type taskUpdate struct {
	ID             string          `json:"id"`
	JobID          string          `json:"job_id"`
	Worker         *assignedWorker `json:"worker,omitempty"`
	Name           string          `json:"name"`
	Updated        time.Time       `json:"updated"`
	Status         farm.TaskStatus `json:"status"`
	PreviousStatus farm.TaskStatus `json:"previous_status,omitempty"`
	Activity       string          `json:"activity"`
	StepsCompleted int             `json:"steps_completed"`
	StepsTotal     int             `json:"steps_total"`
	IndexInJob     int             `json:"index_in_job"`
	TaskType       string          `json:"task_type"`
	Seq            int64           `json:"seq"`
}

type assignedWorker struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
}

func taskPayload(t farm.TaskChange, seq int64) taskUpdate {
	u := taskUpdate{
		ID: t.ID, JobID: t.JobID, Name: t.Name, Updated: t.Updated, Status: t.Status, PreviousStatus: t.Previous,
		Activity: t.Activity, StepsCompleted: t.StepsCompleted, StepsTotal: t.StepsTotal, IndexInJob: t.IndexInJob,
		TaskType: t.Type, Seq: seq,
	}
	if t.WorkerID != "" {
		u.Worker = &assignedWorker{Name: t.WorkerName, UUID: t.WorkerID}
	}
	return u
}

type workerUpdate struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Updated        time.Time         `json:"updated"`
	LastSeen       *time.Time        `json:"last_seen,omitempty"`
	Status         farm.WorkerStatus `json:"status"`
	PreviousStatus farm.WorkerStatus `json:"previous_status,omitempty"`
	StatusChange   *statusChange     `json:"status_change,omitempty"`
	Version        string            `json:"version"`
	DeletedAt      *time.Time        `json:"deleted_at,omitempty"`
	CanRestart     bool              `json:"can_restart"`
	Seq            int64             `json:"seq"`
}

type statusChange struct {
	Status farm.WorkerStatus `json:"status"`
	IsLazy bool              `json:"is_lazy"`
}

func workerPayload(w farm.WorkerChange, seq int64) workerUpdate {
	u := workerUpdate{
		ID: w.ID, Name: w.Name, Updated: w.Updated, LastSeen: optional(w.LastSeen), Status: w.Status,
		PreviousStatus: w.Previous, Version: w.Software, DeletedAt: optional(w.DeletedAt), CanRestart: w.CanRestart, Seq: seq,
	}
	if w.Requested != nil {
		u.StatusChange = &statusChange{Status: w.Requested.Status, IsLazy: w.Requested.Lazy}
	}
	return u
}

type tagUpdate struct {
	Tag        tag   `json:"tag"`
	WasDeleted bool  `json:"was_deleted,omitempty"`
	Seq        int64 `json:"seq"`
}

type tag struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

type lastRenderedUpdate struct {
	JobID     string    `json:"job_id"`
	Thumbnail thumbnail `json:"thumbnail"`
}

type thumbnail struct {
	Base     string   `json:"base"`
	Suffixes []string `json:"suffixes"`
}

type taskLogUpdate struct {
	TaskID string       `json:"task_id"`
	Log    farm.TaskLog `json:"log"`
}

type lifecycleUpdate struct {
	Type any `json:"type"`
}

type statusUpdate struct {
	Status   farm.Status `json:"status"`
	Problems []string    `json:"problems,omitempty"`
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
