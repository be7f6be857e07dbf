// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

func TestALogIsWrittenAfterAnotherProcessRemovedTheFolderOfItsJob(t *testing.T) {
	t.Parallel()
	at := t.TempDir()
	store, err := tasklog.New(tasklog.Options{Folder: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	id := farm.LogID{JobID: "11111111-1111-4111-8111-111111111111", TaskID: "22222222-2222-4222-8222-222222222222", Generation: 1}
	for _, text := range []string{"first\n", "second\n", "third\n"} {
		if _, err := store.AppendChunk(id, -1, text); err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(filepath.Join(at, tasklog.Path(id.JobID, id.TaskID)))
		if err != nil || string(log) != text {
			t.Fatalf("the log is %q, %v; want %q", log, err, text)
		}
		if err := os.RemoveAll(filepath.Join(at, tasklog.Folder(id.JobID))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMoreLogsThanAreKeptOpenAreAllWritten(t *testing.T) {
	t.Parallel()
	at := t.TempDir()
	store, err := tasklog.New(tasklog.Options{Folder: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	id := func(task int, generation int64) farm.LogID {
		return farm.LogID{JobID: "11111111-1111-4111-8111-111111111111", TaskID: fmt.Sprintf("22222222-2222-4222-8222-%012d", task), Generation: generation}
	}
	const tasks = 600
	for generation := range int64(2) {
		for round := range 2 {
			for task := range tasks {
				if _, err := store.AppendChunk(id(task, generation+1), -1, fmt.Sprintf("%d.%d\n", generation+1, round)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for task := range tasks {
		for generation := range int64(2) {
			text, _, _, err := store.Part(id(task, generation+1), 0, 100)
			if want := fmt.Sprintf("%d.0\n%[1]d.1\n", generation+1); err != nil || string(text) != want {
				t.Fatalf("attempt %d of task %d logged %q, %v; want %q", generation+1, task, text, err, want)
			}
		}
	}
}
