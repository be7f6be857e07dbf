// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"slices"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func massTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"a slice changes so many tasks and says where to go on":    slicesChanges,
		"canceling ends attempts and their commands":               cancelsRunning,
		"requeueing completed tasks stops what depends on them":    requeuesCompleted,
		"requeueing wakes those who wait and resets the steps":     requeuesSoftFailed,
		"a change of nothing is done at once":                      changesNothing,
		"a change of no status or of too many is refused":          refusesOddChanges,
		"a slice of a job leaves other jobs and other tasks alone": leavesOthersAlone,
	}
}

// changeAll makes a mass change in slices of n tasks, checks the books after each, and counts the slices.
func (f *Farm) changeAll(jobID string, n int, m store.Mass) (slices int) {
	f.t.Helper()
	for after, done := 0, false; ; slices++ {
		f.onJob(jobID, func(tx *store.Tx, j *store.Job) (err error) {
			next, end, err := tx.ChangeSlice(j, m, after, n, store.ByManager("mass"))
			if !end && next <= after {
				f.t.Errorf("a slice behind %d ends at %d", after, next)
			}
			after, done = next, end
			return err
		})
		if f.check(); done {
			return slices
		}
		if slices > 1000 {
			f.t.Fatalf("a mass change does not end")
		}
	}
}

func slicesChanges(f *Farm) {
	id, tasks := f.Submit(NewJob("j", NewTasks(25, "a")...))
	for i := 3; i < 25; i += 5 {
		f.End(tasks[i], farm.TaskFailed)
	}
	m := store.Mass{From: []farm.TaskStatus{farm.TaskQueued, farm.TaskSoftFailed}, To: farm.TaskPaused, Activity: "paused"}
	if n := f.changeAll(id, 7, m); n != 3 { // 20 tasks
		f.t.Errorf("20 tasks, 7 at a time, made %d slices", n)
	}
	if got := f.job(id).Tasks; got != (farm.TaskCounts{Paused: 20, Failed: 5}) {
		f.t.Errorf("then the tasks were %+v", got)
	}
	if got := f.task(tasks[0]); got.Activity != "paused" {
		f.t.Errorf("a task is %+v", got)
	}
	if got := f.task(tasks[3]); got.Activity != "" {
		f.t.Errorf("a task that does not change is %+v", got)
	}
	history, err := f.Store.TaskHistory(f.ctx, tasks[0])
	f.must(err)
	f.wantHistory(history, farm.StatusChange{What: "task", ID: tasks[0], From: "queued", To: "paused", Who: "manager", Reason: "mass"})
}

func cancelsRunning(f *Farm) {
	w, other := f.Worker("w", "a"), f.Worker("other", "a")
	id, tasks := f.Submit(NewJob("j", NewTasks(3, "a")...))
	f.wantClaim(w, tasks[0])
	f.wantClaim(other, tasks[1])
	f.onTask(tasks[0], func(tx *store.Tx, _ *store.Job, t *store.Task) error { return tx.StartStep(t, 0, "echo") })
	f.takeChanges()
	f.changeAll(id, 2, store.Mass{
		From: []farm.TaskStatus{farm.TaskQueued, farm.TaskActive, farm.TaskSoftFailed}, To: farm.TaskCanceled,
	})
	if got := f.job(id).Tasks; got != (farm.TaskCounts{Canceled: 3}) {
		f.t.Errorf("the tasks are %+v", got)
	}
	attempts, err := f.Store.Attempts(f.ctx, tasks[0])
	f.must(err)
	if len(attempts) != 1 || attempts[0].Outcome != farm.OutcomeCanceled || attempts[0].Reason != "mass" ||
		attempts[0].Ended.IsZero() || len(attempts[0].Steps) != 1 || attempts[0].Steps[0].Ended.IsZero() {
		f.t.Errorf("the attempts are %+v", attempts)
	}
	changes := f.takeChanges()
	for i, worker := range []string{w, other} {
		if !slices.ContainsFunc(changes, func(c farm.Change) bool { return c.TaskID == tasks[i] && c.WorkerID == worker }) {
			f.t.Errorf("worker %d does not hear that its task is canceled: %v", i, changes)
		}
	}
	f.wantClaim(w, "")
}

