// SPDX-License-Identifier: GPL-3.0-or-later

package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

func setup(t *testing.T) (*Box, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "outbox.sqlite")
	return reopen(t, path), path
}

func reopen(t *testing.T, path string) *Box {
	t.Helper()
	box, _, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return box
}

func put(t *testing.T, box *Box, assignment string, sequence int64) {
	t.Helper()
	u := Update{TaskID: "t", Assignment: assignment, Session: "s", Sequence: sequence, Body: []byte(fmt.Sprint(assignment, sequence))}
	if kept, err := box.Append(u); err != nil || !kept {
		t.Fatalf("Append: kept %v, %v", kept, err)
	}
}

func TestUpdatesLeaveInOrderAndOnlyWhenAccepted(t *testing.T) {
	t.Parallel()
	box, _ := setup(t)
	for i := range 5 {
		put(t, box, "a", int64(i+1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var seen []string
	tries := 0
	deliver := func(_ context.Context, u Update) Verdict {
		if tries++; tries%3 != 0 { // every update fails twice
			return Later
		}
		seen = append(seen, string(u.Body))
		return Accepted
	}
	done := make(chan error, 1)
	go func() { done <- box.Run(ctx, Backoff{Min: time.Millisecond, Max: time.Millisecond}, deliver, nil) }()
	if err := box.WaitEmpty(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
	if got, want := fmt.Sprint(seen), "[a1 a2 a3 a4 a5]"; got != want {
		t.Errorf("delivered %s, want %s", got, want)
	}
}

func TestARefusalDropsTheWholeAssignmentAndNothingElse(t *testing.T) {
	t.Parallel()
	box, _ := setup(t)
	put(t, box, "a", 1)
	put(t, box, "b", 1)
	put(t, box, "a", 2)
	put(t, box, "b", 2)
	var seen []string
	empty := box.Flush(t.Context(), func(_ context.Context, u Update) Verdict {
		seen = append(seen, string(u.Body))
		if u.Assignment == "a" {
			return Refused
		}
		return Accepted
	})
	if got, want := fmt.Sprint(seen), "[a1 b1 b2]"; got != want || !empty {
		t.Errorf("delivered %s (empty: %v), want %s", got, empty, want)
	}
}

func TestUpdatesSurviveARestart(t *testing.T) {
	t.Parallel()
	box, path := setup(t)
	put(t, box, "a", 7)
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	box = reopen(t, path)
	u, ok, err := box.First()
	if err != nil || !ok {
		t.Fatalf("First: %v, %v", ok, err)
	}
	if u.TaskID != "t" || u.Assignment != "a" || u.Session != "s" || u.Sequence != 7 || string(u.Body) != "a7" {
		t.Errorf("came back as %+v", u)
	}
}

func TestADamagedFileIsSetAside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.sqlite")
	if err := os.WriteFile(path, []byte("this is no database at all, but it is long enough to be read"), 0o600); err != nil {
		t.Fatal(err)
	}
	box, setAside, err := Open(t.Context(), path)
	if err != nil || !setAside {
		t.Fatalf("Open: set aside %v, %v", setAside, err)
	}
	defer func() { _ = box.Close() }()
	put(t, box, "a", 1)
	if _, err := os.Stat(path + "~damaged"); err != nil {
		t.Error(err)
	}
}

func TestTheFileOfAnotherProgramIsSetAside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.sqlite")
	theirs, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Exec(`CREATE TABLE updates (id INTEGER PRIMARY KEY, task_id TEXT, payload TEXT)`); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	box, setAside, err := Open(t.Context(), path)
	if err != nil || !setAside {
		t.Fatalf("Open: set aside %v, %v", setAside, err)
	}
	defer func() { _ = box.Close() }()
	put(t, box, "a", 1)
}

func TestUpdatesWaitInMemoryInOrderWhileTheDiskRefusesThem(t *testing.T) {
	t.Parallel()
	box, _ := setup(t)
	put(t, box, "a", 1)
	if _, err := box.db.Exec(`CREATE TRIGGER full BEFORE INSERT ON updates BEGIN SELECT RAISE(FAIL, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	if kept, err := box.Append(Update{TaskID: "t", Assignment: "a", Sequence: 2, Body: []byte("a2")}); !kept || err == nil {
		t.Fatalf("Append on a full disk: kept %v, %v", kept, err)
	}
	if _, err := box.db.Exec(`DROP TRIGGER full`); err != nil {
		t.Fatal(err)
	}
	put(t, box, "a", 3)
	var seen []string
	box.Flush(t.Context(), func(_ context.Context, u Update) Verdict {
		seen = append(seen, string(u.Body))
		return Accepted
	})
	if got, want := fmt.Sprint(seen), "[a1 a2 a3]"; got != want {
		t.Errorf("delivered %s, want %s", got, want)
	}
	put(t, box, "a", 4)
	if len(box.memory) != 0 {
		t.Error("still in memory although the disk takes updates again")
	}
}

func BenchmarkUpdateThroughTheOutbox(b *testing.B) {
	box, _, err := Open(b.Context(), filepath.Join(b.TempDir(), "outbox.sqlite"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = box.Close() }()
	var sent atomic.Int64
	for b.Loop() {
		if _, err := box.Append(Update{TaskID: "t", Assignment: "a", Body: make([]byte, 300)}); err != nil {
			b.Fatal(err)
		}
		box.Flush(b.Context(), func(context.Context, Update) Verdict { sent.Add(1); return Accepted })
	}
}
