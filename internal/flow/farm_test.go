// SPDX-License-Identifier: GPL-3.0-or-later

package flow_test

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
)

const (
	blocklistThreshold = 3
	softFailLimit      = 3
)

// model is a farm with one job in memory. It does what the scheduler does with flow's answers, mass changes in slices
// included, and checks after every change what must always hold.
type model struct {
	t                *rapid.T
	job              farm.JobStatus
	requeueCompleted bool
	counts           farm.TaskCounts
	tasks            []*modelTask
	workers          []*modelWorker
	blocked          map[block]bool
	unblocked        bool // a block was taken back while the failures behind it still count
}

type modelTask struct {
	status   farm.TaskStatus
	kind     string
	deps     []int
	failedBy map[int]bool
	lost     int
	worker   int // the last one that had it, -1 = none
	gen      int
	expired  bool // its last attempt was lost and nothing happened to it since
}

type modelWorker struct {
	kinds   []string
	deleted bool
}

type block struct {
	worker int
	kind   string
}

// assignment is a hand-out of a task that some worker may remember long after.
type assignment struct{ worker, task, gen int }

func newModel(t *rapid.T) *model {
	m := &model{t: t, blocked: map[block]bool{}}
	kinds := []string{"blender", "ffmpeg"}
	for i := range rapid.SampledFrom([]int{1, 2, 3, 4, 6}).Draw(t, "workers") {
		w := &modelWorker{kinds: kinds}
		if i > 0 { // the first can do everything, so that each kind has a worker to begin with
			w.kinds = kinds[:rapid.IntRange(1, 2).Draw(t, "kinds")]
		}
		m.workers = append(m.workers, w)
	}
	// Sampled, because ranges prefer small numbers, and ten percent of few tasks is one.
	for i := range rapid.SampledFrom([]int{0, 1, 2, 5, 11, 24, 40, 40}).Draw(t, "tasks") {
		task := &modelTask{
			status: farm.TaskQueued, kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
			failedBy: map[int]bool{}, worker: -1,
		}
		for range rapid.IntRange(0, min(i, 2)).Draw(t, "dependencies") {
			task.deps = append(task.deps, rapid.IntRange(0, i-1).Draw(t, "dependency"))
		}
		m.tasks = append(m.tasks, task)
		m.counts.Add(task.status, 1)
	}
	m.job = rapid.SampledFrom([]farm.JobStatus{
		farm.JobQueued, farm.JobQueued, farm.JobQueued, farm.JobQueued, farm.JobPaused, farm.JobUnderConstruction,
	}).Draw(t, "initial status")
	m.rest()
	return m
}

// move changes a task's status, or fails the test if the table refuses it.
func (m *model) move(cause flow.Cause, i int, to farm.TaskStatus) {
	task := m.tasks[i]
	if err := flow.TaskTransition(cause, task.status, to); err != nil {
		m.t.Fatalf("task %d: %v", i, err)
	}
	m.counts.Move(task.status, to)
	task.status, task.expired = to, false
	var recount farm.TaskCounts
	for _, task := range m.tasks {
		recount.Add(task.status, 1)
	}
	if recount != m.counts || m.counts.Total() != len(m.tasks) {
		m.t.Fatalf("counters say %+v, the tasks %+v", m.counts, recount)
	}
}

func (m *model) ready(i int) bool {
	task := m.tasks[i]
	return task.status.Waiting() && !slices.ContainsFunc(task.deps, func(d int) bool {
		return m.tasks[d].status != farm.TaskCompleted
	})
}

func (m *model) snapshot() flow.Job {
	j := flow.Job{Status: m.job, Counts: m.counts, RequeueCompleted: m.requeueCompleted}
	for i := range m.tasks {
		if m.ready(i) {
			j.Ready++
		}
	}
	return j
}

// typeWorkers are the workers that may run tasks of a kind, but for one.
func (m *model) typeWorkers(kind string, but int) (left []int) {
	for w, worker := range m.workers {
		if w != but && !worker.deleted && slices.Contains(worker.kinds, kind) && !m.blocked[block{w, kind}] {
			left = append(left, w)
		}
	}
	return left
}

// taskWorkers are the workers that may run a task, but for one.
func (m *model) taskWorkers(i, but int) []int {
	return slices.DeleteFunc(m.typeWorkers(m.tasks[i].kind, but), func(w int) bool { return m.tasks[i].failedBy[w] })
}

