// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package command

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"flamenco.farm/internal/farm"
)

// write makes a file and the folders above it.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// files lists a folder: paths below it with what is in the files.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		below, _ := filepath.Rel(root, path)
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			found[below] = "-> " + target
			return err
		}
		text, err := os.ReadFile(path)
		found[below] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantFiles(t *testing.T, root string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, files(t, root)); diff != "" {
		t.Error(diff)
	}
}

func wantError(t *testing.T, err error, code farm.Code, text string) {
	t.Helper()
	if err == nil || farm.CodeOf(err) != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v (%s), want %q (%s)", err, farm.CodeOf(err), text, code)
	}
}

func TestMakeDirectoryMakesAllOfThePath(t *testing.T) {
	t.Parallel()
	env, _ := newEnv(t)
	path := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 { // it may exist
		if err := run(t, env, 0, NameMakeDirectory, map[string]any{"path": path}); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		t.Error(err)
	}
	file := write(t, filepath.Join(t.TempDir(), "file"), "")
	if err := run(t, env, 0, NameMakeDirectory, map[string]any{"path": file}); err == nil {
		t.Error("made a folder where a file is")
	}
}

func TestCopyFileCopies(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	src := write(t, filepath.Join(root, "src"), "content")
	if err := os.Chmod(src, 0o640); err != nil {
		t.Fatal(err)
	}
	dest := filepath.Join(root, "new", "folder", "dest")
	env, _ := newEnv(t)
	if err := run(t, env, 0, NameCopyFile, map[string]any{"src": src, "dest": dest}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, map[string]string{"src": "content", "new/folder/dest": "content"})
	for path, want := range map[string]fs.FileMode{dest: 0o640, filepath.Dir(dest): fs.ModeDir | 0o750} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
}

func TestCopyFileRefusesWhatItMustNotDo(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	src := write(t, filepath.Join(root, "src"), "content")
	write(t, filepath.Join(root, "dest"), "other")
	write(t, filepath.Join(root, "folder", "x"), "x")
	if err := os.Symlink("nowhere", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	before := files(t, root)
	for _, test := range []struct {
		src, dest string
		code      farm.Code
		want      string
	}{
		{src, filepath.Join(root, "dest"), farm.CodeConflict, "already exists"},
		{src, src, farm.CodeConflict, "already exists"},
		{src, filepath.Join(root, "folder"), farm.CodeConflict, "already exists"},
		{src, filepath.Join(root, "link"), farm.CodeConflict, "already exists"},
		{filepath.Join(root, "folder"), filepath.Join(root, "new"), farm.CodeInvalid, "not a regular file"},
		{filepath.Join(root, "none"), filepath.Join(root, "new"), farm.CodeNotFound, "does not exist"},
	} {
		env, _ := newEnv(t)
		err := run(t, env, 0, NameCopyFile, map[string]any{"src": test.src, "dest": test.dest})
		wantError(t, err, test.code, test.want)
	}
	wantFiles(t, root, before)
}

func TestACopyThatIsStoppedLeavesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	src := write(t, filepath.Join(root, "src"), "content")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env, _ := newEnv(t)
	err := CopyFile{Src: src, Dest: filepath.Join(root, "dest")}.Run(ctx, env)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantFiles(t, root, map[string]string{"src": "content"})
}

func TestAFullDiskIsNamed(t *testing.T) {
	t.Parallel()
	src := write(t, filepath.Join(t.TempDir(), "src"), "content")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	err = fill(t.Context(), full, src, 0o644)
	wantError(t, explain(err, "/farm/dest"), farm.CodeStorage, `the disk of "/farm/dest" is full`)
}

func TestMoveDirectoryKeepsWhatIsAtTheDestination(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	move := func(text string) {
		t.Helper()
		write(t, filepath.Join(root, "src", "frame"), text)
		src := filepath.Join(root, "src") + "/"
		if err := os.Chtimes(src, time.Time{}, time.Date(2024, 2, 3, 4, 5, 6, 0, time.Local)); err != nil {
			t.Fatal(err)
		}
		env, _ := newEnv(t)
		err := run(t, env, 0, NameMoveDirectory, map[string]any{"src": src, "dest": filepath.Join(root, "new", "dest")})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"1", "2", "3", "4"} {
		move(text)
	}
	wantFiles(t, root, map[string]string{
		"new/dest-2024-02-03_040506/frame":     "1",
		"new/dest-2024-02-03_040506-001/frame": "2",
		"new/dest-2024-02-03_040506-002/frame": "3",
		"new/dest/frame":                       "4",
	})
}

