// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"encoding/json"

	"flamenco.farm/internal/farm"
)

// storedChange is a change as the table of events keeps it: what it is about, not what clients are told of it, which
// whoever needs it reads when he tells it.
type storedChange struct {
	Kind      farm.ChangeKind `json:"k"`
	JobID     string          `json:"j,omitempty"`
	TaskID    string          `json:"t,omitempty"`
	WorkerID  string          `json:"w,omitempty"`
	TaskTypes []string        `json:"y,omitempty"`
	TagID     string          `json:"g,omitempty"`
	Operation string          `json:"o,omitempty"`
	Was       string          `json:"s,omitempty"`
	Moved     bool            `json:"m,omitempty"`
	Mass      bool            `json:"a,omitempty"`
	Log       *[3]int64       `json:"l,omitempty"` // generation, from, to
}

func encodeChanges(changes []farm.Change) (string, error) {
	stored := make([]storedChange, len(changes))
	for i, c := range changes {
		stored[i] = storedChange{
			Kind: c.Kind, JobID: c.JobID, TaskID: c.TaskID, WorkerID: c.WorkerID, TaskTypes: c.TaskTypes, TagID: c.TagID,
			Operation: c.OperationID, Was: c.Was, Moved: c.Moved, Mass: c.Mass,
		}
		if l := c.Log; l != nil {
			stored[i].Log = &[3]int64{l.Generation, l.From, l.To}
		}
	}
	text, err := json.Marshal(stored)
	return string(text), err
}

func decodeChanges(text string) ([]farm.Change, error) {
	var stored []storedChange
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, err
	}
	changes := make([]farm.Change, len(stored))
	for i, c := range stored {
		changes[i] = farm.Change{
			Kind: c.Kind, JobID: c.JobID, TaskID: c.TaskID, WorkerID: c.WorkerID, TaskTypes: c.TaskTypes, TagID: c.TagID,
			OperationID: c.Operation, Was: c.Was, Moved: c.Moved, Mass: c.Mass, Remote: true,
		}
		if l := c.Log; l != nil {
			changes[i].Log = &farm.LogPart{Generation: l[0], From: l[1], To: l[2]}
		}
	}
	return changes, nil
}
