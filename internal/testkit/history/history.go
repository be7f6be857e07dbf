// SPDX-License-Identifier: GPL-3.0-or-later

// Package history proves from what a farm wrote down, and from what its Workers saw, that every task of a job was
// counted once, that none was lost and that no task which must not run twice did. It knows neither scheduler nor Worker.
package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// Task is what the Manager wrote down of a task.
type Task struct {
	farm.Task
	Attempts []farm.Attempt      // by generation
	Changes  []farm.StatusChange // oldest first
}

// Run is a task that ran on a machine, as its Worker saw it.
type Run struct {
	Task, Assignment string
	Started, Ended   time.Time
	Finished         bool // it came to its end, whoever heard of it
}

// Load reads the history of a job.
func Load(ctx context.Context, st *store.Store, jobID string) ([]Task, error) {
	list, _, err := st.Tasks(ctx, store.TaskList{JobID: jobID})
	if err != nil {
		return nil, err
	}
	tasks := make([]Task, len(list))
	for i, t := range list {
		tasks[i].Task = t
		if tasks[i].Attempts, err = st.Attempts(ctx, t.ID); err != nil {
			return nil, err
		}
		if tasks[i].Changes, err = st.TaskHistory(ctx, t.ID); err != nil {
			return nil, err
		}
	}
	return tasks, nil
}

// Check lists what is wrong with a job that should have come to its end with every task completed.
func Check(tasks []Task, runs []Run) (wrong []string) {
	byTask := map[string][]Run{}
	for _, r := range runs {
		byTask[r.Task] = append(byTask[r.Task], r)
	}
	for _, t := range tasks {
		for _, complaint := range slices.Concat(checkAttempts(t), checkChanges(t), checkRuns(t, byTask[t.ID])) {
			wrong = append(wrong, fmt.Sprintf("task %q: %s", t.Name, complaint))
		}
		delete(byTask, t.ID)
	}
	for id := range byTask {
		wrong = append(wrong, fmt.Sprintf("task %s ran, but is not in the job", id))
	}
	return wrong
}

// checkAttempts: one attempt completed the task, it was the last, and generations count without a gap.
func checkAttempts(t Task) (wrong []string) {
	completed := 0
	for i, a := range t.Attempts {
		if a.Generation != int64(i+1) {
			wrong = append(wrong, fmt.Sprintf("attempt %d has generation %d", i+1, a.Generation))
		}
		if a.Ended.IsZero() || a.Outcome == "" {
			wrong = append(wrong, fmt.Sprintf("attempt %d never ended", i+1))
		}
		if a.Outcome == farm.OutcomeCompleted {
			completed++
			if i != len(t.Attempts)-1 {
				wrong = append(wrong, fmt.Sprintf("it was handed out again after attempt %d had completed it", i+1))
			}
		}
	}
	if completed != 1 {
		wrong = append(wrong, fmt.Sprintf("%d attempts completed it, want exactly one", completed))
	}
	return wrong
}

// checkChanges: the status went from each to the next, and became completed once, at the end.
func checkChanges(t Task) (wrong []string) {
	status, completed := string(farm.TaskQueued), 0
	for _, c := range t.Changes {
		if c.From != status {
			wrong = append(wrong, fmt.Sprintf("it went from %s to %s, but was %s", c.From, c.To, status))
		}
		status = c.To
		if c.To == string(farm.TaskCompleted) {
			completed++
		}
	}
	if completed != 1 || t.Status != farm.TaskCompleted || status != string(farm.TaskCompleted) {
		wrong = append(wrong, fmt.Sprintf("it became completed %d times and is %s, by its history %s", completed, t.Status, status))
	}
	return wrong
}

// describe says when attempts began and ended, and with whom, as the Manager has it.
func describe(attempts []farm.Attempt) (text string) {
	for _, a := range attempts {
		text += fmt.Sprintf("%s with %s slot %d from %s to %s %s (%s); ", a.AssignmentID, a.WorkerName, a.Slot,
			a.Started.Format(time.StampMilli), a.Ended.Format(time.StampMilli), a.Outcome, a.Reason)
	}
	return text
}

// checkRuns: whoever completed it ran it to the end, and no two runs of a task that stops by itself overlap.
func checkRuns(t Task, runs []Run) (wrong []string) {
	for _, a := range t.Attempts {
		if a.Outcome == farm.OutcomeCompleted && !slices.ContainsFunc(runs, func(r Run) bool { return r.Assignment == a.AssignmentID && r.Finished }) {
			wrong = append(wrong, fmt.Sprintf("attempt %d counts as completed, but never came to its end", a.Generation))
		}
	}
	stops := farm.DefaultOnDisconnect(t.Type) == farm.StopOnDisconnect
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Compare(a.Started.UnixNano(), b.Started.UnixNano()) })
	for i := 1; i < len(runs); i++ {
		before, r := runs[i-1], runs[i]
		if stops && r.Started.Before(before.Ended) {
			wrong = append(wrong, fmt.Sprintf("it ran twice at once: until %s as %s, and again from %s as %s; attempts: %s",
				before.Ended.Format(time.StampMilli), before.Assignment, r.Started.Format(time.StampMilli), r.Assignment, describe(t.Attempts)))
		}
	}
	return wrong
}
