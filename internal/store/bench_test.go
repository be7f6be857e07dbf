// SPDX-License-Identifier: GPL-3.0-or-later

package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// durable opens a database as a Manager does that was told nothing else.
func durable(t testing.TB, onCommit func([]farm.Change)) (*store.Store, *sql.DB) {
	st, err := store.Open(context.Background(), store.Options{
		Database: filepath.Join(t.TempDir(), "farm.sqlite"), Log: slog.New(slog.DiscardHandler), OnCommit: onCommit,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st, nil
}

// BenchmarkTaskOnOneWorker is what a task costs from its claim to its end, every commit waiting for the disk.
func BenchmarkTaskOnOneWorker(b *testing.B) {
	for _, tasks := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("tasks=%d", tasks), func(b *testing.B) {
			f := storetest.NewFarm(b, durable)
			w := f.Worker("w", "a")
			f.Submit(storetest.NewJob("j", storetest.NewTasks(tasks, "a")...))
			for b.Loop() {
				id := f.Claim(w)
				f.End(id, farm.TaskCompleted)
				b.StopTimer()
				f.End(id, farm.TaskQueued) // so that the benchmark never runs out of tasks
				b.StartTimer()
			}
		})
	}
}

// BenchmarkTaskOnManyWorkers is the same with fifty workers who share commits.
func BenchmarkTaskOnManyWorkers(b *testing.B) {
	const workers = 50
	f := storetest.NewFarm(b, durable)
	ids := make([]string, workers)
	for i := range ids {
		ids[i] = f.Worker(fmt.Sprint(i), "a")
	}
	f.Submit(storetest.NewJob("j", storetest.NewTasks(10_000, "a")...))
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var group sync.WaitGroup
	for _, w := range ids {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if id := f.Claim(w); id != "" {
					f.End(id, farm.TaskQueued)
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkFindTask is the part of a claim that may depend on how large the farm is, without its commit.
func BenchmarkFindTask(b *testing.B) {
	for _, farmSize := range []struct{ finished, blocked, tasks int }{{0, 0, 100}, {0, 0, 100_000}, {100, 0, 1000}, {0, 100, 1000}} {
		name := fmt.Sprintf("finished=%d/blocked=%d/tasks=%d", farmSize.finished, farmSize.blocked, farmSize.tasks)
		b.Run(name, func(b *testing.B) {
			f := storetest.NewFarm(b, durable)
			w := f.Worker("w", "a")
			for i := range farmSize.finished + farmSize.blocked {
				id, _ := f.Submit(storetest.NewJob("in front", storetest.NewTasks(farmSize.tasks, "a")...))
				err := f.Store.DoAlone(b.Context(), func(tx *store.Tx) error {
					j, err := tx.Job(id)
					if err != nil {
						return err
					}
					worker, err := tx.Worker(w)
					if err != nil {
						return err
					}
					if i >= farmSize.finished {
						return tx.Block(j, worker, "a")
					}
					j.Status = farm.JobCanceled
					return tx.SaveJob(j, store.ByManager(""))
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			f.Submit(storetest.NewJob("j", storetest.NewTasks(farmSize.tasks, "a")...))
			err := f.Store.DoAlone(b.Context(), func(tx *store.Tx) error {
				worker, err := tx.Worker(w)
				for b.Loop() {
					_, next := tx.NextTask(worker)
					err = errors.Join(err, next)
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkFailures is what is asked when a worker comes, goes or is blocked, in a large job where a few tasks failed.
func BenchmarkFailures(b *testing.B) {
	f := storetest.NewFarm(b, durable)
	w := f.Worker("w", "a")
	f.Worker("other", "a")
	id, tasks := f.Submit(storetest.NewJob("j", storetest.NewTasks(100_000, "a")...))
	err := f.Store.DoAlone(b.Context(), func(tx *store.Tx) error {
		j, err := tx.Job(id)
		if err != nil {
			return err
		}
		worker, err := tx.Worker(w)
		if err != nil {
			return err
		}
		for i := range 10 {
			t, err := tx.Task(tasks[len(tasks)-1-i])
			if err != nil {
				return err
			}
			if _, err := tx.AddFailure(j, t, worker); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("jobs with failures", func(b *testing.B) {
		for b.Loop() {
			if jobs, err := f.Store.JobsWithFailures(b.Context()); err != nil || len(jobs) != 1 {
				b.Fatal(jobs, err)
			}
		}
	})
	b.Run("hopeless tasks", func(b *testing.B) {
		for b.Loop() {
			err := f.Store.Do(b.Context(), func(tx *store.Tx) error {
				j, err := tx.Job(id)
				if err != nil {
					return err
				}
				_, err = tx.Hopeless(j, 1000)
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSubmit stores a job of 50,000 tasks, of which every second one depends on the one before.
func BenchmarkSubmit(b *testing.B) {
	job := storetest.NewJob("j")
	for i := range 50_000 {
		task := storetest.NewTask("a")
		if i%2 == 1 {
			task.Dependencies = []int{i - 1}
		}
		job.Tasks = append(job.Tasks, task)
	}
	for b.Loop() {
		b.StopTimer()
		st, _ := durable(b, nil)
		b.StartTimer()
		err := st.DoAlone(b.Context(), func(tx *store.Tx) error {
			_, err := tx.InsertJob(job)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMassChange cancels 10,000 tasks in slices of 1,000.
func BenchmarkMassChange(b *testing.B) {
	f := storetest.NewFarm(b, durable)
	for b.Loop() {
		b.StopTimer()
		id, _ := f.Submit(storetest.NewJob("j", storetest.NewTasks(10_000, "a")...))
		b.StartTimer()
		m := store.Mass{From: []farm.TaskStatus{farm.TaskQueued, farm.TaskActive}, To: farm.TaskCanceled}
		for after, done := 0, false; !done; {
			err := f.Store.DoAlone(b.Context(), func(tx *store.Tx) error {
				j, err := tx.Job(id)
				if err != nil {
					return err
				}
				after, done, err = tx.ChangeSlice(j, m, after, 1000, store.ByManager(""))
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkMaintenance is what it costs a transaction to ask for the maintenance mode by itself.
func BenchmarkMaintenance(b *testing.B) {
	f := storetest.NewFarm(b, durable)
	err := f.Store.DoAlone(b.Context(), func(tx *store.Tx) (err error) {
		for b.Loop() {
			err = errors.Join(err, tx.OutsideMaintenance())
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}