func TestMoveDirectoryRefusesWhatCannotEndWell(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, filepath.Join(root, "a", "b", "frame"), "x")
	if err := os.Symlink("a", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	before := files(t, root)
	for _, test := range []struct {
		src, dest string
		code      farm.Code
		want      string
	}{
		{"none", "dest", farm.CodeNotFound, "does not exist"},
		{"a", "a", farm.CodeInvalid, "the same"},
		{"a", "a/b/c", farm.CodeInvalid, "is inside of source"},
		{"a", "link/c", farm.CodeInvalid, "is inside of source"},
		{"a/b", "a", farm.CodeInvalid, "is inside of destination"},
	} {
		env, _ := newEnv(t)
		err := run(t, env, 0, NameMoveDirectory, map[string]any{
			"src": filepath.Join(root, test.src), "dest": filepath.Join(root, test.dest),
		})
		wantError(t, err, test.code, test.want)
	}
	wantFiles(t, root, before)
}

// otherDisk is a folder on another file system than t.TempDir's.
func otherDisk(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "flamenco-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	var here, there unix.Stat_t
	if err := errors.Join(unix.Stat(t.TempDir(), &here), unix.Stat(folder, &there)); err != nil || here.Dev == there.Dev {
		t.Fatalf("this test needs TMPDIR and /dev/shm on different file systems (%v)", err)
	}
	return folder
}

func TestMoveDirectoryGoesToAnotherFileSystem(t *testing.T) {
	t.Parallel()
	here, there := t.TempDir(), otherDisk(t)
	src, dest := filepath.Join(here, "src"), filepath.Join(there, "dest")
	write(t, filepath.Join(src, "folder", "frame"), "new")
	write(t, filepath.Join(dest, "frame"), "old")
	when := time.Date(2024, 2, 3, 4, 5, 6, 0, time.Local)
	if err := errors.Join(
		os.Symlink("folder/frame", filepath.Join(src, "link")),
		os.Chmod(filepath.Join(src, "folder", "frame"), 0o600),
		os.Chtimes(filepath.Join(src, "folder", "frame"), when, when),
		os.Chtimes(filepath.Join(src, "folder"), when, when),
		os.Chtimes(dest, when, when),
	); err != nil {
		t.Fatal(err)
	}
	env, _ := newEnv(t)
	if err := run(t, env, 0, NameMoveDirectory, map[string]any{"src": src, "dest": dest}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, here, map[string]string{})
	wantFiles(t, there, map[string]string{
		"dest/folder/frame":            "new",
		"dest/link":                    "-> folder/frame",
		"dest-2024-02-03_040506/frame": "old",
	})
	for _, path := range []string{"folder", "folder/frame"} {
		if info, err := os.Stat(filepath.Join(dest, path)); err != nil || !info.ModTime().Equal(when) {
			t.Errorf("%s was changed %v, %v", path, info.ModTime(), err)
		}
	}
	if info, _ := os.Stat(filepath.Join(dest, "folder", "frame")); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestAMoveThatCannotBeCopiedChangesNothing(t *testing.T) {
	t.Parallel()
	here, there := t.TempDir(), otherDisk(t)
	src, dest := filepath.Join(here, "src"), filepath.Join(there, "dest")
	write(t, filepath.Join(src, "frame"), "new")
	write(t, filepath.Join(dest, "frame"), "old")
	if err := unix.Mkfifo(filepath.Join(src, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	env, _ := newEnv(t)
	err := run(t, env, 0, NameMoveDirectory, map[string]any{"src": src, "dest": dest})
	wantError(t, err, farm.CodeInvalid, "neither file, folder nor link")
	wantFiles(t, there, map[string]string{"dest/frame": "old"})
	entries, err := os.ReadDir(src)
	if err != nil || len(entries) != 2 {
		t.Errorf("the source has %v, %v", entries, err)
	}

	if err := os.Remove(filepath.Join(src, "pipe")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (MoveDirectory{Src: src, Dest: dest}).Run(ctx, env); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantFiles(t, there, map[string]string{"dest/frame": "old"})
	wantFiles(t, here, map[string]string{"src/frame": "new"})
	if left, _ := os.ReadDir(there); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRenamingNeverReplaces(t *testing.T) {
	t.Parallel()
	for name, rename := range map[string]func(from, to string) error{
		"in the kernel": renameExclusively, "without its help": renameIfAbsent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			at := func(name string) string { return filepath.Join(root, name) }
			write(t, at("a"), "a")
			write(t, at("b"), "b")
			write(t, at("folder/x"), "x")
			if err := os.Mkdir(at("empty"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, pair := range [][2]string{{"a", "b"}, {"folder", "empty"}, {"folder", "a"}, {"a", "empty"}} {
				if err := rename(at(pair[0]), at(pair[1])); !errors.Is(err, fs.ErrExist) {
					t.Errorf("%v: %v", pair, err)
				}
			}
			if err := errors.Join(rename(at("a"), at("c")), rename(at("folder"), at("other"))); err != nil {
				t.Error(err)
			}
			entries, _ := os.ReadDir(root)
			var names []string
			for _, entry := range entries {
				names = append(names, entry.Name())
			}
			sort.Strings(names)
			if diff := cmp.Diff([]string{"b", "c", "empty", "other"}, names); diff != "" {
				t.Error(diff)
			}
		})
	}
}
