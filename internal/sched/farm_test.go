// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// testFarm is a scheduler on a real database. Inside a synctest bubble its clock is the bubble's.
type testFarm struct {
	*sched.Service
	t     *testing.T
	path  string
	opts  sched.Options
	store *store.Store
	logs  *memoryLog
}

// bubble runs a test with a clock of its own, in which an hour passes in no time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func newFarm(t *testing.T, change ...func(*sched.Options)) *testFarm {
	t.Helper()
	f := &testFarm{
		t: t, path: filepath.Join(t.TempDir(), "farm.sqlite"), logs: &memoryLog{text: map[farm.LogID]string{}},
		opts: sched.Options{
			WorkerTimeout: time.Minute, TaskTimeout: 10 * time.Minute, BlocklistThreshold: 3, SoftFailLimit: 3,
		},
	}
	for _, c := range change {
		c(&f.opts)
	}
	f.open()
	t.Cleanup(func() {
		storetest.CheckInvariants(t, f.path)
		f.close()
	})
	return f
}

func holding(hold time.Duration) func(*sched.Options) {
	return func(o *sched.Options) { o.RequestHold = hold }
}

// open starts a Manager on the database of the farm.
func (f *testFarm) open() {
	f.t.Helper()
	f.opts.Bus = &event.Bus{}
	f.opts.Log = slog.New(slog.DiscardHandler)
	f.opts.TaskLog = f.logs
	var err error
	f.store, err = store.Open(context.Background(), store.Options{
		Database: f.path, Durability: store.DurabilityNormal, Log: f.opts.Log, OnCommit: f.opts.Bus.Publish,
	})
	f.must(err)
	f.Service = sched.New(f.store, f.opts)
}

func (f *testFarm) close() {
	f.t.Helper()
	f.must(f.store.Close())
}

// restart is a Manager that ends and starts again.
func (f *testFarm) restart() {
	f.t.Helper()
	f.close()
	f.open()
}

// running runs the background of the scheduler until the test ends or stop is called.
func (f *testFarm) running() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	service := f.Service
	go func() {
		defer close(done)
		_ = service.Run(ctx) // ends with ctx
	}()
	stop = func() {
		cancel()
		<-done
	}
	f.t.Cleanup(stop)
	return stop
}

func (f *testFarm) ctx() context.Context { return f.t.Context() }

func (f *testFarm) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// refused checks that an error has a code.
func (f *testFarm) refused(err error, code farm.Code) {
	f.t.Helper()
	if farm.CodeOf(err) != code {
		f.t.Fatalf("got error %v, want one with code %s", err, code)
	}
}

// job submits n tasks of a type that do not depend on each other and returns its id.
func (f *testFarm) job(n int, taskType string, change ...func(*farm.NewJob)) string {
	f.t.Helper()
	job := farm.NewJob{Name: "job", Type: "test", Priority: farm.DefaultPriority}
	for i := range n {
		job.Tasks = append(job.Tasks, task(fmt.Sprintf("task %d", i+1), taskType))
	}
	for _, c := range change {
		c(&job)
	}
	stored, err := f.Submit(f.ctx(), job)
	f.must(err)
	return stored.ID
}

func task(name, taskType string, dependencies ...int) farm.NewTask {
	return farm.NewTask{
		Name: name, Type: taskType, Priority: farm.DefaultPriority, Dependencies: dependencies,
		Commands: []farm.Command{{Name: "echo", Parameters: map[string]any{"message": name}, TotalStepCount: 4}},
	}
}

// tasks lists the ids of a job's tasks in order.
func (f *testFarm) tasks(jobID string) []string {
	f.t.Helper()
	list, _, err := f.store.Tasks(context.Background(), store.TaskList{JobID: jobID, Page: store.Page{OrderBy: []string{"index_in_job"}}})
	f.must(err)
	ids := make([]string, len(list))
	for i, t := range list {
		ids[i] = t.ID
	}
	return ids
}

func (f *testFarm) task(id string) farm.Task {
	f.t.Helper()
	task, err := f.store.Task(context.Background(), id)
	f.must(err)
	return task
}

