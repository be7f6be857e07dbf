// SPDX-License-Identifier: GPL-3.0-or-later

package flow_test

import (
	"slices"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
)

func TestTheDeletionOfAJobCancelsWhatCouldStillRunAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, status := range farm.JobStatuses {
		for _, task := range farm.TaskStatuses {
			var counts farm.TaskCounts
			counts.Add(task, 1)
			step := flow.DeletionStep(flow.Job{Status: status, Counts: counts, RequeueCompleted: true})
			if canceled := slices.Contains(step.Tasks, task); canceled != (task.Waiting() || task == farm.TaskActive) {
				t.Errorf("a task that is %s of a job that is %s: canceled %v", task, status, canceled)
			}
			if step.Status != "" || (!step.None() && step.TasksTo != farm.TaskCanceled) {
				t.Errorf("%s, %s: %+v", status, task, step)
			}
		}
	}
}
