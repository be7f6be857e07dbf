// SPDX-License-Identifier: GPL-3.0-or-later

package store_test

import (
	"testing"

	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// BenchmarkTaskList reads the list of a job of 100,000 tasks: its first page, and all of it.
func BenchmarkTaskList(b *testing.B) {
	f := storetest.NewFarm(b, durable)
	id, _ := f.Submit(storetest.NewJob("j", storetest.NewTasks(100_000, "a")...))
	b.Run("first page", func(b *testing.B) {
		for b.Loop() {
			tasks, _, err := f.Store.Tasks(b.Context(), store.TaskList{JobID: id, Page: store.Page{Limit: 100}})
			if err != nil || len(tasks) != 100 {
				b.Fatal(len(tasks), err)
			}
		}
	})
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			tasks, _, err := f.Store.Tasks(b.Context(), store.TaskList{JobID: id})
			if err != nil || len(tasks) != 100_000 {
				b.Fatal(len(tasks), err)
			}
		}
	})
}
