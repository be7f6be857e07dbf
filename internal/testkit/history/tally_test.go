// SPDX-License-Identifier: GPL-3.0-or-later

package history

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
)

func TestATallySaysWhatRan(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tally")
	tasks := []Task{{Task: farm.Task{ID: "t"}, Attempts: []farm.Attempt{{AssignmentID: "a"}, {AssignmentID: "b"}}}}
	if runs, err := ReadTally(path, tasks); err != nil || runs != nil {
		t.Errorf("without a file: %v, %v", runs, err)
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("task-1 a begin 1\ntask-1 b begin 2\ntask-1 b end 5\ntask-1 a begin 7\n")
	runs, err := ReadTally(path, tasks)
	if err != nil {
		t.Fatal(err)
	}
	want := []Run{
		{Task: "t", Assignment: "a", Started: time.Unix(0, 1), Ended: time.Unix(0, 1)},
		{Task: "t", Assignment: "b", Started: time.Unix(0, 2), Ended: time.Unix(0, 5), Finished: true},
		{Task: "t", Assignment: "a", Started: time.Unix(0, 7), Ended: time.Unix(0, 7)},
	}
	if diff := cmp.Diff(want, runs); diff != "" {
		t.Error(diff)
	}
	if wrong := BegunTwice(runs); len(wrong) != 1 {
		t.Errorf("begun twice: %q, want one", wrong)
	}
	for _, text := range []string{"task-1 a begin\n", "task-1 a end 3\n"} {
		write(text)
		if runs, err := ReadTally(path, tasks); err == nil {
			t.Errorf("%q was read as %v", text, runs)
		}
	}
}