func (f *testFarm) attempts(id string) []farm.Attempt {
	f.t.Helper()
	attempts, err := f.store.Attempts(context.Background(), id)
	f.must(err)
	return attempts
}

// lastAttempt checks how the last attempt of a task ended.
func (f *testFarm) lastAttempt(id string, want farm.Outcome) {
	f.t.Helper()
	attempts := f.attempts(id)
	if len(attempts) == 0 {
		f.t.Fatal("the task was never handed out")
	}
	if last := attempts[len(attempts)-1]; last.Outcome != want || last.Ended.IsZero() != (want == "") {
		f.t.Fatalf("the last attempt ended at %v as %q, want %q", last.Ended, last.Outcome, want)
	}
}

func (f *testFarm) taskIs(id string, want farm.TaskStatus) {
	f.t.Helper()
	if got := f.task(id); got.Status != want {
		f.t.Fatalf("task %q is %s (%s), want %s", got.Name, got.Status, got.Activity, want)
	}
}

func (f *testFarm) getJob(id string) farm.Job {
	f.t.Helper()
	job, err := f.store.Job(context.Background(), id)
	f.must(err)
	return job
}

func (f *testFarm) jobIs(id string, want farm.JobStatus) {
	f.t.Helper()
	if got := f.getJob(id); got.Status != want {
		f.t.Fatalf("the job is %s (%s), want %s; tasks: %+v", got.Status, got.Activity, want, got.Tasks)
	}
}

// waitJob waits until the job has a status.
func (f *testFarm) waitJob(id string, want farm.JobStatus) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx(), time.Minute)
	defer cancel()
	for {
		job := f.getJob(id)
		if job.Status == want {
			return
		}
		if err := f.WaitJob(ctx, id, job.Revision); err != nil {
			f.t.Fatalf("the job stays %s, want %s: %v", job.Status, want, err)
		}
	}
}

// testWorker is a worker as the scheduler sees it.
type testWorker struct {
	f       *testFarm
	id      string
	session string
	types   []string
}

// worker registers a worker that runs the given task types, signs it on and wakes it.
func (f *testFarm) worker(types ...string) *testWorker {
	f.t.Helper()
	if len(types) == 0 {
		types = []string{"blender", "misc"}
	}
	w, err := f.Register(f.ctx(), sched.Registration{Name: "worker", Platform: "linux", SecretHash: "hash", TaskTypes: types})
	f.must(err)
	tw := &testWorker{f: f, id: w.ID, types: types}
	tw.signOn()
	tw.goes(farm.WorkerAwake)
	return tw
}

func (w *testWorker) signOn() sched.SignedOn {
	w.f.t.Helper()
	on, err := w.f.SignOn(w.f.ctx(), w.id, sched.SignOn{Name: "worker", TaskTypes: w.types, CanRestart: true})
	w.f.must(err)
	w.session = on.Session
	return on
}

func (w *testWorker) caller() sched.Caller { return sched.Caller{WorkerID: w.id, Session: w.session} }

func (w *testWorker) goes(status farm.WorkerStatus) {
	w.f.t.Helper()
	w.f.must(w.f.StateChanged(w.f.ctx(), w.caller(), status, ""))
}

// ask asks for a task and returns the answer whatever it is.
func (w *testWorker) ask(running ...string) (sched.Claim, error) {
	return w.f.Claim(w.f.ctx(), sched.ClaimRequest{Caller: w.caller(), Running: running})
}

// claim asks for a task and must get one.
func (w *testWorker) claim() farm.Assignment {
	w.f.t.Helper()
	c, err := w.ask()
	w.f.must(err)
	if c.Assignment == nil {
		w.f.t.Fatalf("no task for the worker (asked to become %+v)", c.Requested)
	}
	return *c.Assignment
}

// getsNothing asks for a task and must get none.
func (w *testWorker) getsNothing() {
	w.f.t.Helper()
	c, err := w.ask()
	w.f.must(err)
	if c.Assignment != nil || c.Requested != nil {
		w.f.t.Fatalf("got %+v, want nothing", c)
	}
}

