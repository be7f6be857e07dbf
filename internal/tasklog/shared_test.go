// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

func TestManagersThatShareAFolderDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "storage")
	stores := make([]*tasklog.Store, 3)
	for i := range stores {
		store, err := tasklog.New(tasklog.Options{Folder: folder, Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		stores[i] = store
	}
	const lines = 300
	line := func(manager, n int) string {
		return fmt.Sprintf("<Manager %d line %d> %s\n", manager, n, strings.Repeat("x", 100))
	}
	stop := make(chan struct{})
	var writing, other sync.WaitGroup
	for i, s := range stores {
		writing.Go(func() {
			for n := range lines {
				if _, err := s.AppendChunk(attempt(int64(1+n/(lines/3))), -1, line(i, n)); err != nil {
					t.Error(err)
				}
			}
		})
		other.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.PackJob(t.Context(), job); err != nil {
					t.Error(err)
				}
				if _, err := s.Tail(job, task); err != nil && !farm.IsNotExist(err) {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	other.Wait()
	for i := range stores {
		for n := range lines {
			text := whole(t, stores[(i+1)%len(stores)], attempt(int64(1+n/(lines/3))))
			if got := strings.Count(text, line(i, n)); got != 1 {
				t.Fatalf("line %d of Manager %d is there %d times", n, i, got)
			}
		}
	}
}

func TestAManagerThatIsFrozenWithItsLocksHoldsUpNobodyForLong(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T, string) (*tasklog.Store, error){
		"logs in files": func(_ *testing.T, folder string) (*tasklog.Store, error) {
			return tasklog.New(tasklog.Options{Folder: folder, Shared: true})
		},
		"logs in files from before": func(t *testing.T, folder string) (*tasklog.Store, error) {
			return tasklog.New(tasklog.Options{Blobs: blobsIn(t), Folder: folder, Shared: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				folder := filepath.Join(t.TempDir(), "storage")
				frozen, err := tasklog.New(tasklog.Options{Folder: folder, Shared: true})
				if err != nil {
					t.Fatal(err)
				}
				defer frozen.Close()
				before := long(1, 9_000)
				add(t, frozen, 1, before)
				free, err := frozen.HoldLocks()
				if err != nil {
					t.Fatal(err)
				}
				store, err := open(t, folder) // a Manager that starts now
				if err != nil {
					t.Fatal(err)
				}
				defer store.Close()
				begun := time.Now()
				_, err = store.Open(attempt(1))
				if farm.CodeOf(err) != farm.CodeStorage || !strings.Contains(err.Error(), filepath.Join(folder, "task-locks")) {
					t.Errorf("reading: %v", err)
				}
				_, err = store.AppendChunk(attempt(1), -1, "lost\n")
				if farm.CodeOf(err) != farm.CodeStorage || !strings.HasPrefix(err.Error(), "the task log cannot be used") {
					t.Errorf("appending: %v", err)
				}
				if waited := time.Since(begun); waited < 2*time.Second || waited > 12*time.Second {
					t.Errorf("they waited for %s", waited)
				}
				if err := store.PackJob(t.Context(), job); farm.CodeOf(err) != farm.CodeStorage {
					t.Errorf("packing: %v", err)
				}
				if got := names(t, folder); len(got) != 1 || got[0] != ".txt" {
					t.Errorf("the files are %q", got)
				}
				free()
				if err := store.PackJob(t.Context(), job); err != nil {
					t.Error(err)
				}
				if got := whole(t, store, attempt(1)); got != before {
					t.Errorf("the log is %q", got)
				}
			})
		})
	}
}
