// SPDX-License-Identifier: GPL-3.0-or-later

// Package storetest is the conformance suite that the store passes on every database, and the checker of what must hold
// in a database at any moment. It uses the exported part of the store only, and looks at the rows through a connection
// of its own.
package storetest

import (
	"context"
	"database/sql"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	_ "modernc.org/sqlite" // the second look at a database

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// TB is what the suite needs of a test; rapid's tests have it too.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Open opens an empty database for one test: the store, and a second look at its rows.
type Open func(t testing.TB, onCommit func([]farm.Change)) (*store.Store, *sql.DB)

// Run checks that a store on some database behaves as every store does.
func Run(t *testing.T, open Open) {
	for _, s := range []struct {
		name  string
		tests map[string]func(*Farm)
	}{
		{"submit", submitTests()},
		{"claim", claimTests()},
		{"together", togetherTests()},
		{"change", changeTests()},
		{"mass", massTests()},
		{"attempt", attemptTests()},
		{"list", listTests()},
		{"worker", workerTests()},
		{"failure", failureTests()},
		{"delete", deleteTests()},
		{"operation", operationTests()},
		{"manager", managerTests()},
		{"schedule", scheduleTests()},
		{"log", logTests()},
		{"last rendered", lastRenderedTests()},
		{"export", exportTests()},
		{"count", countTests()},
	} {
		for name, test := range s.tests {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := NewFarm(t, open)
				test(f)
				f.check()
			})
		}
	}
	t.Run("any history keeps the books right", func(t *testing.T) {
		t.Parallel()
		checkModel(t, open)
	})
}

// SQLite opens an empty SQLite database in a folder of the test. It does not wait for the disk: what a power cut takes
// is of no interest here.
func SQLite(t testing.TB, onCommit func([]farm.Change)) (*store.Store, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	st, err := store.Open(t.Context(), store.Options{
		Database: path, Durability: store.DurabilityNormal, Log: slog.New(slog.DiscardHandler), OnCommit: onCommit,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st, lookAt(t, path)
}

func lookAt(t testing.TB, path string) *sql.DB {
	t.Helper()
	uri := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // statements are prepared on one connection
	t.Cleanup(func() { db.Close() })
	return db
}

// Farm is a store under test, with what makes a test short. Its calls end the test when the store refuses something.
type Farm struct {
	t       TB
	ctx     context.Context
	Store   *store.Store
	rows    *sql.DB
	checker *Checker
	another func() *Farm // opens one more empty database

	mu      sync.Mutex
	changes []farm.Change
}

// NewFarm opens an empty database.
func NewFarm(t testing.TB, open Open) *Farm {
	f := &Farm{t: t, ctx: t.Context(), another: func() *Farm { return NewFarm(t, open) }}
	f.Store, f.rows = open(t, f.heard)
	f.checker = NewChecker(f.rows)
	return f
}

func (f *Farm) heard(changes []farm.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, changes...)
}

// takeChanges is what was heard since the last call.
func (f *Farm) takeChanges() []farm.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes := f.changes
	f.changes = nil
	return changes
}

// work is the changes that say that there may be something to claim.
func work(changes []farm.Change) []farm.Change {
	return slices.DeleteFunc(changes, func(c farm.Change) bool { return c.Kind != farm.ChangeWork })
}

func (f *Farm) check() {
	f.t.Helper()
	check(f.t, f.checker)
}

func (f *Farm) do(fn func(*store.Tx) error) {
	f.t.Helper()
	if err := f.Store.Do(f.ctx, fn); err != nil {
		f.t.Fatalf("%v", err)
	}
}

func (f *Farm) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%v", err)
	}
}

func (f *Farm) wantCode(err error, code farm.Code) {
	f.t.Helper()
	if farm.CodeOf(err) != code {
		f.t.Errorf("the error is %v, not one with the code %s", err, code)
	}
}

// Submit stores a job and returns the ids of it and of its tasks.
func (f *Farm) Submit(job farm.NewJob) (id string, tasks []string) {
	f.t.Helper()
	f.do(func(tx *store.Tx) (err error) {
		id, err = tx.InsertJob(job)
		return err
	})
	return id, f.taskIDs(id)
}

func (f *Farm) taskIDs(jobID string) (ids []string) {
	f.t.Helper()
	tasks, _, err := f.Store.Tasks(f.ctx, store.TaskList{JobID: jobID})
	f.must(err)
	for _, t := range tasks {
		ids = append(ids, t.ID)
	}
	return ids
}

// Worker stores a worker that runs these task types.
func (f *Farm) Worker(name string, types ...string) (id string) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error {
		w, err := tx.InsertWorker(farm.Worker{
			Name: name, Address: "10.0.0.1", Platform: "linux", Status: farm.WorkerAwake,
			TaskTypes: types,
		}, "hash of "+name)
		if err == nil {
			id = w.ID
		}
		return err
	})
	return id
}

