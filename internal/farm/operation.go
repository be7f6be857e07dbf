// SPDX-License-Identifier: GPL-3.0-or-later

package farm

import (
	"encoding/json"
	"slices"
	"time"
)

// Operation is something that takes long inside the Manager, such as the deletion of a job.
type Operation struct {
	ID              string
	Kind            string
	Params          json.RawMessage // an object
	Status          OperationStatus
	Activity        string // what it does now, or how it ended
	Done, Total     int64  // how far it is; Total 0 = unknown
	Who             string // user or manager
	Manager         string // the id of the Manager that runs it, or ran it; of one that waits: that alone may run it, "" = any
	Runs            int64  // how often it was started; the present run's number is the epoch of its locks
	Crashes         int64  // how often its process ended without a word
	Created         time.Time
	Started         time.Time // of the last run, zero = not yet
	Ended           time.Time // zero = not yet
	CancelRequested time.Time // zero = not
	Revision        int64
}

// OperationStatus is where an operation stands.
type OperationStatus string

// The statuses of an operation.
const (
	OperationQueued    OperationStatus = "queued"
	OperationRunning   OperationStatus = "running"
	OperationCompleted OperationStatus = "completed"
	OperationFailed    OperationStatus = "failed"
	OperationCanceled  OperationStatus = "canceled"
)

// OperationStatuses lists every status of an operation, in the order documentation shows them.
var OperationStatuses = []OperationStatus{
	OperationQueued, OperationRunning, OperationCompleted, OperationFailed, OperationCanceled,
}

// Valid reports whether s is one of OperationStatuses.
func (s OperationStatus) Valid() bool { return slices.Contains(OperationStatuses, s) }

// Ended reports whether nothing more happens to the operation.
func (s OperationStatus) Ended() bool {
	return s == OperationCompleted || s == OperationFailed || s == OperationCanceled
}

// Lock is a lock that is held: it keeps others off what Name stands for.
type Lock struct {
	Name    string
	Owner   string // id of the operation
	Epoch   int64  // the run of the operation that took it: writes of an earlier run are refused
	Version int64  // grows with each change of the row, so that two who change it at once notice
}
