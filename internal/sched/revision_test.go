// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
)

func TestAChangeForARevisionThatIsOverChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	id := f.job(1, "misc")
	task := f.tasks(id)[0]
	before := f.getJob(id).Revision
	f.must(f.SetJobPriority(f.ctx(), id, 60, sched.AtRevision(before)))
	stale := sched.AtRevision(before)
	f.refused(f.SetJobPriority(f.ctx(), id, 70, stale), farm.CodePrecondition)
	f.refused(f.SetJobTag(f.ctx(), id, "", stale), farm.CodePrecondition)
	f.refused(f.SetJobStatus(f.ctx(), id, farm.JobCancelRequested, "", "user", stale), farm.CodePrecondition)
	f.refused(f.SetTaskStatus(f.ctx(), task, farm.TaskCanceled, "", "user", sched.AtRevision(f.task(task).Revision+1)), farm.CodePrecondition)
	if got := f.getJob(id); got.Priority != 60 || got.Status != farm.JobQueued {
		t.Errorf("a refused change left priority %d and status %s", got.Priority, got.Status)
	}
}
