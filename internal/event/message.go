// SPDX-License-Identifier: GPL-3.0-or-later

package event

import (
	"encoding/json"

	"flamenco.farm/internal/farm"
)

// The rooms that are about everything of a kind, and the beginnings of those that are about one thing. Rooms are also
// the topics of MQTT, behind a prefix.
const (
	RoomLifecycle    = "/lifecycle"
	RoomStatus       = "/status"
	RoomChat         = "/chat"
	RoomJobs         = "/jobs"
	RoomWorkers      = "/workers"
	RoomWorkerTags   = "/workertags"
	RoomLastRendered = "/last-rendered"

	roomTaskLogs = "/tasklog"
)

// JobRoom is the room of the tasks of a job.
func JobRoom(jobID string) string { return RoomJobs + "/" + jobID }

// JobLastRenderedRoom is the room of the pictures of a job.
func JobLastRenderedRoom(jobID string) string { return JobRoom(jobID) + RoomLastRendered }

// TaskLogRoom is the room of what a task writes to its log.
func TaskLogRoom(taskID string) string { return roomTaskLogs + "/" + taskID }

// Message is an event as clients get it.
type Message struct {
	Name  string   // the name of the event
	Rooms []string // where it is told; also the topics of MQTT, unless Local
	Also  string   // a further room that is no topic of MQTT, "" = none
	Local bool     // not for MQTT
	Data  []byte   // JSON
}

// roomsOf are the rooms in which a change is told.
func roomsOf(c farm.Change) []string {
	switch c.Kind {
	case farm.ChangeJob:
		return []string{RoomJobs}
	case farm.ChangeTask:
		return []string{JobRoom(c.JobID)}
	case farm.ChangeWorker:
		return []string{RoomWorkers}
	case farm.ChangeTag:
		return []string{RoomWorkerTags}
	case farm.ChangeLastRendered:
		return []string{JobLastRenderedRoom(c.JobID), RoomLastRendered}
	case farm.ChangeTaskLog:
		return []string{TaskLogRoom(c.TaskID)}
	case farm.ChangeLifecycle:
		return []string{RoomLifecycle}
	case farm.ChangeStatus:
		return []string{RoomStatus}
	}
	return nil
}

// InRoom reports whether a change is told in a room that has anybody in it.
func InRoom(c farm.Change, occupied func(room string) bool) bool {
	if c.Kind == farm.ChangeJob { // also for those who look at its tasks
		return occupied(RoomJobs) || occupied(JobRoom(c.JobID))
	}
	for _, r := range roomsOf(c) {
		if occupied(r) {
			return true
		}
	}
	return false
}

// StatusMessage tells the status of the farm.
func StatusMessage(s farm.StatusReport) Message {
	return encode(farm.Change{Kind: farm.ChangeStatus, Now: s}, 0)
}

// encode says a change, which is complete, in the words of the API.
func encode(c farm.Change, seq int64) Message {
	name, payload := payloadOf(c, seq)
	data, err := json.Marshal(payload)
	if err != nil {
		panic("event: a payload cannot be written as JSON: " + err.Error()) // they hold texts, numbers and times
	}
	m := Message{Name: name, Rooms: roomsOf(c), Data: data, Local: c.Kind == farm.ChangeTaskLog}
	if c.Kind == farm.ChangeJob && c.JobNow().RefreshTasks {
		m.Also = JobRoom(c.JobID)
	}
	return m
}