func requeuesCompleted(f *Farm) {
	w := f.Worker("w", "a", "b")
	// Dependants stand in front of and behind what they depend on, in the same slice and in others.
	job := NewJob("j", NewTask("b", 2, 3), NewTask("b", 9), NewTask("a"), NewTask("a"), NewTask("b", 2, 3), NewTask("a"),
		NewTask("b", 5), NewTask("a"), NewTask("b", 7, 6), NewTask("a"))
	id, tasks := f.Submit(job)
	for _, i := range []int{2, 3, 5, 7, 9} {
		f.End(tasks[i], farm.TaskCompleted)
	}
	f.End(tasks[0], farm.TaskCompleted)
	f.End(tasks[6], farm.TaskFailed)
	for n := range 4 {
		f.changeAll(id, n+1, store.Mass{
			From: []farm.TaskStatus{
				farm.TaskCompleted, farm.TaskSoftFailed, farm.TaskFailed, farm.TaskCanceled, farm.TaskPaused,
			},
			To: farm.TaskQueued,
		})
		if got := f.job(id); got.Tasks != (farm.TaskCounts{Queued: 10}) || got.StepsCompleted != 0 {
			f.t.Errorf("slices of %d: the job is %+v", n+1, got)
		}
		for _, i := range []int{2, 3, 5, 7, 9, 1, 0, 6, 8, 4} { // what depends on nothing goes first
			f.End(tasks[i], farm.TaskCompleted)
		}
	}
	f.wantClaim(w, "")
}

func requeuesSoftFailed(f *Farm) {
	w := f.Worker("w", "a")
	id, tasks := f.Submit(NewJob("j", NewTasks(2, "a")...))
	f.wantClaim(w, tasks[0])
	f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
		t.StepsCompleted = 1
		return end(tx, j, t, farm.TaskFailed)
	})
	f.End(tasks[1], farm.TaskCanceled)
	f.takeChanges()
	f.changeAll(id, 10, store.Mass{From: []farm.TaskStatus{farm.TaskFailed, farm.TaskCanceled}, To: farm.TaskQueued})
	if got := f.job(id); got.StepsCompleted != 0 || got.Tasks != (farm.TaskCounts{Queued: 2}) {
		f.t.Errorf("the job is %+v", got)
	}
	if got := work(f.takeChanges()); len(got) != 1 || !slices.Equal(got[0].TaskTypes, []string{"a"}) {
		f.t.Errorf("heard %v", got)
	}
	f.wantClaim(w, tasks[0])
}

func changesNothing(f *Farm) {
	id, _ := f.Submit(NewJob("j", NewTask("a")))
	if n := f.changeAll(id, 10, store.Mass{From: []farm.TaskStatus{farm.TaskActive}, To: farm.TaskCanceled}); n != 0 {
		f.t.Errorf("%d slices", n)
	}
}

func refusesOddChanges(f *Farm) {
	id, _ := f.Submit(NewJob("j", NewTask("a")))
	for _, from := range [][]farm.TaskStatus{nil, farm.TaskStatuses[:6]} {
		err := f.Store.Do(f.ctx, func(tx *store.Tx) error {
			j, err := tx.Job(id)
			if err != nil {
				return err
			}
			_, _, err = tx.ChangeSlice(j, store.Mass{From: from, To: farm.TaskCanceled}, 0, 10, store.ByManager(""))
			return err
		})
		if err == nil {
			f.t.Errorf("a change of %d statuses was made", len(from))
		}
	}
}

func leavesOthersAlone(f *Farm) {
	w, other := f.Worker("w", "a"), f.Worker("other", "a")
	_, before := f.Submit(NewJob("before", NewTask("a")))
	id, tasks := f.Submit(NewJob("j", NewTasks(3, "a")...))
	f.wantClaim(w, before[0])
	f.wantClaim(other, tasks[0])
	f.changeAll(id, 1, store.Mass{From: []farm.TaskStatus{farm.TaskQueued}, To: farm.TaskPaused})
	if got := f.job(id).Tasks; got != (farm.TaskCounts{Active: 1, Paused: 2}) {
		f.t.Errorf("the tasks are %+v", got)
	}
	f.changeAll(id, 1, store.Mass{From: []farm.TaskStatus{farm.TaskActive}, To: farm.TaskCanceled})
	if got := f.task(before[0]); got.Status != farm.TaskActive {
		f.t.Errorf("the task of the other job is %+v", got)
	}
}
