// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"os"
	"path/filepath"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

func TestALogIsWrittenAfterAnotherProcessRemovedTheFolderOfItsJob(t *testing.T) {
	t.Parallel()
	at := t.TempDir()
	store, err := tasklog.New(at, 0)
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
