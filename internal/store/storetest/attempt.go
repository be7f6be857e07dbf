// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"fmt"
	"slices"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func attemptTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"each hand-out is an attempt with its commands":         keepsAttempts,
		"a result that comes late replaces the outcome lost":    acceptsLateResults,
		"an attempt that was lost can go on":                    reopensAttempts,
		"what ended stays as it ended":                          endsAttemptsOnce,
		"dependants are found however far away":                 findsDependants,
		"the task of a worker is the active one, else the last": findsWorkerTask,
		"tasks that nobody names are found":                     findsUntouchedTasks,
		"tasks of workers that fell silent are found":           findsStaleTasks,
	}
}

func keepsAttempts(f *Farm) {
	w, other := f.Worker("w", "a"), f.Worker("other", "a")
	f.change(w, func(tx *store.Tx, w *store.Worker) error {
		w.Session = "s1"
		return tx.SaveWorker(w, store.ByManager(""))
	})
	_, tasks := f.Submit(NewJob("j", NewTask("a")))
	three := 3
	f.wantClaim(w, tasks[0])
	f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
		for i, name := range []string{"one", "two", "two"} {
			if err := tx.StartStep(t, min(i, 1), name); err != nil {
				return err
			}
		}
		if err := tx.EndStep(t, 0, &three); err != nil {
			return err
		}
		if err := tx.EndAttempt(t, farm.OutcomeFailed, "exit 3", &three); err != nil {
			return err
		}
		t.Status = farm.TaskSoftFailed
		return tx.SaveTask(j, t, store.ByWorker(w, ""))
	})
	f.wantClaim(other, tasks[0])
	attempts, err := f.Store.Attempts(f.ctx, tasks[0])
	f.must(err)
	if len(attempts) != 2 {
		f.t.Fatalf("the attempts are %+v", attempts)
	}
	first, second := attempts[0], attempts[1]
	if first.Generation != 1 || first.WorkerID != w || first.WorkerName != "w" || first.Session != "s1" || first.TaskID != tasks[0] ||
		first.Outcome != farm.OutcomeFailed || first.Reason != "exit 3" || first.ExitCode == nil || *first.ExitCode != 3 ||
		first.Ended.Before(first.Started) || first.Started.IsZero() || first.AssignmentID == "" {
		f.t.Errorf("the first is %+v", first)
	}
	if len(first.Steps) != 2 || first.Steps[0].Command != "one" || *first.Steps[0].ExitCode != 3 || first.Steps[1].Index != 1 ||
		first.Steps[1].Command != "two" || first.Steps[1].ExitCode != nil || first.Steps[1].Ended.IsZero() {
		f.t.Errorf("the commands of the first are %+v", first.Steps)
	}
	if second.Generation != 2 || second.WorkerID != other || second.Outcome != "" || !second.Ended.IsZero() || len(second.Steps) != 0 {
		f.t.Errorf("the second is %+v", second)
	}
}

func acceptsLateResults(f *Farm) {
	w := f.Worker("w", "a")
	_, tasks := f.Submit(NewJob("j", NewTask("a")))
	f.wantClaim(w, tasks[0])
	f.End(tasks[0], farm.TaskQueued)
	f.wantLost(tasks[0], true)
	f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
		if err := tx.StartStep(t, 0, "late"); err != nil {
			return err
		}
		return end(tx, j, t, farm.TaskCompleted)
	})
	f.wantLost(tasks[0], false)
	attempts, err := f.Store.Attempts(f.ctx, tasks[0])
	f.must(err)
	if len(attempts) != 1 || attempts[0].Outcome != farm.OutcomeCompleted || len(attempts[0].Steps) != 1 {
		f.t.Errorf("the attempts are %+v", attempts)
	}
}

func (f *Farm) wantLost(taskID string, want bool) {
	f.t.Helper()
	f.onTask(taskID, func(tx *store.Tx, _ *store.Job, t *store.Task) error {
		if lost, err := tx.Lost(t); err != nil || lost != want {
			return fmt.Errorf("the last attempt is lost: %v, %w", lost, err)
		}
		return nil
	})
}

func reopensAttempts(f *Farm) {
	w := f.Worker("w", "a")
	_, tasks := f.Submit(NewJob("j", NewTask("a")))
	f.wantClaim(w, tasks[0])
	f.End(tasks[0], farm.TaskQueued)
	f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
		if err := tx.ReopenAttempt(t); err != nil {
			return err
		}
		t.Status = farm.TaskActive
		return tx.SaveTask(j, t, store.ByManager("it is back"))
	})
	f.check()
	f.wantLost(tasks[0], false)
	f.End(tasks[0], farm.TaskCompleted)
}