func (f *Farm) tag(name string) string {
	f.t.Helper()
	tag, err := f.Store.CreateTag(f.ctx, farm.Tag{Name: name})
	f.must(err)
	return tag.ID
}

func (f *Farm) setTags(workerID string, tags ...string) {
	f.t.Helper()
	f.change(workerID, func(tx *store.Tx, w *store.Worker) error { return tx.SetTags(w, tags) })
}

// change changes a worker.
func (f *Farm) change(workerID string, fn func(*store.Tx, *store.Worker) error) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error {
		w, err := tx.Worker(workerID)
		if err != nil {
			return err
		}
		return fn(tx, w)
	})
}

// Claim gives a worker its next task, as the scheduler does; "" if there is none.
func (f *Farm) Claim(workerID string) (taskID string) {
	f.t.Helper()
	f.change(workerID, func(tx *store.Tx, w *store.Worker) (err error) {
		taskID, err = claim(tx, w)
		return err
	})
	return taskID
}

func claim(tx *store.Tx, w *store.Worker) (string, error) {
	t, err := tx.NextTask(w)
	if farm.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	j, err := tx.Job(t.JobID)
	if err != nil {
		return "", err
	}
	if err := tx.Assign(t, w, 0); err != nil {
		return "", err
	}
	t.Status = farm.TaskActive
	return t.ID, tx.SaveTask(j, t, store.ByWorker(w.ID, "claimed"))
}

// onTask changes a task together with its job.
func (f *Farm) onTask(taskID string, fn func(*store.Tx, *store.Job, *store.Task) error) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error { return onTask(tx, taskID, fn) })
}

func onTask(tx *store.Tx, taskID string, fn func(*store.Tx, *store.Job, *store.Task) error) error {
	t, err := tx.Task(taskID)
	if err != nil {
		return err
	}
	j, err := tx.Job(t.JobID)
	if err != nil {
		return err
	}
	return fn(tx, j, t)
}

// End ends what a task is at: its attempt gets the outcome that fits the status.
func (f *Farm) End(taskID string, to farm.TaskStatus) {
	f.t.Helper()
	f.onTask(taskID, func(tx *store.Tx, j *store.Job, t *store.Task) error { return end(tx, j, t, to) })
}

func end(tx *store.Tx, j *store.Job, t *store.Task, to farm.TaskStatus) error {
	outcome := farm.OutcomeCanceled
	switch to {
	case farm.TaskCompleted:
		outcome, t.StepsCompleted = farm.OutcomeCompleted, t.StepsTotal
	case farm.TaskFailed, farm.TaskSoftFailed:
		outcome = farm.OutcomeFailed
	case farm.TaskQueued:
		outcome, t.StepsCompleted = farm.OutcomeLost, 0
	}
	if err := tx.EndAttempt(t, outcome, "because", nil); err != nil {
		return err
	}
	t.Status = to
	return tx.SaveTask(j, t, store.ByManager("because"))
}

func (f *Farm) onJob(jobID string, fn func(*store.Tx, *store.Job) error) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error {
		j, err := tx.Job(jobID)
		if err != nil {
			return err
		}
		return fn(tx, j)
	})
}

// saveJob changes fields of a job and saves it.
func (f *Farm) saveJob(jobID string, change func(*store.Job)) {
	f.t.Helper()
	f.onJob(jobID, func(tx *store.Tx, j *store.Job) error {
		change(j)
		return tx.SaveJob(j, store.ByManager("because"))
	})
}

func (f *Farm) job(id string) farm.Job {
	f.t.Helper()
	j, err := f.Store.Job(f.ctx, id)
	f.must(err)
	return j
}

func (f *Farm) task(id string) farm.Task {
	f.t.Helper()
	t, err := f.Store.Task(f.ctx, id)
	f.must(err)
	return t
}

// count is the one number that a query on the rows answers.
func (f *Farm) count(query string, args ...any) (n int) {
	f.t.Helper()
	f.must(f.rows.QueryRowContext(f.ctx, query, args...).Scan(&n))
	return n
}

// NewJob is a job of these tasks.
func NewJob(name string, tasks ...farm.NewTask) farm.NewJob {
	return farm.NewJob{Name: name, Type: "test", Priority: farm.DefaultPriority, Tasks: tasks}
}

// NewTask is a task of two steps that depends on other tasks of its job.
func NewTask(taskType string, dependencies ...int) farm.NewTask {
	return farm.NewTask{
		Name: taskType, Type: taskType, Priority: farm.DefaultPriority, Dependencies: dependencies,
		Commands: []farm.Command{{Name: "echo", Parameters: map[string]any{"message": "hello"}, TotalStepCount: 2}},
	}
}

// NewTasks are n tasks of a type that depend on nothing.
func NewTasks(n int, taskType string) []farm.NewTask {
	tasks := make([]farm.NewTask, n)
	for i := range tasks {
		tasks[i] = NewTask(taskType)
	}
	return tasks
}
