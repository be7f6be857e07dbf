// SPDX-License-Identifier: GPL-3.0-or-later

package bare

import "encoding/json"

// eventTable is where events are written, beside the tables of the Manager.
const eventTable = `CREATE TABLE IF NOT EXISTS bare_events (id %s, created_at BIGINT NOT NULL, topic TEXT NOT NULL, payload TEXT NOT NULL)`

// The payloads of events, with the fields that the API says them with.
type (
	taskEvent struct {
		ID             string `json:"id"`
		JobID          string `json:"job_id"`
		Name           string `json:"name"`
		Updated        int64  `json:"updated"`
		Status         string `json:"status"`
		Previous       string `json:"previous_status"`
		Activity       string `json:"activity"`
		StepsCompleted int    `json:"steps_completed"`
		StepsTotal     int    `json:"steps_total"`
		WorkerID       string `json:"worker"`
	}
	jobEvent struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		Type      string `json:"type"`
		Status    string `json:"status"`
		Priority  int    `json:"priority"`
		Updated   int64  `json:"updated"`
		Queued    int64  `json:"queued"`
		Active    int64  `json:"active"`
		Completed int64  `json:"completed"`
		Done      int64  `json:"steps_completed"`
		Total     int64  `json:"steps_total"`
	}
	workerEvent struct {
		ID      string `json:"id"`
		Updated int64  `json:"updated"`
		Task    string `json:"task"`
	}
)

func payload(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("bare: an event cannot be written as JSON: " + err.Error())
	}
	return string(text)
}
