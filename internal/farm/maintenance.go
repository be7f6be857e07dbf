// SPDX-License-Identifier: GPL-3.0-or-later

package farm

import (
	"slices"
	"time"
)

// Maintenance is whether the farm is closed for work: then nothing is handed out and nothing new is taken, and what runs
// may report.
type Maintenance struct {
	On     bool
	Reason string    // for people
	Who    string    // who changed it last
	Since  time.Time // of the last change; zero = there was none
	Epoch  int64     // grows with each change
}

// Refusal is the error for what may not be done during the maintenance; nil when there is none.
func (m Maintenance) Refusal() error {
	if !m.On {
		return nil
	}
	if m.Reason == "" {
		return Errorf(CodeMaintenance, "the farm is in maintenance")
	}
	return Errorf(CodeMaintenance, "the farm is in maintenance: %s", m.Reason)
}

// Awaits lists those of the Managers that are there and do not act by the last change yet.
func (m Maintenance) Awaits(managers []ManagerState) []ManagerState {
	return slices.DeleteFunc(slices.Clone(managers), func(s ManagerState) bool {
		return s.State == ManagerGone || s.Epoch >= m.Epoch
	})
}

// ManagerState is one Manager of the farm, as it last said of itself.
type ManagerState struct {
	ID      string // new at every start
	Name    string // of its machine
	URLs    []string
	Version string
	PID     int
	State   ManagerStatus
	Epoch   int64 // of the Maintenance that it acts by: nothing that this forbids is under way there any more
	Started time.Time
	Seen    time.Time
}

// ManagerStatus is where a Manager stands.
type ManagerStatus string

// The statuses of a Manager. One that was not seen for ManagerGoneAfter counts as gone, whatever it said last.
const (
	ManagerStarting ManagerStatus = "starting"
	ManagerRunning  ManagerStatus = "running"
	ManagerDraining ManagerStatus = "draining" // it finishes what it has begun, and takes nothing new
	ManagerGone     ManagerStatus = "gone"
)

// ManagerStatuses lists every status of a Manager, in the order that it goes through them.
var ManagerStatuses = []ManagerStatus{ManagerStarting, ManagerRunning, ManagerDraining, ManagerGone}

// A Manager says that it is there every ManagerBeat.
const (
	ManagerBeat      = 5 * time.Second
	ManagerGoneAfter = 4 * ManagerBeat
)
