// SPDX-License-Identifier: GPL-3.0-or-later

package flow_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"flamenco.farm/internal/farm"
)

func TestAnyHistoryKeepsTheFarmsPromises(t *testing.T) {
	t.Parallel()
	checkOften(t, func(t *rapid.T) { newHistory(t).run(false) })
}

func TestAnyHistoryKeepsTheFarmsPromisesWhenWorkersComeAndGo(t *testing.T) {
	t.Parallel()
	checkOften(t, func(t *rapid.T) { newHistory(t).run(true) })
}

// checkOften checks more histories than rapid does by default, because blocked workers and late results are rare.
func checkOften(t *testing.T, history func(*rapid.T)) {
	t.Helper()
	for range 20 {
		rapid.Check(t, history)
	}
}

// history is a random sequence of events on a model.
type history struct {
	*model
	given []assignment // every hand-out so far: what a worker may report of, however late
}

func newHistory(t *rapid.T) *history { return &history{model: newModel(t)} }

func (h *history) run(comeAndGo bool) {
	often := []func(){h.claims, h.claims, h.completes, h.fails, h.loses, h.reportsLate}
	events := slices.Concat(often, often, often, []func(){h.asks, h.sets, h.sets})
	if comeAndGo {
		events = append(events, h.leaves, h.comes)
	}
	for range rapid.SampledFrom([]int{10, 40, 80, 160}).Draw(h.t, "events") {
		rapid.SampledFrom(events).Draw(h.t, "event")()
		if rapid.IntRange(0, 3).Draw(h.t, "steps") == 0 {
			h.step() // the next event meets the job in the middle of a change
		} else {
			h.rest()
		}
	}
	h.rest()
	h.finish(comeAndGo)
}

// finish lets the workers do what is left: the job must end, or pause, or wait for a worker.
func (h *history) finish(comeAndGo bool) {
	for range 2*len(h.tasks) + 1 {
		for w := range h.workers {
			if i := h.holds(w); i >= 0 {
				h.report(assignment{w, i, h.tasks[i].gen}, farm.TaskCompleted)
				h.rest()
			}
			h.claim(w)
			h.rest()
		}
	}
	switch {
	case h.job.Ended(), h.job == farm.JobPaused, h.job == farm.JobUnderConstruction:
	case comeAndGo && h.counts.Active == 0:
	default:
		h.t.Fatalf("the job never ends: %s %+v", h.job, h.counts)
	}
}

func (h *history) worker() int { return rapid.IntRange(0, len(h.workers)-1).Draw(h.t, "worker") }

func (h *history) claims() {
	if a, ok := h.claim(h.worker()); ok {
		h.given = append(h.given, a)
	}
}

func (h *history) completes() { h.reports(farm.TaskCompleted) }

func (h *history) fails() { h.reports(farm.TaskFailed) }

func (h *history) reports(status farm.TaskStatus) {
	w := h.worker()
	if i := h.holds(w); i >= 0 {
		h.byWorker(assignment{w, i, h.tasks[i].gen}, status)
	}
}

func (h *history) reportsLate() {
	if len(h.given) > 0 {
		status := rapid.SampledFrom([]farm.TaskStatus{farm.TaskCompleted, farm.TaskFailed}).Draw(h.t, "result")
		h.byWorker(rapid.SampledFrom(h.given).Draw(h.t, "assignment"), status)
	}
}

// byWorker reports a result and checks that it revives neither a task nor a job.
func (h *history) byWorker(a assignment, status farm.TaskStatus) {
	job, task := h.job, h.tasks[a.task].status
	h.report(a, status)
	if over := task.Final() || task == farm.TaskCanceled || task == farm.TaskPaused; over && h.tasks[a.task].status != task {
		h.t.Fatalf("a worker revived a task: %s became %s", task, h.tasks[a.task].status)
	}
	if !job.Ended() && job != farm.JobCancelRequested && job != farm.JobPaused {
		return
	}
	h.rest()
	if h.job != job && (h.job != farm.JobCanceled || job != farm.JobCancelRequested) {
		h.t.Fatalf("a worker revived a job: %s became %s", job, h.job)
	}
}

func (h *history) loses() {
	w := h.worker()
	if i := h.holds(w); i >= 0 {
		h.lose(i)
	}
}

func (h *history) asks() {
	h.ask(rapid.SampledFrom(farm.JobStatuses).Draw(h.t, "asked"))
}

func (h *history) sets() {
	if len(h.tasks) > 0 {
		h.set(rapid.IntRange(0, len(h.tasks)-1).Draw(h.t, "task"), rapid.SampledFrom(farm.TaskStatuses).Draw(h.t, "status"))
	}
}

func (h *history) leaves() {
	w := h.worker()
	if i := h.holds(w); i >= 0 {
		h.lose(i)
	}
	h.workers[w].deleted = true
	h.exhaust()
}

func (h *history) comes() {
	h.workers = append(h.workers, &modelWorker{kinds: slices.Clone(h.workers[0].kinds)})
}
