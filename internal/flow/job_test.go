// SPDX-License-Identifier: GPL-3.0-or-later

package flow_test

import (
	"slices"
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
)

func TestAJobGoesOnlyWhereAPersonMaySendIt(t *testing.T) {
	t.Parallel()
	// For each status asked: which statuses lead where, and which are there already.
	type answer struct{ to, from, reached string }
	requeue := "under-construction completed failed canceled pause-requested paused"
	cancel := answer{
		"cancel-requested", "under-construction queued active failed pause-requested paused requeueing",
		"cancel-requested canceled",
	}
	pause := answer{"pause-requested", "queued active canceled", "pause-requested paused"}
	want := map[farm.JobStatus]answer{
		farm.JobCancelRequested:   cancel,
		farm.JobCanceled:          cancel,
		farm.JobPauseRequested:    pause,
		farm.JobPaused:            pause,
		farm.JobRequeueing:        {"requeueing", requeue, "requeueing"},
		farm.JobQueued:            {"requeueing", requeue, "queued active requeueing"},
		farm.JobFailed:            {"failed", "queued active pause-requested paused", "failed"},
		farm.JobActive:            {reached: "active"},
		farm.JobCompleted:         {reached: "completed"},
		farm.JobUnderConstruction: {reached: "under-construction"},
	}
	for _, asked := range farm.JobStatuses {
		w := want[asked]
		for _, from := range farm.JobStatuses {
			to, ok, err := flow.JobRequest(from, asked)
			switch {
			case slices.Contains(fields[farm.JobStatus](w.from), from):
				if err != nil || !ok || to != farm.JobStatus(w.to) {
					t.Errorf("%s asked to be %s: %q %v %v, want %s", from, asked, to, ok, err, w.to)
				}
			case slices.Contains(fields[farm.JobStatus](w.reached), from):
				if err != nil || ok {
					t.Errorf("%s asked to be %s: %q %v %v, want nothing to do", from, asked, to, ok, err)
				}
			default:
				if farm.CodeOf(err) != farm.CodeIllegal || ok {
					t.Errorf("%s asked to be %s: %q %v %v, want a refusal", from, asked, to, ok, err)
				}
			}
		}
	}
}

func TestARefusedJobRequestSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	_, _, err := flow.JobRequest(farm.JobCompleted, farm.JobPaused)
	want := "a job cannot go from completed to paused: a person may change a job that is completed to queued or requeueing"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, _, err := flow.JobRequest(farm.JobQueued, "burning"); farm.CodeOf(err) != farm.CodeIllegal {
		t.Errorf("unknown status: %v", err)
	}
}

func TestRequeueingATaskRevivesAnEndedJob(t *testing.T) {
	t.Parallel()
	want := map[farm.JobStatus]farm.JobStatus{
		farm.JobCompleted:      farm.JobQueued,
		farm.JobFailed:         farm.JobQueued,
		farm.JobCanceled:       farm.JobQueued,
		farm.JobQueued:         farm.JobQueued,
		farm.JobActive:         farm.JobActive,
		farm.JobPaused:         farm.JobPaused,
		farm.JobPauseRequested: farm.JobPauseRequested,
		farm.JobRequeueing:     farm.JobRequeueing,
	}
	for _, job := range farm.JobStatuses {
		got, err := flow.RequeueTask(job)
		if got != want[job] {
			t.Errorf("%s: %q, want %q", job, got, want[job])
		}
		if refused := farm.CodeOf(err) == farm.CodeIllegal; refused != (want[job] == "") {
			t.Errorf("%s: %v", job, err)
		}
	}
}