// update is a report of an assignment.
func (w *testWorker) update(a farm.Assignment, sequence int64, status farm.TaskStatus) sched.Update {
	u := sched.Update{Caller: w.caller(), TaskID: a.Task.ID, Assignment: a.ID, Sequence: sequence}
	if status != "" {
		u.Status = &status
	}
	return u
}

func (w *testWorker) reports(a farm.Assignment, sequence int64, status farm.TaskStatus) {
	w.f.t.Helper()
	w.f.must(w.f.Update(w.f.ctx(), w.update(a, sequence, status)))
}

func (w *testWorker) completes(a farm.Assignment) {
	w.f.t.Helper()
	w.reports(a, 100, farm.TaskCompleted)
}

func (w *testWorker) fails(a farm.Assignment) {
	w.f.t.Helper()
	w.reports(a, 100, farm.TaskFailed)
}

func (w *testWorker) mayRun(a farm.Assignment) sched.Permit {
	w.f.t.Helper()
	p, err := w.f.MayRun(w.f.ctx(), w.caller(), a.Task.ID, a.ID)
	w.f.must(err)
	return p
}

func (w *testWorker) is(want farm.WorkerStatus) {
	w.f.t.Helper()
	got, err := w.f.store.Worker(context.Background(), w.id)
	w.f.must(err)
	if got.Status != want {
		w.f.t.Fatalf("the worker is %s, want %s", got.Status, want)
	}
}

// held is a request for a task that waits.
type held struct {
	f      *testFarm
	cancel context.CancelFunc
	done   chan struct{}
	claim  sched.Claim
	err    error
}

// hold sends a request for a task and waits until it waits. Only inside a bubble.
func (w *testWorker) hold() *held {
	w.f.t.Helper()
	ctx, cancel := context.WithCancel(w.f.ctx())
	h := &held{f: w.f, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		h.claim, h.err = w.f.Claim(ctx, sched.ClaimRequest{Caller: w.caller()})
	}()
	w.f.t.Cleanup(func() {
		cancel()
		<-h.done
	})
	h.waits()
	return h
}

// waits checks that the request is still held.
func (h *held) waits() {
	h.f.t.Helper()
	synctest.Wait()
	select {
	case <-h.done:
		h.f.t.Fatalf("the request is not held any more: %+v, %v", h.claim, h.err)
	default:
	}
}

// gets checks that the request was answered with a task, without time passing.
func (h *held) gets() farm.Assignment {
	h.f.t.Helper()
	h.answered()
	if h.claim.Assignment == nil {
		h.f.t.Fatalf("the request was answered without a task: %+v", h.claim)
	}
	return *h.claim.Assignment
}

func (h *held) answered() {
	h.f.t.Helper()
	synctest.Wait()
	select {
	case <-h.done:
	default:
		h.f.t.Fatal("the request is still held")
	}
	h.f.must(h.err)
}

// memoryLog keeps the logs of tasks as the Manager's does, in memory.
type memoryLog struct {
	mu   sync.Mutex
	text map[farm.LogID]string // chunks
	all  []string              // lines of the Manager
	over []farm.LogID          // of attempts that have ended
	err  error
}

func (l *memoryLog) AppendChunk(id farm.LogID, since int64, text string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	if old := l.text[id]; !strings.Contains(old[min(since, int64(len(old))):], text) {
		l.text[id] = old + text
	}
	return int64(len(l.text[id])), nil
}

func (l *memoryLog) Ended(id farm.LogID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = append(l.over, id)
}

func (l *memoryLog) AppendLine(_ farm.LogID, line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
	return l.err
}

// of is what all attempts of a task logged.
func (l *memoryLog) of(taskID string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all string
	for id, text := range l.text {
		if id.TaskID == taskID {
			all += text
		}
	}
	return all
}

// attempt is what one attempt of a task logged.
func (l *memoryLog) attempt(taskID string, generation int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, text := range l.text {
		if id.TaskID == taskID && id.Generation == generation {
			return text
		}
	}
	return ""
}

func (l *memoryLog) lines() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}
