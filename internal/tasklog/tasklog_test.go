// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

const (
	job  = "0a1b2c3d-0000-4000-8000-000000000001"
	task = "ffffffff-0000-4000-8000-000000000002"
)

// first is the log of the first attempt.
var first = attempt(1)

func attempt(generation int64) farm.LogID {
	return farm.LogID{JobID: job, TaskID: task, Generation: generation}
}

func setup(t *testing.T) (*tasklog.Store, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "storage")
	store, err := tasklog.New(tasklog.Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store, folder
}

func read(t *testing.T, folder string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "job-0a1b", job, "task-"+task+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func chunk(t *testing.T, s *tasklog.Store, since int64, text string) int64 {
	t.Helper()
	size, err := s.AppendChunk(first, since, text)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestAChunkSentAgainIsKeptOnce(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	size := chunk(t, store, 0, "one\n")
	if size != 4 {
		t.Errorf("size %d, want 4", size)
	}
	if err := store.AppendLine(first, "between"); err != nil {
		t.Fatal(err)
	}
	again := chunk(t, store, 0, "one\n")
	if got := read(t, folder); strings.Count(got, "one\n") != 1 || int64(len(got)) != again {
		t.Errorf("got %q and size %d", got, again)
	}
}

func TestAnEqualChunkThatIsNewIsKept(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	since := chunk(t, store, 0, "Fra:1\n")
	chunk(t, store, since, "Fra:1\n")
	chunk(t, store, -1, "Fra:1\n")
	if got := read(t, folder); got != "Fra:1\nFra:1\nFra:1\n" {
		t.Errorf("got %q", got)
	}
}

func TestALongChunkIsFoundBehindALotOfOtherText(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	long := strings.Repeat("x", 100_000) + "end\n"
	chunk(t, store, 0, strings.Repeat("noise\n", 30_000))
	chunk(t, store, 0, long)
	size := chunk(t, store, 0, strings.Repeat("more noise\n", 30_000))
	if again := chunk(t, store, 10, long); again != size {
		t.Errorf("size %d, want %d", again, size)
	}
	if n := strings.Count(read(t, folder), "end\n"); n != 1 {
		t.Errorf("the chunk is there %d times", n)
	}
}

func TestAWriteThatACrashCutShortIsCompleted(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	since := chunk(t, store, 0, "before\n")
	chunk(t, store, since, "half of a ch")
	chunk(t, store, since, "half of a chunk\n")
	if got := read(t, folder); got != "before\nhalf of a chunk\n" {
		t.Errorf("got %q", got)
	}
}

func TestAnOffsetBehindTheEndAppends(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	chunk(t, store, 999, "a\n")
	chunk(t, store, 999, "b\n")
	if got := read(t, folder); got != "a\nb\n" {
		t.Errorf("got %q", got)
	}
}

func TestALineIsStampedAndStaysOneLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, folder := setup(t)
		if err := store.AppendLine(first, "task is\nassigned\r\n"); err != nil {
			t.Fatal(err)
		}
		if got, want := read(t, folder), "2000-01-01T00:00:00Z task is assigned\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestTheTailIsWholeLinesOfAtMost2048Bytes(t *testing.T) {
	t.Parallel()
	store, _ := setup(t)
	chunk(t, store, 0, "short\n")
	if tail, err := store.Tail(job, task); err != nil || tail != "short\n" {
		t.Errorf("got %q, %v", tail, err)
	}
	for i := range 300 {
		chunk(t, store, -1, fmt.Sprintf("line %d of many\n", i))
	}
	tail, err := store.Tail(job, task)
	if err != nil {
		t.Fatal(err)
	}
	if len(tail) > tasklog.TailSize || len(tail) < 2000 || !strings.HasPrefix(tail, "line ") || !strings.HasSuffix(tail, "line 299 of many\n") {
		t.Errorf("%d bytes: %q", len(tail), tail)
	}
}

func TestATaskWithoutLogIsSaidNotToExist(t *testing.T) {
	t.Parallel()
	store, _ := setup(t)
	if _, err := store.Stat(first); !farm.IsNotExist(err) {
		t.Errorf("Stat: %v", err)
	}
	if _, err := store.Tail(job, task); !farm.IsNotExist(err) {
		t.Errorf("Tail: %v", err)
	}
}

func TestNamesThatLeadElsewhereAreRefused(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	for _, id := range []string{"", "../../../../../../../etc/passwd-padd", strings.Repeat("/", 36)} {
		if _, err := store.AppendChunk(farm.LogID{JobID: job, TaskID: id, Generation: 1}, 0, "x"); farm.CodeOf(err) != farm.CodeInvalid {
			t.Errorf("task %q: %v", id, err)
		}
		if _, err := store.Tail(id, task); farm.CodeOf(err) != farm.CodeInvalid {
			t.Errorf("job %q: %v", id, err)
		}
	}
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(folder, "job-0a1b")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.AppendChunk(first, 0, "x"); farm.CodeOf(err) != farm.CodeStorage {
		t.Errorf("through a link: %v", err)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("written outside: %v", entries)
	}
}

func TestALogThatCannotBeWrittenIsAStorageError(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	if err := os.WriteFile(filepath.Join(folder, "job-0a1b"), []byte("a file in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.AppendChunk(first, 0, "x")
	var shown *farm.Error
	if !errors.As(err, &shown) || shown.Code != farm.CodeStorage {
		t.Errorf("got %v", err)
	}
}

func TestManyWritersLoseNothing(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			if _, err := store.AppendChunk(first, -1, fmt.Sprintf("from %02d\n", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := read(t, folder); len(got) != 20*len("from 00\n") {
		t.Errorf("got %q", got)
	}
}

func TestWhatIsAppendedIsHeardOnce(t *testing.T) {
	t.Parallel()
	logs, _ := setup(t)
	id := farm.LogID{JobID: job, TaskID: task, Generation: 1}
	var heard string
	logs.OnAppend(func(of farm.LogID, text string) {
		if of != id {
			t.Errorf("heard of %+v", of)
		}
		heard += text
	})
	size, err := logs.AppendChunk(id, 0, "one\n")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is found in the log
		if _, err := logs.AppendChunk(id, size, "two\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := logs.AppendLine(id, "three"); err != nil {
		t.Fatal(err)
	}
	tail, err := logs.Tail(job, task)
	if err != nil || heard != tail {
		t.Errorf("heard %q, the log is %q, %v", heard, tail, err)
	}
}
