// SPDX-License-Identifier: GPL-3.0-or-later

package measure

import (
	"encoding/json"
	"io"
	"time"
)

// Report is what a driver prints, on one line.
type Report struct {
	What     string             `json:"what"`
	Managers []string           `json:"managers"`
	Seconds  float64            `json:"seconds"`
	Workers  int                `json:"workers,omitempty"`
	Tasks    int                `json:"tasks_done"`
	Rate     float64            `json:"per_second,omitempty"` // tasks, or what the driver counts instead
	Double   int                `json:"double_assignments"`
	Figures  map[string]float64 `json:"figures,omitempty"` // what only this driver has; the unit ends the name
	Calls    map[string]Latency `json:"calls"`
	Errors   map[string]int     `json:"errors"`
	Servers  []Usage            `json:"servers"` // null = no -pid was given
}

// EventsMissing is the figure of a load that follows events: how many of them did not come.
const EventsMissing = "events_missing"

// Finish fills in what the recorder took and how long all of it was.
func (r *Report) Finish(all *Recorder, took time.Duration) {
	r.Seconds = took.Seconds()
	r.Calls, r.Errors = all.Calls(), all.Errors()
	if took > 0 && r.Rate == 0 {
		r.Rate = float64(r.Tasks) / took.Seconds()
	}
}

// WriteLine prints the report.
func (r *Report) WriteLine(w io.Writer) error { return json.NewEncoder(w).Encode(r) }