func TestNextStepBringsAJobToRest(t *testing.T) {
	t.Parallel()
	type job = flow.Job
	type counts = farm.TaskCounts
	for _, c := range []struct {
		name string
		job  job
		want string // "", "job: status" or "tasks: from > to"
	}{
		{"under construction waits", job{Status: farm.JobUnderConstruction}, ""},
		{"a queued job without tasks is completed", job{Status: farm.JobQueued}, "job: completed"},
		{"a queued job waits for a worker", job{Status: farm.JobQueued, Counts: counts{Queued: 3}, Ready: 1}, ""},
		{
			"a requeued job is queued until a task runs",
			job{Status: farm.JobQueued, Counts: counts{Queued: 3, Completed: 2, Failed: 1}, Ready: 1},
			"",
		},
		{"a queued job with a running task is active", job{Status: farm.JobQueued, Counts: counts{Active: 1}}, "job: active"},
		{"a queued job may be completed already", job{Status: farm.JobQueued, Counts: counts{Completed: 2}}, "job: completed"},
		{"an active job goes on while a task runs", job{Status: farm.JobActive, Counts: counts{Active: 1, Queued: 3}}, ""},
		{"an active job goes on while a task is ready", job{Status: farm.JobActive, Counts: counts{Queued: 3, Failed: 1}, Ready: 1}, ""},
		{"an active job stays active without a running task", job{Status: farm.JobActive, Counts: counts{SoftFailed: 3}, Ready: 3}, ""},
		{"an active job is completed with its last task", job{Status: farm.JobActive, Counts: counts{Completed: 4}}, "job: completed"},
		{
			"a job whose last tasks wait for a failed one fails",
			job{Status: farm.JobActive, Counts: counts{Completed: 18, Failed: 1, Queued: 1}},
			"job: failed (nothing is left that can run: 1 task failed)",
		},
		{
			"a job whose last tasks wait for a canceled one is canceled",
			job{Status: farm.JobActive, Counts: counts{Completed: 18, Canceled: 2, Queued: 1, Paused: 1}},
			"job: cancel-requested (nothing is left that can run: 2 tasks canceled)",
		},
		{
			"a job with nothing but paused tasks is paused",
			job{Status: farm.JobQueued, Counts: counts{Completed: 1, Paused: 3}},
			"job: pause-requested (nothing is left that can run: 3 tasks paused)",
		},
		{
			"a job whose tasks wait for one another fails",
			job{Status: farm.JobQueued, Counts: counts{Queued: 2}},
			"job: failed (nothing is left that can run: its tasks wait for one another)",
		},
		{
			"the share of failed tasks does not matter here",
			job{Status: farm.JobActive, Counts: counts{Failed: 9, Queued: 1}, Ready: 1},
			"",
		},
		{"a completed job rests", job{Status: farm.JobCompleted, Counts: counts{Completed: 1}}, ""},
		{"a completed job with a requeued task runs again", job{Status: farm.JobCompleted, Counts: counts{Completed: 1, Queued: 1}, Ready: 1}, "job: queued"},
		{
			"a failed job takes its tasks along",
			job{Status: farm.JobFailed, Counts: counts{Failed: 1, SoftFailed: 1}},
			"tasks: queued active soft-failed > canceled (the job is failed)",
		},
		{"a failed job rests", job{Status: farm.JobFailed, Counts: counts{Failed: 1, Completed: 1, Canceled: 1, Paused: 1}}, ""},
		{
			"a canceled job leaves nothing running",
			job{Status: farm.JobCanceled, Counts: counts{Active: 1}},
			"tasks: queued active soft-failed > canceled (the job is canceled)",
		},
		{"a canceled job rests", job{Status: farm.JobCanceled, Counts: counts{Failed: 1, Completed: 1, Canceled: 1, Paused: 1}}, ""},
		{
			"cancelling takes the tasks first",
			job{Status: farm.JobCancelRequested, Counts: counts{Queued: 1, Paused: 1}},
			"tasks: queued active soft-failed > canceled (the job is cancel-requested)",
		},
		{
			"cancelling leaves paused and failed tasks",
			job{Status: farm.JobCancelRequested, Counts: counts{Paused: 1, Failed: 1}},
			"job: canceled",
		},
		{
			"pausing takes waiting tasks",
			job{Status: farm.JobPauseRequested, Counts: counts{SoftFailed: 1, Active: 1}},
			"tasks: queued soft-failed > paused (the job is pause-requested)",
		},
		{"pausing waits for running tasks", job{Status: farm.JobPauseRequested, Counts: counts{Paused: 1, Active: 1}}, ""},
		{"pausing ends paused", job{Status: farm.JobPauseRequested, Counts: counts{Paused: 1, Completed: 1}}, "job: paused"},
		{"pausing ends completed if nothing is left", job{Status: farm.JobPauseRequested, Counts: counts{Completed: 1}}, "job: completed"},
		{"a paused job rests, queued tasks included", job{Status: farm.JobPaused, Counts: counts{Queued: 4}, Ready: 4}, ""},
		{
			"requeueing keeps completed tasks",
			job{Status: farm.JobRequeueing, Counts: counts{Canceled: 1, Completed: 1}},
			"tasks: soft-failed failed canceled paused > queued (the job is requeueing)",
		},
		{"requeueing ends queued", job{Status: farm.JobRequeueing, Counts: counts{Queued: 1, Completed: 1, Active: 1}}, "job: queued"},
		{
			"requeueing a completed job takes all",
			job{Status: farm.JobRequeueing, Counts: counts{Queued: 1, Completed: 1}, RequeueCompleted: true},
			"tasks: soft-failed failed canceled paused completed > queued (the job is requeueing)",
		},
		{
			"requeueing a completed job ends queued",
			job{Status: farm.JobRequeueing, Counts: counts{Queued: 2}, RequeueCompleted: true},
			"job: queued",
		},
		{"an unknown status has no next step", job{Status: "burning", Counts: counts{Queued: 2}}, ""},
	} {
		if got := describe(flow.NextStep(c.job)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func describe(s flow.Step) string {
	var words strings.Builder
	switch {
	case s.None():
		return ""
	case s.Status != "":
		words.WriteString("job: " + string(s.Status))
	default:
		words.WriteString("tasks:")
		for _, f := range s.Tasks {
			words.WriteString(" " + string(f))
		}
		words.WriteString(" > " + string(s.TasksTo))
	}
	if s.Reason != "" {
		words.WriteString(" (" + s.Reason + ")")
	}
	return words.String()
}

// TestEveryJobComesToRestInFewSteps tries every status with every small number of tasks of each status.
func TestEveryJobComesToRestInFewSteps(t *testing.T) {
	t.Parallel()
	seen := map[farm.JobStatus][]farm.JobStatus{}
	const kinds, most = 7, 3 // 0, 1 or 2 tasks of each of seven statuses
	for n := range 2187 {    // most to the power of kinds
		var counts farm.TaskCounts
		for i, rest := 0, n; i < kinds; i, rest = i+1, rest/most {
			counts.Add(farm.TaskStatuses[i], rest%most)
		}
		for _, status := range farm.JobStatuses {
			for _, chained := range []bool{false, true} {
				restsInFewSteps(t, flow.Job{Status: status, Counts: counts, RequeueCompleted: status == farm.JobRequeueing && n%2 == 0}, chained, seen)
			}
		}
	}
	for _, r := range flow.StepTable() {
		slices.Sort(seen[r.Status])
		to := slices.Sorted(slices.Values(r.To))
		if !slices.Equal(seen[r.Status], to) {
			t.Errorf("%s: the table says it may become %v, it became %v", r.Status, r.To, seen[r.Status])
		}
	}
}

// restsInFewSteps follows the steps of j and notes in seen which status followed which. In a chained job all tasks wait
// for one that cannot run.
func restsInFewSteps(t *testing.T, j flow.Job, chained bool, seen map[farm.JobStatus][]farm.JobStatus) {
	t.Helper()
	start := j
	for range 8 {
		j.Ready = j.Counts.Queued + j.Counts.SoftFailed
		if chained {
			j.Ready = 0
		}
		s := flow.NextStep(j)
		if s.None() {
			if j.Counts.Total() != start.Counts.Total() {
				t.Fatalf("%+v: tasks lost or found: %+v", start, j)
			}
			if j.Status.Runnable() && (j.Counts.Active == 0 && j.Ready == 0) {
				t.Fatalf("%+v hangs as %+v", start, j)
			}
			return
		}
		if s.Status != "" {
			if !slices.Contains(seen[j.Status], s.Status) {
				seen[j.Status] = append(seen[j.Status], s.Status)
			}
			j.Status = s.Status
			continue
		}
		for _, from := range s.Tasks {
			if err := flow.TaskTransition(flow.ByManager, from, s.TasksTo); err != nil {
				t.Fatalf("%+v: %v", start, err)
			}
			n := j.Counts.Of(from)
			j.Counts.Add(from, -n)
			j.Counts.Add(s.TasksTo, n)
		}
	}
	t.Fatalf("%+v does not come to rest, is at %+v", start, j)
}
