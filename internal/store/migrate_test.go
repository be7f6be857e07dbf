// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/migrations"
	"flamenco.farm/internal/testkit/postgres"
)

// history is the migrations of a later version: those there are, and n more.
func history(t *testing.T, n int) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	names, err := fs.Glob(migrations.FS, "sqlite/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(name, "sqlite/")] = &fstest.MapFile{Data: text}
	}
	for i := range n {
		name := string(rune('a' + i))
		files[fmt.Sprintf("%05d_%s.sql", 9001+i, name)] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE " + name + " (x TEXT);\n")}
	}
	return files
}

func copiesOf(t *testing.T, path string) []string {
	t.Helper()
	names, err := listCopies(path)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestADatabaseIsCopiedBeforeItsSchemaChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	submit(t, s, job("j", 100))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if copies := copiesOf(t, path); len(copies) != 0 {
		t.Errorf("a new database was copied: %v", copies)
	}
	if err := os.WriteFile(path+".before-copy.tmp", []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Database: path, migrations: history(t, 1)})
	if n := number(t, s.read, "SELECT count(*) FROM a"); n != 0 {
		t.Error("the schema is the old one")
	}
	copies := copiesOf(t, path)
	if len(copies) != 1 || !strings.HasPrefix(copies[0], "farm.sqlite.before-9001.") {
		t.Fatalf("copies: %v", copies)
	}
	old := open(t, Options{Database: filepath.Join(filepath.Dir(path), copies[0])})
	if n := number(t, old.read, "SELECT count(*) FROM tasks"); n != 100 {
		t.Errorf("the copy has %d tasks", n)
	}
	if err := old.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if n := number(t, old.read, "PRAGMA auto_vacuum"); n != 2 {
		t.Error("the copy cannot give space back")
	}
}

func TestOnlyTheLastCopiesStay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	for i := range 7 {
		name := fmt.Sprintf("%s%s%d.20200101T00000%d", path, copyMark, 20-i, i) // the time counts, not the version
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pruneCopies(path, slog.New(slog.DiscardHandler))
	copies := copiesOf(t, path)
	if len(copies) != 3 || !strings.HasSuffix(copies[0], "4") || !strings.HasSuffix(copies[2], "6") {
		t.Errorf("left are %v", copies)
	}
}

func TestWithoutACopyTheSchemaStaysAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	if err := open(t, Options{Database: path}).Close(); err != nil {
		t.Fatal(err)
	}
	// A folder that is not empty cannot be replaced by a file.
	if err := os.MkdirAll(path+".before-copy.tmp/full", 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{Database: path, Log: slog.New(slog.DiscardHandler), migrations: history(t, 1)})
	if err == nil || !strings.Contains(err.Error(), "copying it before its schema is changed") {
		t.Errorf("opened: %v", err)
	}
	s := open(t, Options{Database: path})
	if n := number(t, s.read, "SELECT count(*) FROM sqlite_master WHERE name = 'a'"); n != 0 {
		t.Error("its schema was changed")
	}
}

func TestADatabaseOfANewerVersionIsRefusedAndTheCopyNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	if err := open(t, Options{Database: path}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, Options{Database: path, migrations: history(t, 2)}).Close(); err != nil {
		t.Fatal(err)
	}
	opts := Options{Database: path, Log: slog.New(slog.DiscardHandler)}
	_, err := Open(t.Context(), opts)
	_, errReading := OpenForReading(t.Context(), opts)
	for _, err := range []error{err, errReading} {
		if err == nil {
			t.Fatal("it was opened")
		}
		for _, want := range []string{"a newer Flamenco wrote it (schema version 9002", copiesOf(t, path)[0]} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
	}
}

func TestTheDatabaseOfAnotherProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]string{
		"last_rendereds": "flamenco-manager import-flamenco3", "contacts": "of another program",
	} {
		path := filepath.Join(t.TempDir(), "flamenco-manager.sqlite")
		db, err := sql.Open("sqlite", databaseURI(path, nil))
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec("CREATE TABLE " + table + " (id INTEGER); CREATE TABLE goose_db_version (id INTEGER, version_id INTEGER, is_applied INTEGER, tstamp TEXT); INSERT INTO goose_db_version VALUES (1, 8, 1, '')")
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		opts := Options{Database: path, Log: slog.New(slog.DiscardHandler)}
		_, err = Open(t.Context(), opts)
		if err == nil || !strings.Contains(err.Error(), want) || farm.CodeOf(err) != farm.CodeInvalid {
			t.Errorf("%s: %v", table, err)
		}
		if _, _, err := VacuumFile(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: vacuum: %v", table, err)
		}
		if err := CheckFile(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: check: %v", table, err)
		}
		after, err := os.ReadFile(path)
		if err != nil || len(after) != len(before) {
			t.Errorf("%s: the file has %d bytes instead of %d: %v", table, len(after), len(before), err)
		}
	}
}

func TestADamagedFileSaysWhatToDo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	backup := path + ".before-2.20260101T000000"
	if err := os.WriteFile(backup, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{Database: path, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "keep it as it is") || !strings.Contains(err.Error(), backup) {
		t.Errorf("got %v", err)
	}
}

func TestADatabaseCanBeReadBesideAManagerAndNotWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	id := submit(t, s, job("j", 1))
	r, err := OpenForReading(t.Context(), Options{Database: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if j, err := r.Job(t.Context(), id); err != nil || j.Name != "j" {
		t.Errorf("%+v, %v", j, err)
	}
	if err := r.Do(t.Context(), addTag("a")); err == nil {
		t.Error("it was written")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	wantTags(t, s)
}

func TestTablesOfAnExtensionAreNotThoseOfAnotherProgram(t *testing.T) {
	t.Parallel()
	address := postgres.Database(t)
	db := connect(t, address)
	open := func(statement string) error {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), Options{Database: address, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	err := open("CREATE TABLE contacts (id BIGINT)")
	if farm.CodeOf(err) != farm.CodeInvalid || !strings.Contains(err.Error(), "of another program") {
		t.Errorf("the database of another program: %v", err)
	}
	if err := open("ALTER EXTENSION plpgsql ADD TABLE contacts; CREATE VIEW statistics AS SELECT 1"); err != nil {
		t.Errorf("a database with an extension: %v", err)
	}
	if err := open("CREATE TABLE contacts_too (id BIGINT)"); err != nil {
		t.Errorf("a database that has our tables: %v", err)
	}
}
