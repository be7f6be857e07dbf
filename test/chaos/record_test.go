// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/testkit/history"
)

// record is what the Workers saw, and how much of what went wrong.
type record struct {
	mu         sync.Mutex
	runs       []history.Run
	results    map[string]*result // by assignment
	assigned   map[string]bool    // all assignments of simulated Workers
	lines      map[string]update  // that must be in a log, by line
	complaints []string

	// counted with count
	kills, stops, restarts                      int // of programs and of the database
	outages, freezes, crashes, doubled, delayed int // of simulated Workers
	fenced, toldToStop, conflicts, refused      int // what came of it
}

// result is what Workers heard when they said that they had completed a task.
type result struct{ accepted, refused int }

func newRecord() *record {
	return &record{results: map[string]*result{}, assigned: map[string]bool{}, lines: map[string]update{}}
}

// given notes that a simulated Worker was given an assignment.
func (r *record) given(assignment string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.assigned[assignment] = true
}

func (r *record) count(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}

func (r *record) read(n *int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *n
}

// complain notes something that must never be seen.
func (r *record) complain(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}

func (r *record) ran(run history.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, run)
}

// told notes what a Worker heard of an update.
func (r *record) told(u update, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.status != http.StatusNoContent && a.status != http.StatusConflict && a.status < 500 {
		r.complaints = append(r.complaints, fmt.Sprintf("an update was answered %d %s", a.status, a.body))
	}
	if a.status == http.StatusConflict {
		r.refused++
	}
	if u.status != farm.TaskCompleted {
		return
	}
	of := r.results[u.assignment]
	if of == nil {
		of = &result{}
		r.results[u.assignment] = of
	}
	switch a.status {
	case http.StatusNoContent:
		of.accepted++
		r.lines[u.log] = u // nothing can have come after it
	case http.StatusConflict:
		of.refused++
	}
}

// check lists what is wrong, given what the farm wrote down and what ran beside the simulated Workers.
func (r *record) check(tasks []history.Task, others []history.Run) (wrong []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wrong = slices.Concat(r.complaints, history.Check(tasks, slices.Concat(r.runs, others)))
	known := map[string]bool{}
	for _, t := range tasks {
		for i, a := range t.Attempts {
			known[a.AssignmentID] = true
			heard := r.results[a.AssignmentID]
			if heard == nil {
				continue
			}
			counts := a.Outcome == farm.OutcomeCompleted && i == len(t.Attempts)-1
			switch {
			case heard.accepted > 0 && !counts:
				wrong = append(wrong, fmt.Sprintf("task %q: attempt %d of %d ended as %s, but its worker was told that its result counts",
					t.Name, i+1, len(t.Attempts), a.Outcome))
			case heard.refused > 0 && a.Outcome == farm.OutcomeCompleted:
				wrong = append(wrong, fmt.Sprintf("task %q: attempt %d counts, but its worker was told that it does not", t.Name, i+1))
			}
		}
	}
	for assignment := range r.results {
		if !known[assignment] {
			wrong = append(wrong, fmt.Sprintf("assignment %s is nowhere in the history", assignment))
		}
	}
	return wrong
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d programs killed, %d stopped, database restarted %d times; ", r.kills, r.stops, r.restarts)
	fmt.Fprintf(&b, "Workers: %d cut off, %d frozen, %d crashed; updates: %d doubled, %d late; ", r.outages, r.freezes, r.crashes, r.doubled, r.delayed)
	fmt.Fprintf(&b, "%d runs, %d ended by their lease, %d by a no, %d updates refused, %d sessions refused",
		len(r.runs), r.fenced, r.toldToStop, r.refused, r.conflicts)
	return b.String()
}
