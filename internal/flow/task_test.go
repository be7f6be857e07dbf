// SPDX-License-Identifier: GPL-3.0-or-later

package flow_test

import (
	"slices"
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
)

// fields makes statuses of a line of words.
func fields[S ~string](words string) []S {
	var out []S
	for _, w := range strings.Fields(words) {
		out = append(out, S(w))
	}
	return out
}

func TestATaskGoesOnlyWhereItsCauseMayTakeIt(t *testing.T) {
	t.Parallel()
	allowed := map[flow.Cause]map[farm.TaskStatus]string{
		flow.ByPerson: {
			farm.TaskQueued:     "canceled failed",
			farm.TaskActive:     "queued canceled failed",
			farm.TaskCompleted:  "queued",
			farm.TaskSoftFailed: "queued canceled failed",
			farm.TaskFailed:     "queued",
			farm.TaskCanceled:   "queued",
			farm.TaskPaused:     "queued canceled",
		},
		flow.ByWorker: {
			farm.TaskQueued:     "active completed soft-failed failed",
			farm.TaskActive:     "completed soft-failed failed",
			farm.TaskSoftFailed: "active completed failed",
		},
		flow.ByManager: {
			farm.TaskQueued:     "active canceled paused failed",
			farm.TaskActive:     "queued soft-failed failed canceled paused completed",
			farm.TaskCompleted:  "queued",
			farm.TaskSoftFailed: "queued active canceled paused failed",
			farm.TaskFailed:     "queued",
			farm.TaskCanceled:   "queued",
			farm.TaskPaused:     "queued",
		},
	}
	for _, cause := range []flow.Cause{flow.ByPerson, flow.ByWorker, flow.ByManager} {
		for _, from := range farm.TaskStatuses {
			want := append(fields[farm.TaskStatus](allowed[cause][from]), from)
			for _, to := range farm.TaskStatuses {
				err := flow.TaskTransition(cause, from, to)
				if got := err == nil; got != slices.Contains(want, to) {
					t.Errorf("%s: %s to %s: allowed %v, want %v (%v)", cause, from, to, got, !got, err)
				}
				if err != nil && farm.CodeOf(err) != farm.CodeIllegal {
					t.Errorf("%s: %s to %s: code %q", cause, from, to, farm.CodeOf(err))
				}
			}
		}
	}
}

func TestARefusedTaskTransitionSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cause    flow.Cause
		from, to farm.TaskStatus
		want     string
	}{
		{
			flow.ByPerson, farm.TaskActive, farm.TaskCompleted,
			"a task cannot go from active to completed: a person may change a task that is active to queued, failed or canceled",
		},
		{
			flow.ByWorker, farm.TaskCanceled, farm.TaskCompleted,
			"a task cannot go from canceled to completed: a worker may change a task that is canceled to nothing",
		},
		{
			flow.ByManager, farm.TaskCompleted, farm.TaskActive,
			"a task cannot go from completed to active: the Manager may change a task that is completed to queued",
		},
		{
			flow.Cause(9), farm.TaskQueued, farm.TaskActive,
			"a task cannot go from queued to active: nobody may change a task that is queued to nothing",
		},
	} {
		err := flow.TaskTransition(c.cause, c.from, c.to)
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestAnUnknownTaskStatusIsNeverAllowed(t *testing.T) {
	t.Parallel()
	if flow.TaskTransition(flow.ByPerson, "burning", "burning") == nil {
		t.Error("burning to burning is allowed")
	}
	if flow.TaskTransition(flow.ByManager, farm.TaskQueued, "burning") == nil {
		t.Error("queued to burning is allowed")
	}
}

func TestAReturnedTaskWaitsAsItsJobDoes(t *testing.T) {
	t.Parallel()
	want := map[farm.JobStatus]farm.TaskStatus{
		farm.JobUnderConstruction: farm.TaskQueued,
		farm.JobQueued:            farm.TaskQueued,
		farm.JobActive:            farm.TaskQueued,
		farm.JobCompleted:         farm.TaskQueued,
		farm.JobRequeueing:        farm.TaskQueued,
		farm.JobPauseRequested:    farm.TaskPaused,
		farm.JobPaused:            farm.TaskPaused,
		farm.JobCancelRequested:   farm.TaskCanceled,
		farm.JobCanceled:          farm.TaskCanceled,
		farm.JobFailed:            farm.TaskCanceled,
	}
	for _, job := range farm.JobStatuses {
		got := flow.Returned(job)
		if got != want[job] {
			t.Errorf("job %s: task %s, want %s", job, got, want[job])
		}
		if err := flow.TaskTransition(flow.ByManager, farm.TaskActive, got); err != nil {
			t.Errorf("job %s: %v", job, err)
		}
	}
}

func TestALateResultCountsOnlyWhileItsTaskWaitsInAJobThatWantsIt(t *testing.T) {
	t.Parallel()
	jobs := fields[farm.JobStatus]("queued active pause-requested")
	tasks := fields[farm.TaskStatus]("queued soft-failed")
	for _, job := range farm.JobStatuses {
		for _, task := range farm.TaskStatuses {
			want := slices.Contains(jobs, job) && slices.Contains(tasks, task)
			accept, reason := flow.LateResult(job, task)
			if accept != want {
				t.Errorf("job %s, task %s: accept %v", job, task, accept)
			}
			if (reason == "") != accept {
				t.Errorf("job %s, task %s: accept %v with reason %q", job, task, accept, reason)
			}
			if accept && flow.TaskTransition(flow.ByWorker, task, farm.TaskCompleted) != nil {
				t.Errorf("job %s, task %s: accepted, but the table refuses it", job, task)
			}
		}
	}
}
