// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func togetherTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"calls at once do what they would do one after the other": runTogether,
		"a call that is refused takes nothing from those at once": refusesOneOfMany,
		"a call that breaks takes nothing from those at once":     breaksOneOfMany,
		"calls at once may need what they did not name":           needsMoreThanNamed,
		"the same call twice at once gives one task":              claimsTwiceAtOnce,
		"a call that gave up before it ran leaves nothing":        givesUpBefore,
		"tasks that become ready by calls at once are counted":    releasesTogether,
		"a status that calls at once lead to is that of the last": endsJobTogether,
		"calls at once for several jobs all end":                  runManyJobsTogether,
	}
}

// atOnce runs calls at the same time and returns their errors.
func (f *Farm) atOnce(n int, call func(i int) error) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = call(i) })
	}
	all.Wait()
	return errs
}

// workers are some that run a type of tasks, each of which takes one at once.
func (f *Farm) workers(n int, taskType string) (ids, tasks []string) {
	for i := range n {
		ids = append(ids, f.Worker(fmt.Sprintf("w%d", i), taskType))
	}
	tasks = make([]string, n)
	for i, err := range f.atOnce(n, func(i int) error { return f.claimAhead(f.ctx, ids[i], &tasks[i]) }) {
		if err != nil {
			f.t.Fatalf("worker %d: %v", i, err)
		}
	}
	return ids, tasks
}

func (f *Farm) claimAhead(ctx context.Context, worker string, task *string) error {
	return f.Store.DoAhead(ctx, store.Ahead{WorkerID: worker, Claim: true}, func(tx *store.Tx) error {
		w, err := tx.Worker(worker)
		if err != nil {
			return err
		}
		if _, err := tx.TaskInSlot(w, 0); err == nil {
			return farm.Errorf(farm.CodeConflict, "it has a task")
		}
		*task, err = claim(tx, w)
		return err
	})
}

func (f *Farm) updateAhead(worker, task string, fn func(*store.Tx, *store.Job, *store.Task) error) error {
	return f.Store.DoAhead(f.ctx, store.Ahead{WorkerID: worker, TaskID: task}, func(tx *store.Tx) error {
		if _, err := tx.Worker(worker); err != nil {
			return err
		}
		return onTask(tx, task, fn)
	})
}

const together = 30

func runTogether(f *Farm) {
	id, _ := f.Submit(NewJob("j", NewTasks(together, "a")...))
	workers, tasks := f.workers(together, "a")
	for i, err := range f.atOnce(together, func(i int) error {
		if err := f.updateAhead(workers[i], tasks[i], func(tx *store.Tx, j *store.Job, t *store.Task) error {
			t.StepsCompleted, t.LogSize, t.LastSequence = 1, int64(i), 1
			return tx.SaveTask(j, t, store.ByManager(""))
		}); err != nil {
			return err
		}
		return f.updateAhead(workers[i], tasks[i], func(tx *store.Tx, j *store.Job, t *store.Task) error {
			return end(tx, j, t, farm.TaskCompleted)
		})
	}) {
		if err != nil {
			f.t.Errorf("call %d: %v", i, err)
		}
	}
	if got := f.job(id).Tasks; got != (farm.TaskCounts{Completed: together}) {
		f.t.Errorf("the job counts %+v", got)
	}
	if n := f.count("SELECT count(*) FROM status_changes WHERE what = 'task'"); n != 2*together {
		f.t.Errorf("%d lines of history, want %d", n, 2*together)
	}
	if n := f.count("SELECT count(DISTINCT assignment) FROM attempts WHERE outcome = 'completed'"); n != together {
		f.t.Errorf("%d attempts, want %d", n, together)
	}
}

func refusesOneOfMany(f *Farm) {
	_, _ = f.Submit(NewJob("j", NewTasks(together, "a")...))
	workers, tasks := f.workers(together, "a")
	for i, err := range f.atOnce(together, func(i int) error {
		return f.updateAhead(workers[i], tasks[i], func(tx *store.Tx, j *store.Job, t *store.Task) error {
			if err := end(tx, j, t, farm.TaskCompleted); err != nil || i%3 != 0 {
				return err
			}
			if i%2 == 0 {
				if _, err := tx.Commands(t); err != nil { // what it wrote before is on its way then
					return err
				}
			}
			return farm.Errorf(farm.CodeConflict, "no")
		})
	}) {
		if refused := farm.CodeOf(err) == farm.CodeConflict; refused != (i%3 == 0) || (err != nil && !refused) {
			f.t.Errorf("call %d: %v", i, err)
		}
		want := farm.TaskCompleted
		if i%3 == 0 {
			want = farm.TaskActive
		}
		if got := f.task(tasks[i]).Status; got != want {
			f.t.Errorf("task %d is %s, want %s", i, got, want)
		}
	}
}

func breaksOneOfMany(f *Farm) {
	_, _ = f.Submit(NewJob("j", NewTasks(together, "a")...))
	workers, tasks := f.workers(together, "a")
	broken := errors.New("broken")
	for i, err := range f.atOnce(together, func(i int) error {
		return f.updateAhead(workers[i], tasks[i], func(tx *store.Tx, j *store.Job, t *store.Task) error {
			if err := end(tx, j, t, farm.TaskCompleted); err != nil {
				return err
			}
			switch i {
			case 3:
				panic("at the disco")
			case 5:
				return broken
			case 7:
				t.Assignment = "" // as that of nobody: there may be one such attempt, which is refused then
				return tx.Assign(t, &store.Worker{}, 0)
			}
			return nil
		})
	}) {
		fails := i == 3 || i == 5 || i == 7
		if (err != nil) != fails || (i == 3 && !strings.Contains(fmt.Sprint(err), "disco")) || (i == 5 && !errors.Is(err, broken)) {
			f.t.Errorf("call %d: %v", i, err)
		}
		if got := f.task(tasks[i]).Status; (got == farm.TaskCompleted) == fails {
			f.t.Errorf("task %d is %s", i, got)
		}
	}
}

