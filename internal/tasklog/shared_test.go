// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

func TestManagersThatShareAFolderDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "storage")
	stores := make([]*tasklog.Store, 3)
	for i := range stores {
		store, err := tasklog.NewShared(folder, 0)
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
