// SPDX-License-Identifier: GPL-3.0-or-later

package farm

import "time"

// Worker is a machine, or a part of one, that runs tasks.
type Worker struct {
	ID         string
	Name       string
	Address    string
	Platform   string // GOOS name
	Software   string
	Status     WorkerStatus
	Requested  *StatusRequest // nil = none pending
	TaskTypes  []string
	CanRestart bool
	Created    time.Time
	Updated    time.Time
	LastSeen   time.Time // zero = never
	Session    string    // "" = signed on without one, or never
	Tags       []Tag
	Revision   int64
}

// StatusRequest is a status that a person or a schedule wants a worker to take.
type StatusRequest struct {
	Status WorkerStatus
	Lazy   bool // true = after the present task
}

// Tag groups workers; a job with a tag runs on workers that carry it.
type Tag struct {
	ID          string
	Name        string
	Description string
}

// BlocklistEntry keeps a worker from one task type of a job.
type BlocklistEntry struct {
	WorkerID   string
	WorkerName string
	TaskType   string
}
