// SPDX-License-Identifier: GPL-3.0-or-later

// Package flow owns the state machines of jobs, tasks and workers: which status may follow which, who may ask for it,
// and what follows from it. Everything in it is a pure function of its arguments: it knows nothing of storage,
// transport, goroutines or time. Callers read a snapshot, ask flow, and write what it answers in the same transaction.
//
// The tables here are the truth: the functions work from them and docs/reference/state-machines.md is made from them.
package flow

import (
	"slices"
	"strings"

	"flamenco.farm/internal/farm"
)

// Cause says who asks for a change of a task's status.
type Cause int

// Who may ask for a change of a task's status.
const (
	ByPerson  Cause = iota // somebody through the API
	ByWorker               // an update of the worker that runs the task
	ByManager              // the Manager itself: claims, expiry, and whatever follows from a change of the job
)

// String names who asks, to start a sentence in the middle.
func (c Cause) String() string {
	switch c {
	case ByPerson:
		return "a person"
	case ByWorker:
		return "a worker"
	case ByManager:
		return "the Manager"
	}
	return "nobody"
}

// list writes statuses for people: "a", "a or b", "a, b or c", and "nothing" for none.
func list[S ~string](statuses []S) string {
	if len(statuses) == 0 {
		return "nothing"
	}
	words := make([]string, 0, len(statuses))
	for _, s := range statuses {
		words = append(words, string(s))
	}
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// among returns those of all that keep is true for, in the order of all.
func among[S ~string](all []S, keep func(S) bool) []S {
	return slices.DeleteFunc(slices.Clone(all), func(s S) bool { return !keep(s) })
}

// illegal is the error for a change of status that is not allowed.
func illegal(format string, args ...any) error {
	return farm.Errorf(farm.CodeIllegal, format, args...)
}
