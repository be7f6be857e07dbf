// SPDX-License-Identifier: GPL-3.0-or-later

package shaman_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/shaman"
)

// discard is a log that nobody reads.
var discard = slog.New(slog.DiscardHandler)

// TestMain lets the test program be the process that collects garbage.
func TestMain(m *testing.M) {
	if shared := os.Getenv("SHAMAN_TEST_COLLECT"); shared != "" {
		os.Exit(collectForEver(shared))
	}
	os.Exit(m.Run())
}

func collectForEver(shared string) int {
	store, err := shaman.New(shaman.Options{SharedStorage: shared, Log: discard})
	for err == nil {
		_, err = store.Collect(context.Background(), shaman.CollectOptions{})
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// fixture is a store in a folder of its own.
type fixture struct {
	*shaman.Store
	t      testing.TB
	shared string
}

func setup(t testing.TB) *fixture {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "shared"))
}

func open(t testing.TB, shared string) *fixture {
	t.Helper()
	if err := os.MkdirAll(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	store, err := shaman.New(shaman.Options{SharedStorage: shared, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{Store: store, t: t, shared: shared}
}

// must fails the test for any error.
func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// wantCode insists on an error of that code, with all the texts in its message.
func (f *fixture) wantCode(err error, code farm.Code, texts ...string) {
	f.t.Helper()
	if farm.CodeOf(err) != code {
		f.t.Fatalf("error %v, want one of code %q", err, code)
	}
	var shown *farm.Error
	errors.As(err, &shown)
	for _, text := range texts {
		if !strings.Contains(shown.Message, text) {
			f.t.Errorf("message %q lacks %q", shown.Message, text)
		}
	}
}

// keyOf is the key of a content.
func keyOf(t testing.TB, content string) shaman.Key {
	t.Helper()
	sum := sha256.Sum256([]byte(content))
	k, err := shaman.NewKey(hex.EncodeToString(sum[:]), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// blob is where Flamenco 3 keeps a stored file.
func (f *fixture) blob(k shaman.Key) string {
	return filepath.Join(f.shared, "file-store", "stored", k.Sum()[:2], k.Sum()[2:], fmt.Sprintf("%d.blob", k.Size()))
}

// put uploads a content.
func (f *fixture) put(content string) shaman.Key {
	f.t.Helper()
	k := keyOf(f.t, content)
	_, err := f.Upload(f.t.Context(), shaman.Upload{Key: k}, strings.NewReader(content))
	f.must(err)
	return k
}

// files uploads contents and makes them files: path, content, path, content …
func (f *fixture) files(pairs ...string) []shaman.File {
	f.t.Helper()
	var files []shaman.File
	for i := 0; i < len(pairs); i += 2 {
		files = append(files, shaman.File{Key: f.put(pairs[i+1]), Path: pairs[i]})
	}
	return files
}

// checkout makes a checkout and insists on its name.
func (f *fixture) checkout(name string, pairs ...string) string {
	f.t.Helper()
	got, err := f.Checkout(f.t.Context(), name, f.files(pairs...))
	f.must(err)
	if got != name {
		f.t.Fatalf("checkout %q, want %q", got, name)
	}
	return filepath.Join(f.shared, "jobs", filepath.FromSlash(name))
}

// wantContent insists on what is in a file.
func (f *fixture) wantContent(path, content string) {
	f.t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		f.t.Fatalf("%s holds %q, %v; want %q", path, got, err, content)
	}
}

func (f *fixture) wantStatus(k shaman.Key, want shaman.Status) {
	f.t.Helper()
	if got, err := f.Status(f.t.Context(), k); err != nil || got != want {
		f.t.Fatalf("status %q, %v; want %q", got, err, want)
	}
}

// makeOld lets everything at and below path have changed long ago.
func (f *fixture) makeOld(path string, by time.Duration) {
	f.t.Helper()
	at := time.Now().Add(-by)
	f.must(filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		return os.Chtimes(name, at, at)
	}))
}

// tree is everything below a folder but folders, with what is in it or where it leads.
func tree(t testing.TB, folder string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var text []byte
		switch {
		case e.IsDir():
			return nil
		case e.Type()&fs.ModeSymlink != 0:
			var link string
			link, err = os.Readlink(name)
			text = []byte("-> " + link)
		default:
			text, err = os.ReadFile(name)
		}
		rel, _ := filepath.Rel(folder, name)
		all[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// entries is what a folder holds.
func entries(t testing.TB, folder string) []string {
	t.Helper()
	list, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
