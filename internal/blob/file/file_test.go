// SPDX-License-Identifier: GPL-3.0-or-later

package file_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/blob/blobtest"
	"flamenco.farm/internal/blob/file"
)

func open(t *testing.T, folder string) *file.Store {
	t.Helper()
	s, err := file.New(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAFolderKeepsBlobs(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

func TestNoLinkLeadsOutside(t *testing.T) {
	t.Parallel()
	outside, inside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"folder": outside, "file": secret} {
		if err := os.Symlink(target, filepath.Join(inside, link)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, inside)
	for _, name := range []string{"folder/secret", "file"} {
		if r, _, err := s.Get(t.Context(), name, 0, -1); err == nil {
			text, _ := io.ReadAll(r)
			_ = r.Close()
			t.Errorf("Get %s gives %q", name, text)
		}
	}
	if _, err := s.Put(t.Context(), "folder/new", strings.NewReader("x")); err == nil {
		t.Error("a file was put outside")
	}
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("%s is listed, %v", info.Name, err)
	}
	left, err := os.ReadDir(outside)
	if err != nil || len(left) != 1 {
		t.Errorf("outside there is %v, %v", left, err)
	}
}

func TestWhatAKilledWriterLeavesIsSwept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := open(t, folder)
	old, fresh := filepath.Join(folder, ".partial", "old"), filepath.Join(folder, ".partial", "fresh")
	if err := os.Mkdir(filepath.Dir(old), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{old, fresh} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context(), 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the fresh one: %v", err)
	}
}
