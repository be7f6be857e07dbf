// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

// lock takes the write lock of a database as another process would.
func lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() { db.Close() }
}

func TestACallWaitsForAnotherProcessThatKeepsTheDatabaseLocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	unlock := lock(t, path)
	time.AfterFunc(3*time.Second, unlock)
	start := time.Now()
	if err := s.Do(t.Context(), addTag("a")); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d < 2900*time.Millisecond {
		t.Errorf("it was stored after %v, while the database was locked", d)
	}
	wantTags(t, s, "a")
}

func TestACallGivesUpWhenTheDatabaseStaysLockedForFiveSeconds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	unlock := lock(t, path)
	defer unlock()
	wantBusy(t, s, 5*time.Second)
}

func TestOthersAreServedWhileAndAfterACallGivesUp(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path, BusyTimeout: timeout})
	if err := s.Do(t.Context(), addTag("a")); err != nil {
		t.Fatal(err)
	}
	unlock := lock(t, path)
	reads := make(chan error)
	go func() {
		var err error
		for range 20 {
			_, readErr := s.Tags(t.Context())
			err = errors.Join(err, readErr)
		}
		reads <- err
	}()
	wantBusy(t, s, timeout)
	if err := <-reads; err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout/10)
	defer cancel()
	if err := s.Do(ctx, addTag("b")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller with less patience: %v", err)
	}
	unlock()
	if err := s.Do(t.Context(), addTag("c")); err != nil {
		t.Error(err)
	}
	wantTags(t, s, "a", "c")
}

func wantBusy(t *testing.T, s *Store, timeout time.Duration) {
	t.Helper()
	start := time.Now()
	err := s.Do(t.Context(), addTag("late"))
	if d := time.Since(start); !errors.Is(err, farm.ErrBusy) || d < timeout || d > timeout+2*time.Second {
		t.Errorf("after %v: %v", d, err)
	}
}

func TestADatabaseThatIsLockedCanBeOpenedOnceItIsFree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	if err := open(t, Options{Database: path}).Close(); err != nil {
		t.Fatal(err)
	}
	unlock := lock(t, path)
	opts := Options{Database: path, BusyTimeout: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	if _, err := Open(t.Context(), opts); !errors.Is(err, farm.ErrBusy) || !strings.Contains(err.Error(), path) {
		t.Errorf("opened while locked: %v", err)
	}
	time.AfterFunc(200*time.Millisecond, unlock)
	open(t, Options{Database: path})
}

func TestASecondManagerIsRefusedAndToldWhoIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	opts := Options{Database: path, Log: slog.New(slog.DiscardHandler)}
	s := open(t, opts)
	_, err := Open(t.Context(), opts)
	if err == nil {
		t.Fatal("a second Manager opened the database")
	}
	host, _ := os.Hostname()
	for _, want := range []string{path, "another Manager is using it", fmt.Sprintf("process %d on %s", os.Getpid(), host)} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
	if err := s.Do(t.Context(), addTag("a")); err != nil {
		t.Errorf("the first cannot write any more: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantTags(t, open(t, opts), "a")
}

func TestADatabaseThatCannotBeOpenedSaysWhich(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, folder, filepath.Join(text, "below.sqlite")} {
		opts := Options{Database: path, BusyTimeout: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
		for range 2 { // the second time finds no lock left behind
			s, err := Open(t.Context(), opts)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "another Manager") {
				t.Errorf("opening %s: %v", path, err)
			}
		}
	}
}

func TestADatabaseMayHaveAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"my farm.sqlite", "50%.sqlite", "what?.sqlite", "a#b.sqlite", "Überfarm&x=1.sqlite"} {
		path := filepath.Join(t.TempDir(), "new folder", name)
		open(t, Options{Database: path, Durability: DurabilityNormal})
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := databaseURI("C:/farm/my farm.sqlite", url.Values{}); got != "file:///C:/farm/my%20farm.sqlite" {
		t.Errorf("a drive letter became %s", got)
	}
}

func TestADatabaseIsAsDurableAsAskedFor(t *testing.T) {
	t.Parallel()
	for durability, want := range map[Durability]int{"": 2, DurabilityFull: 2, DurabilityNormal: 1} {
		s := open(t, Options{Durability: durability})
		var synchronous, keys, readOnly int
		var journal string
		err := errors.Join(
			s.conn.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&synchronous), s.conn.QueryRowContext(t.Context(), "PRAGMA foreign_keys").Scan(&keys),
			s.conn.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&journal), s.read.QueryRow("PRAGMA query_only").Scan(&readOnly),
		)
		if err != nil || synchronous != want || keys != 1 || journal != "wal" || readOnly != 1 {
			t.Errorf("%q: synchronous %d, foreign keys %d, journal %s, readers only read %d, %v",
				durability, synchronous, keys, journal, readOnly, err)
		}
	}
}

func TestAProcessOfTheManagerOpensItsDatabaseBesideIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	if _, err := Open(t.Context(), Options{Database: path, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second Manager: %v", err)
	}
	beside := open(t, Options{Database: path, Beside: true})
	for name, one := range map[string]*Store{"beside": beside, "manager": s} {
		if err := one.Do(t.Context(), addTag(name)); err != nil {
			t.Error(err)
		}
	}
	wantTags(t, s, "beside", "manager")
}

func TestADatabaseOfAnotherVersionIsNotOpenedBesideItsManager(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	if _, err := s.conn.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)"); err != nil {
		t.Fatal(err)
	}
	opened, err := Open(t.Context(), Options{Database: path, Beside: true, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		opened.Close()
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), "version 99999") {
		t.Error(err)
	}
}
