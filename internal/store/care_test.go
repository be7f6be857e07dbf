// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

// job is a job of n tasks, every second of which depends on the one before.
func job(name string, n int) farm.NewJob {
	j := farm.NewJob{Name: name, Type: "test", Priority: 50}
	for i := range n {
		t := farm.NewTask{
			Name: fmt.Sprint(i), Type: "misc", Priority: 50,
			Commands: []farm.Command{{Name: "echo", Parameters: map[string]any{"message": strings.Repeat("x", 200)}}},
		}
		if i%2 == 1 {
			t.Dependencies = []int{i - 1}
		}
		j.Tasks = append(j.Tasks, t)
	}
	return j
}

func submit(t *testing.T, s *Store, j farm.NewJob) (id string) {
	t.Helper()
	err := s.DoAlone(t.Context(), func(tx *Tx) (err error) {
		id, err = tx.InsertJob(j)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func number(t *testing.T, db *sql.DB, query string) (n int64) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestTheLogIsEmptiedOnceALongReaderIsGone(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	s := open(t, Options{WALLimit: limit, Durability: DurabilityNormal})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	reader, err := s.read.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback() //nolint:errcheck // it only reads
	var jobs int
	if err := reader.QueryRow("SELECT count(*) FROM jobs").Scan(&jobs); err != nil {
		t.Fatal(err)
	}
	var largest int64
	for i := range 20 {
		submit(t, s, job(fmt.Sprint(i), 500))
		largest = max(largest, s.wal.size())
	}
	if largest < 4*limit {
		t.Fatalf("the log grew to %d bytes only, which proves nothing", largest)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log gets small", func() bool { return s.wal.size() <= limit })
	t.Logf("the log grew to %d KiB while a reader stayed, and has %d KiB now", largest>>10, s.wal.size()>>10)
	for i := range 20 {
		submit(t, s, job(fmt.Sprint(i), 500))
	}
	eventually(t, "the log stays small", func() bool { return s.wal.size() <= limit })
	if n := number(t, s.read, "SELECT count(*) FROM tasks"); n != 20_000 {
		t.Errorf("there are %d tasks", n)
	}
}

func TestASoundDatabasePassesItsCheck(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	submit(t, s, job("j", 1000))
	var steps []int
	if err := s.Check(t.Context(), func(done, _ int) { steps = append(steps, done) }); err != nil {
		t.Error(err)
	}
	if !slices.IsSorted(steps) || len(steps) < 10 {
		t.Errorf("progress went %v", steps)
	}
	if err := CheckFile(t.Context(), path, nil); err != nil {
		t.Errorf("beside the Manager: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var damaged *CheckError
	if err := s.Check(ctx, nil); err == nil || errors.As(err, &damaged) {
		t.Errorf("a canceled check: %v", err)
	}
}

func TestACheckListsRowsThatNameOthersWhichAreNotThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	submit(t, s, job("j", 300))
	other, err := sql.Open("sqlite", databaseURI(path, nil)+"?_pragma=foreign_keys(OFF)&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Exec("UPDATE task_specs SET task_id = task_id + 100000"); err != nil {
		t.Fatal(err)
	}
	var damaged *CheckError
	if err := s.Check(t.Context(), nil); !errors.As(err, &damaged) {
		t.Fatalf("the check says %v", err)
	}
	if len(damaged.Problems) != maxProblems || !damaged.More || !strings.Contains(damaged.Problems[0], "row 100001 of task_specs names a row of tasks") {
		t.Errorf("%d problems, more %v: %v", len(damaged.Problems), damaged.More, damaged)
	}
	if _, err := other.Exec("UPDATE task_specs SET task_id = task_id - 100000"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context(), nil); err != nil {
		t.Errorf("mended: %v", err)
	}
}

// damage overwrites pages near the end of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte(strings.Repeat("damage", 4096)), info.Size()/4096/2*4096)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestACheckFindsOverwrittenPages(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	submit(t, s, job("j", 2000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, path)
	var damaged *CheckError
	if err := CheckFile(t.Context(), path, nil); !errors.As(err, &damaged) {
		t.Errorf("without a Manager: %v", err)
	}
	s = open(t, Options{Database: path})
	if err := s.Check(t.Context(), nil); !errors.As(err, &damaged) {
		t.Errorf("the check says %v", err)
	}
}

func TestCheckingAFileMakesNone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := CheckFile(t.Context(), filepath.Join(folder, "farm.sqlite"), nil); err == nil {
		t.Error("what is not there passed the check")
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestSpaceIsGivenBackInSlicesWhileOthersWrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path, Durability: DurabilityNormal})
	submit(t, s, job("kept", 100))
	for i := range 4 {
		submit(t, s, job(fmt.Sprint(i), 2000))
	}
	if _, err := s.conn.ExecContext(t.Context(), "DELETE FROM jobs WHERE name <> 'kept'"); err != nil {
		t.Fatal(err)
	}
	before := number(t, s.read, "PRAGMA page_count")
	if unused, size, err := s.Unused(t.Context()); err != nil || unused < size/2 || size != 4096*before {
		t.Fatalf("%d of %d bytes are unused: %v", unused, size, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var longest time.Duration
	var others sync.WaitGroup
	others.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			start := time.Now()
			if err := s.Do(t.Context(), addTag(fmt.Sprint(n))); err != nil {
				t.Error(err)
			}
			longest = max(longest, time.Since(start))
		}
	})
	var slices, last, total int
	err := s.vacuumSlices(t.Context(), func(done, of int) { slices, last, total = slices+1, done, of }, time.Millisecond)
	cancel()
	others.Wait()
	if err != nil || last != total || slices < 3 {
		t.Errorf("%d of %d pages in %d slices: %v", last, total, slices, err)
	}
	after := number(t, s.read, "PRAGMA page_count")
	if after > before/2 {
		t.Errorf("%d pages before, %d after", before, after)
	}
	t.Logf("%d pages before, %d after, %d slices; the longest write of another took %s", before, after, slices, longest)
	if n := number(t, s.read, "SELECT count(*) FROM task_specs"); n != 100 {
		t.Errorf("%d tasks are left", n)
	}
	if err := s.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := s.Vacuum(t.Context(), nil); err != nil {
		t.Errorf("with nothing to do: %v", err)
	}
}

func TestAWholeVacuumNeedsTheDatabaseForItselfAndMakesSlicesPossible(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	old, err := sql.Open("sqlite", databaseURI(path, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Exec("PRAGMA journal_mode = WAL; CREATE TABLE x (x); DROP TABLE x"); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Database: path})
	if _, _, err := VacuumFile(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another Manager is using it") {
		t.Errorf("beside a Manager: %v", err)
	}
	if err := s.Vacuum(t.Context(), nil); !errors.Is(err, ErrNeedsWholeVacuum) {
		t.Errorf("a file of the old kind: %v", err)
	}
	submit(t, s, job("j", 2000))
	if _, err := s.conn.ExecContext(t.Context(), "DELETE FROM jobs"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, after, err := VacuumFile(t.Context(), path)
	if err != nil || after >= before/2 {
		t.Errorf("%d bytes before, %d after: %v", before, after, err)
	}
	s = open(t, Options{Database: path})
	if err := s.Vacuum(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, _, err := VacuumFile(t.Context(), path+".not"); err == nil {
		t.Error("a file that is not there was made")
	}
}

func TestAVacuumAsksForSpaceFirst(t *testing.T) {
	t.Parallel()
	if err := NeedSpace(t.TempDir(), 1<<60); farm.CodeOf(err) != farm.CodeStorage {
		t.Errorf("for more than any disk has: %v", err)
	}
	if err := NeedSpace(t.TempDir(), 1); err != nil {
		t.Errorf("for a byte: %v", err)
	}
}