func needsMoreThanNamed(f *Farm) {
	_, _ = f.Submit(NewJob("j", NewTasks(together, "a")...))
	other, _ := f.Submit(NewJob("other", NewTask("b")))
	workers, tasks := f.workers(together, "a")
	for i, err := range f.atOnce(together, func(i int) error {
		return f.updateAhead(workers[i], tasks[i], func(tx *store.Tx, j *store.Job, t *store.Task) error {
			if err := end(tx, j, t, farm.TaskCompleted); err != nil || i%5 != 0 {
				return err
			}
			o, err := tx.Job(other)
			if err != nil {
				return err
			}
			o.Priority++
			return tx.SaveJob(o, store.ByManager(""))
		})
	}) {
		if err != nil {
			f.t.Errorf("call %d: %v", i, err)
		}
	}
	if got := f.job(other).Priority; got != farm.DefaultPriority+together/5 {
		f.t.Errorf("the other job has priority %d", got)
	}
}

func claimsTwiceAtOnce(f *Farm) {
	_, _ = f.Submit(NewJob("j", NewTasks(together, "a")...))
	worker := f.Worker("w", "a")
	got := make([]string, together)
	given := 0
	for i, err := range f.atOnce(together, func(i int) error { return f.claimAhead(f.ctx, worker, &got[i]) }) {
		switch {
		case err == nil:
			given++
		case farm.CodeOf(err) != farm.CodeConflict:
			f.t.Errorf("call %d: %v", i, err)
		}
	}
	if n := f.count("SELECT count(*) FROM tasks WHERE status = 'active'"); n != 1 || given != 1 {
		f.t.Errorf("%d calls got a task and %d are active, want 1", given, n)
	}
}

func givesUpBefore(f *Farm) {
	_, _ = f.Submit(NewJob("j", NewTasks(together, "a")...))
	worker := f.Worker("w", "a")
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	var task string
	if err := f.claimAhead(ctx, worker, &task); !errors.Is(err, context.Canceled) {
		f.t.Errorf("the call ended with %v", err)
	}
	if n := f.count("SELECT count(*) FROM tasks WHERE status = 'active'"); n != 0 {
		f.t.Errorf("%d tasks are active", n)
	}
}

func releasesTogether(f *Farm) {
	job := NewJob("j", NewTasks(together, "a")...)
	all := make([]int, together)
	for i := range all {
		all[i] = i
		job.Tasks = append(job.Tasks, NewTask("b", i))
	}
	job.Tasks = append(job.Tasks, NewTask("b", all...))
	_, _ = f.Submit(job)
	workers, tasks := f.workers(together, "a")
	for i, err := range f.atOnce(together, func(i int) error {
		return f.updateAhead(workers[i], tasks[i], func(tx *store.Tx, j *store.Job, t *store.Task) error {
			return end(tx, j, t, farm.TaskCompleted)
		})
	}) {
		if err != nil {
			f.t.Errorf("call %d: %v", i, err)
		}
	}
	if n := f.count("SELECT CAST(sum(ready_count) AS BIGINT) FROM job_ready WHERE task_type = 'b'"); n != together+1 {
		f.t.Errorf("%d tasks are ready, want %d", n, together+1)
	}
}

func endsJobTogether(f *Farm) {
	id, _ := f.Submit(NewJob("j", NewTasks(together, "a")...))
	workers, tasks := f.workers(together, "a")
	last := 0
	var mu sync.Mutex
	for i, err := range f.atOnce(together, func(i int) error {
		sees := false
		err := f.updateAhead(workers[i], tasks[i], func(tx *store.Tx, j *store.Job, t *store.Task) error {
			if err := end(tx, j, t, farm.TaskCompleted); err != nil {
				return err
			}
			if sees = j.Counts.Completed == together; !sees {
				return nil
			}
			j.Status = farm.JobCompleted
			return tx.SaveJob(j, store.ByManager("all done"))
		})
		mu.Lock()
		defer mu.Unlock()
		last += map[bool]int{true: 1}[sees]
		return err
	}) {
		if err != nil {
			f.t.Errorf("call %d: %v", i, err)
		}
	}
	if got := f.job(id); got.Status != farm.JobCompleted || last != 1 {
		f.t.Errorf("the job is %s, and %d calls were the last", got.Status, last)
	}
}

func runManyJobsTogether(f *Farm) {
	const jobs, each = 6, 10
	for n := range jobs {
		_, _ = f.Submit(NewJob(fmt.Sprint(n), NewTasks(each, "a")...))
	}
	workers := make([]string, jobs*2)
	for i := range workers {
		workers[i] = f.Worker(fmt.Sprintf("w%d", i), "a")
	}
	for i, err := range f.atOnce(len(workers), func(i int) error {
		for range jobs * each {
			var task string
			if err := f.claimAhead(f.ctx, workers[i], &task); err != nil || task == "" {
				return err
			}
			if err := f.updateAhead(workers[i], task, func(tx *store.Tx, j *store.Job, t *store.Task) error {
				return end(tx, j, t, farm.TaskCompleted)
			}); err != nil {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			f.t.Errorf("worker %d: %v", i, err)
		}
	}
	if n := f.count("SELECT count(*) FROM tasks WHERE status = 'completed'"); n != jobs*each {
		f.t.Errorf("%d tasks are completed, want %d", n, jobs*each)
	}
}