// step does one thing towards rest: one status of the job or one slice of a mass change. It reports whether there was
// anything to do.
func (m *model) step() bool {
	s := flow.NextStep(m.snapshot())
	switch {
	case s.None():
		return false
	case s.Status == "":
		m.slice(s)
	default:
		if s.Status == farm.JobFailed {
			for i := range m.tasks {
				if m.tasks[i].status == farm.TaskActive || m.ready(i) {
					m.t.Fatalf("the job fails (%s) although task %d is %s", s.Reason, i, m.tasks[i].status)
				}
			}
		}
		m.job = s.Status
	}
	return true
}

func (m *model) slice(s flow.Step) {
	left := rapid.IntRange(1, 5).Draw(m.t, "slice")
	for i, task := range m.tasks {
		if left > 0 && slices.Contains(s.Tasks, task.status) {
			m.move(flow.ByManager, i, s.TasksTo)
			left--
		}
	}
}

// rest takes all steps until the job is at rest, and checks that it got there and does not hang.
func (m *model) rest() {
	for range 2*len(m.tasks) + 6 {
		if !m.step() {
			m.checkRest()
			return
		}
	}
	m.t.Fatalf("the job does not come to rest: %s %+v", m.job, m.counts)
}

func (m *model) checkRest() {
	switch m.job {
	case farm.JobCancelRequested, farm.JobRequeueing:
		m.t.Fatalf("the job rests as %s", m.job)
	case farm.JobPauseRequested:
		if m.counts.Active == 0 {
			m.t.Fatal("the job is not paused although nothing runs")
		}
	case farm.JobCompleted:
		if m.counts.Completed != len(m.tasks) {
			m.t.Fatalf("a completed job has tasks %+v", m.counts)
		}
	case farm.JobFailed, farm.JobCanceled:
		if m.counts.Active+m.counts.Queued+m.counts.SoftFailed > 0 {
			m.t.Fatalf("a job that is %s has tasks %+v", m.job, m.counts)
		}
	case farm.JobQueued, farm.JobActive:
		if m.counts.Active == 0 && !m.mayGoOn() {
			m.t.Fatalf("the job hangs as %s with %+v", m.job, m.counts)
		}
	}
}

// mayGoOn reports whether somebody can run a task of the job, or could if he came: a task that nobody failed yet and
// whose kind no blocked worker blocks waits for a worker.
func (m *model) mayGoOn() bool {
	for i, task := range m.tasks {
		if m.ready(i) && (len(m.taskWorkers(i, -1)) > 0 || (len(task.failedBy) == 0 && m.anyDeleted())) {
			return true
		}
	}
	return false
}

func (m *model) anyDeleted() bool {
	return slices.ContainsFunc(m.workers, func(w *modelWorker) bool { return w.deleted })
}

// claim gives a ready task to a worker; ok is false if there is none for it.
func (m *model) claim(w int) (a assignment, ok bool) {
	if !m.job.Runnable() || m.workers[w].deleted || m.holds(w) >= 0 {
		return a, false
	}
	for i, task := range m.tasks {
		if m.ready(i) && slices.Contains(m.taskWorkers(i, -1), w) {
			m.move(flow.ByManager, i, farm.TaskActive)
			task.worker = w
			task.gen++
			return assignment{w, i, task.gen}, true
		}
	}
	return a, false
}

// holds is the task that a worker runs, or -1.
func (m *model) holds(w int) int {
	return slices.IndexFunc(m.tasks, func(task *modelTask) bool {
		return task.status == farm.TaskActive && task.worker == w
	})
}

// report is a final result from a worker for an assignment, possibly an old one.
func (m *model) report(a assignment, status farm.TaskStatus) {
	task := m.tasks[a.task]
	if task.gen != a.gen {
		return
	}
	if task.status != farm.TaskActive {
		if accept, _ := flow.LateResult(m.job, task.status); !accept || !task.expired {
			return
		}
	}
	if status == farm.TaskCompleted {
		m.move(flow.ByWorker, a.task, farm.TaskCompleted)
		return
	}
	m.fail(flow.ByWorker, a.worker, a.task)
}

// lose ends an attempt without a result.
func (m *model) lose(i int) {
	task := m.tasks[i]
	if flow.LostIsFailure(task.lost, softFailLimit) {
		m.fail(flow.ByManager, task.worker, i)
	} else {
		m.move(flow.ByManager, i, flow.Returned(m.job))
	}
	task.lost++
	task.expired = true
}