func endsAttemptsOnce(f *Farm) {
	w := f.Worker("w", "a")
	_, tasks := f.Submit(NewJob("j", NewTask("a")))
	f.wantClaim(w, tasks[0])
	f.End(tasks[0], farm.TaskFailed)
	f.End(tasks[0], farm.TaskCompleted)
	attempts, err := f.Store.Attempts(f.ctx, tasks[0])
	f.must(err)
	if len(attempts) != 1 || attempts[0].Outcome != farm.OutcomeFailed {
		f.t.Errorf("the attempts are %+v", attempts)
	}
	_, others := f.Submit(NewJob("never handed out", NewTask("a")))
	err = f.Store.Do(f.ctx, func(tx *store.Tx) error {
		return onTask(tx, others[0], func(tx *store.Tx, _ *store.Job, t *store.Task) error {
			_, err := tx.Lost(t)
			return err
		})
	})
	f.wantCode(err, farm.CodeNotFound)
}

func findsDependants(f *Farm) {
	_, tasks := f.Submit(NewJob("j", NewTask("a"), NewTask("a", 0), NewTask("a", 1), NewTask("a", 0, 2), NewTask("a", 3), NewTask("a")))
	for _, i := range []int{0, 1, 2, 3} {
		f.End(tasks[i], farm.TaskCompleted)
	}
	f.onTask(tasks[0], func(tx *store.Tx, _ *store.Job, t *store.Task) error {
		got, err := tx.Dependants(t)
		var ids []string
		for _, d := range got {
			ids = append(ids, d.ID)
		}
		if err != nil || !slices.Equal(ids, tasks[1:4]) { // the fifth is queued
			return fmt.Errorf("dependants %v, %w", ids, err)
		}
		return nil
	})
}

func findsWorkerTask(f *Farm) {
	w := f.Worker("w", "a")
	_, tasks := f.Submit(NewJob("j", NewTasks(3, "a")...))
	if _, err := f.Store.WorkerTask(f.ctx, w); !farm.IsNotExist(err) {
		f.t.Errorf("a worker that never had a task: %v", err)
	}
	want := func(taskID string) {
		f.t.Helper()
		if got, err := f.Store.WorkerTask(f.ctx, w); err != nil || got.ID != taskID || got.Worker == nil || got.Worker.Name != "w" {
			f.t.Errorf("the task of the worker is %+v, %v", got, err)
		}
	}
	f.wantClaim(w, tasks[0])
	want(tasks[0])
	f.End(tasks[0], farm.TaskCompleted)
	want(tasks[0])
	f.wantClaim(w, tasks[1])
	f.onTask(tasks[0], func(tx *store.Tx, _ *store.Job, t *store.Task) error { return tx.TouchTask(t) })
	want(tasks[1])
	f.End(tasks[1], farm.TaskCompleted)
	want(tasks[1])
}

func findsUntouchedTasks(f *Farm) {
	w, other := f.Worker("w", "a"), f.Worker("other", "a")
	_, tasks := f.Submit(NewJob("j", NewTasks(3, "a")...))
	f.wantClaim(w, tasks[0])
	f.wantClaim(other, tasks[1])
	f.onTask(tasks[0], func(tx *store.Tx, j *store.Job, t *store.Task) error {
		t.Touched = time.Now().Add(-time.Hour)
		return tx.SaveTask(j, t, store.ByManager(""))
	})
	want := func(before time.Time, n int, want ...string) {
		f.t.Helper()
		got, err := f.Store.UntouchedTasks(f.ctx, before, n)
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			f.t.Errorf("untouched are %v, %v", got, err)
		}
	}
	want(time.Now().Add(-2*time.Hour), 10)
	want(time.Now().Add(-time.Minute), 10, tasks[0])
	want(time.Now().Add(time.Minute), 10, tasks[0], tasks[1])
	if got, err := f.Store.UntouchedTasks(f.ctx, time.Now().Add(time.Minute), 1); err != nil || len(got) != 1 {
		f.t.Errorf("one untouched task is %v, %v", got, err)
	}
	f.onTask(tasks[0], func(tx *store.Tx, _ *store.Job, t *store.Task) error { return tx.TouchTask(t) })
	want(time.Now().Add(-time.Minute), 10)
}

func findsStaleTasks(f *Farm) {
	keeps, stops := f.Worker("keeps", "blender"), f.Worker("stops", "misc")
	_, tasks := f.Submit(NewJob("j", NewTask("blender"), NewTask("misc"), NewTask("misc")))
	f.wantClaim(keeps, tasks[0])
	f.wantClaim(stops, tasks[1])
	hour := time.Now().Add(-time.Hour)
	for _, w := range []string{keeps, stops} {
		f.change(w, func(tx *store.Tx, w *store.Worker) error {
			w.LastSeen = hour
			return tx.SaveWorker(w, store.ByManager(""))
		})
	}
	want := func(keepBefore, stopBefore time.Time, want ...string) {
		f.t.Helper()
		got, err := f.Store.StaleTasks(f.ctx, keepBefore, stopBefore, 10)
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			f.t.Errorf("stale are %v, %v", got, err)
		}
	}
	want(hour.Add(-time.Second), hour.Add(-2*time.Second))
	want(hour.Add(time.Second), hour.Add(-time.Second), tasks[0])
	want(hour.Add(2*time.Second), hour.Add(time.Second), tasks[0], tasks[1])
	f.change(keeps, func(tx *store.Tx, w *store.Worker) error { return tx.TouchWorker(w) })
	want(hour.Add(2*time.Second), hour.Add(time.Second), tasks[1])
}