func (m *model) fail(cause flow.Cause, w, i int) {
	task := m.tasks[i]
	task.failedBy[w] = true
	failures := 0
	for _, other := range m.tasks {
		if other.kind == task.kind && other.failedBy[w] {
			failures++
		}
	}
	f := flow.Failure{
		Failures: len(task.failedBy), WorkerFailures: failures,
		WorkersLeft: len(m.taskWorkers(i, w)), TypeWorkersLeft: len(m.typeWorkers(task.kind, w)),
		BlocklistThreshold: blocklistThreshold, SoftFailLimit: softFailLimit,
	}
	v := flow.JudgeFailure(f)
	m.checkVerdict(f, v, m.blocked[block{w, task.kind}])
	m.move(cause, i, v.TaskTo)
	if v.Block {
		m.blocked[block{w, task.kind}] = true
	}
	if v.TaskTo == farm.TaskFailed {
		m.afterFailure(i, v.Block && f.TypeWorkersLeft == 0)
	}
	m.exhaust()
}

func (m *model) checkVerdict(f flow.Failure, v flow.Verdict, blockedBefore bool) {
	if v.Block != (f.WorkerFailures >= blocklistThreshold) {
		m.t.Fatalf("block %v after %d failures", v.Block, f.WorkerFailures)
	}
	if v.Block && !blockedBefore && !m.unblocked && f.WorkerFailures != blocklistThreshold {
		m.t.Fatalf("blocked after %d failures only", f.WorkerFailures)
	}
	if v.TaskTo == farm.TaskFailed && f.WorkersLeft > 0 && f.Failures < softFailLimit {
		m.t.Fatalf("a task fails for good although %d workers may try it", f.WorkersLeft)
	}
	if v.TaskTo == farm.TaskSoftFailed && f.WorkersLeft == 0 {
		m.t.Fatal("a task waits for nobody")
	}
}

// exhaust fails the waiting tasks that nobody is left for.
func (m *model) exhaust() {
	for i, task := range m.tasks {
		if flow.Exhausted(task.status, len(task.failedBy), len(m.taskWorkers(i, -1))) {
			m.move(flow.ByManager, i, farm.TaskFailed)
			m.afterFailure(i, false)
		}
	}
}

func (m *model) afterFailure(i int, typeBlocked bool) {
	s := flow.AfterFailure(m.snapshot(), typeBlocked)
	if s.None() {
		return
	}
	tenth := m.counts.Failed*10 >= len(m.tasks)
	if nobody := len(m.typeWorkers(m.tasks[i].kind, -1)) == 0; !tenth && !nobody {
		m.t.Fatalf("the job fails with %d of %d tasks failed and workers left", m.counts.Failed, len(m.tasks))
	}
	m.job = s.Status
}

// ask is a person who wants a status for the job.
func (m *model) ask(asked farm.JobStatus) {
	to, ok, err := flow.JobRequest(m.job, asked)
	if err != nil || !ok {
		return
	}
	if to == farm.JobRequeueing {
		m.requeueCompleted = m.job == farm.JobCompleted
		clear(m.blocked)
		for _, task := range m.tasks {
			clear(task.failedBy)
		}
	}
	m.job = to
}

// set is a person who wants a status for a task.
func (m *model) set(i int, to farm.TaskStatus) {
	task := m.tasks[i]
	if task.status == to || flow.TaskTransition(flow.ByPerson, task.status, to) != nil {
		return
	}
	if to != farm.TaskQueued {
		m.move(flow.ByPerson, i, to)
		if to == farm.TaskFailed {
			m.afterFailure(i, false)
		}
		return
	}
	m.rest() // a job that just failed takes its other tasks along first
	job, err := flow.RequeueTask(m.job)
	if err != nil {
		return
	}
	m.job = job
	if m.tasks[i].status != farm.TaskQueued { // coming to rest may have changed it
		m.requeue(flow.ByPerson, i)
	}
}

// requeue queues a task and all that depend on it, and gives their kind a new chance if all its workers are blocked.
func (m *model) requeue(cause flow.Cause, i int) {
	task := m.tasks[i]
	m.move(cause, i, farm.TaskQueued)
	clear(task.failedBy)
	if len(m.typeWorkers(task.kind, -1)) == 0 {
		maps.DeleteFunc(m.blocked, func(b block, _ bool) bool { return b.kind == task.kind })
		m.unblocked = true
	}
	for d, other := range m.tasks {
		if slices.Contains(other.deps, i) && other.status != farm.TaskQueued {
			m.requeue(flow.ByManager, d)
		}
	}
}
