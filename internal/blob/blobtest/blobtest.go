// SPDX-License-Identifier: GPL-3.0-or-later

// Package blobtest is the suite that every kind of place for files passes. It must not know any of them.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

// Run tests the places that open makes; each is empty.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, blob.Store){
		"what is put can be got":                     whatIsPutCanBeGot,
		"a put replaces":                             aPutReplaces,
		"what is created stays as it is":             whatIsCreatedStays,
		"of several creators one succeeds":           oneCreatorSucceeds,
		"a large file is stored as it is":            aLargeFile,
		"everything below a folder can be deleted":   everythingBelow,
		"parts can be read":                          partsCanBeRead,
		"what is not there is not there":             whatIsNotThere,
		"a body that breaks off changes nothing":     aBrokenBody,
		"names stay inside":                          namesStayInside,
		"lists are whole and in order":               listsAreInOrder,
		"a list can be left early":                   aListCanBeLeft,
		"readers see whole files while others write": readersSeeWholeFiles,
		"deleting a neighbour disturbs no one":       deletingANeighbour,
		"a canceled context stops a put":             aCanceledPut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func put(t *testing.T, s blob.Store, name, text string) {
	t.Helper()
	info, err := s.Put(t.Context(), name, strings.NewReader(text))
	if err != nil {
		t.Fatalf("Put %s: %v", name, err)
	}
	if info.Name != name || info.Size != int64(len(text)) || info.Modified.IsZero() {
		t.Errorf("Put %s answers %+v", name, info)
	}
}

func get(t *testing.T, s blob.Store, name string, offset, length int64) string {
	t.Helper()
	r, _, err := s.Get(t.Context(), name, offset, length)
	if err != nil {
		t.Fatalf("Get %s: %v", name, err)
	}
	text, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	return string(text)
}

func whatIsPutCanBeGot(t *testing.T, s blob.Store) {
	for name, text := range map[string]string{"a": "", "b/c/d.txt": "some text", "ü/日本.bin": "\x00\xff", "with space": "x"} {
		put(t, s, name, text)
		if got := get(t, s, name, 0, -1); got != text {
			t.Errorf("%s holds %q, want %q", name, got, text)
		}
		info, err := s.Stat(t.Context(), name)
		if err != nil || info.Size != int64(len(text)) || info.Name != name {
			t.Errorf("Stat %s: %+v, %v", name, info, err)
		}
	}
}

func aPutReplaces(t *testing.T, s blob.Store) {
	put(t, s, "a/b", "the first, which is longer")
	put(t, s, "a/b", "second")
	if got := get(t, s, "a/b", 0, -1); got != "second" {
		t.Errorf("got %q", got)
	}
}

func whatIsCreatedStays(t *testing.T, s blob.Store) {
	info, err := s.Create(t.Context(), "a/b", strings.NewReader("first"))
	if err != nil || info.Name != "a/b" || info.Size != 5 || info.Modified.IsZero() {
		t.Fatalf("Create: %+v, %v", info, err)
	}
	if _, err := s.Create(t.Context(), "a/b", strings.NewReader("second")); !errors.Is(err, blob.ErrExist) {
		t.Errorf("Create again: %v", err)
	}
	if got := get(t, s, "a/b", 0, -1); got != "first" {
		t.Errorf("got %q", got)
	}
	if _, err := s.Create(t.Context(), "a/c", &broken{left: 10}); !errors.Is(err, errBroken) {
		t.Errorf("Create: %v", err)
	}
	if _, err := s.Create(t.Context(), "../b", strings.NewReader("x")); farm.CodeOf(err) != farm.CodeInvalid {
		t.Errorf("Create outside: %v", err)
	}
	put(t, s, "a/b", "third")
	if names := list(t, s, ""); !slices.Equal(names, []string{"a/b"}) {
		t.Errorf("there is %q", names)
	}
}

func oneCreatorSucceeds(t *testing.T, s blob.Store) {
	const names, creators = 5, 8
	for n := range names {
		name := fmt.Sprintf("folder %d/file", n)
		var won [creators]bool
		var all sync.WaitGroup
		for i := range creators {
			all.Go(func() {
				_, err := s.Create(t.Context(), name, strings.NewReader(fmt.Sprint(i)))
				if won[i] = err == nil; err != nil && !errors.Is(err, blob.ErrExist) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		first := slices.Index(won[:], true)
		if first < 0 || slices.Contains(won[first+1:], true) {
			t.Fatalf("the winners are %v", won)
		}
		if got := get(t, s, name, 0, -1); got != fmt.Sprint(first) {
			t.Errorf("%d won, %s is stored", first, got)
		}
	}
}

// plain hides that a body can be read at any place.
type plain struct{ io.Reader }

// largeSize is more than what fits into several parts of an upload.
const largeSize = 21<<20 + 7

func aLargeFile(t *testing.T, s blob.Store) {
	large := make([]byte, largeSize)
	for i := range large {
		large[i] = byte(i ^ i>>8 ^ i>>16)
	}
	for name, store := range map[string]func() (blob.Info, error){
		"put":     func() (blob.Info, error) { return s.Put(t.Context(), "put", bytes.NewReader(large)) },
		"stream":  func() (blob.Info, error) { return s.Put(t.Context(), "stream", plain{bytes.NewReader(large)}) },
		"created": func() (blob.Info, error) { return s.Create(t.Context(), "created", plain{bytes.NewReader(large)}) },
	} {
		if info, err := store(); err != nil || info.Size != largeSize {
			t.Fatalf("%s: %+v, %v", name, info, err)
		}
		if got := get(t, s, name, 0, -1); got != string(large) {
			t.Errorf("%s has %d other bytes", name, len(got))
		}
		if got := get(t, s, name, largeSize-100, 50); got != string(large[largeSize-100:largeSize-50]) {
			t.Errorf("a part of %s is another", name)
		}
	}
	if _, err := s.Create(t.Context(), "created", plain{bytes.NewReader(large)}); !errors.Is(err, blob.ErrExist) {
		t.Errorf("Create again: %v", err)
	}
	if _, err := s.Put(t.Context(), "put", io.MultiReader(bytes.NewReader(large), &broken{})); !errors.Is(err, errBroken) {
		t.Errorf("a body that breaks off: %v", err)
	}
	if info, err := s.Stat(t.Context(), "put"); err != nil || info.Size != largeSize {
		t.Errorf("after it: %+v, %v", info, err)
	}
}

func everythingBelow(t *testing.T, s blob.Store) {
	for i := range 30 {
		put(t, s, fmt.Sprintf("a/%d/x", i), "x")
	}
	put(t, s, "ab", "x")
	if err := blob.DeleteAll(t.Context(), s, "a"); err != nil {
		t.Fatal(err)
	}
	if names := list(t, s, ""); !slices.Equal(names, []string{"ab"}) {
		t.Errorf("there is %q", names)
	}
	if err := blob.DeleteAll(t.Context(), s, "nothing"); err != nil {
		t.Error(err)
	}
}

func partsCanBeRead(t *testing.T, s blob.Store) {
	put(t, s, "a", "0123456789")
	for _, c := range []struct {
		offset, length int64
		want           string
	}{{0, 3, "012"}, {4, 2, "45"}, {8, 100, "89"}, {7, -1, "789"}, {10, -1, ""}, {50, 5, ""}, {3, 0, ""}} {
		if got := get(t, s, "a", c.offset, c.length); got != c.want {
			t.Errorf("%d bytes from %d: %q, want %q", c.length, c.offset, got, c.want)
		}
	}
	if _, _, err := s.Get(t.Context(), "a", -1, 5); farm.CodeOf(err) != farm.CodeInvalid {
		t.Errorf("a negative offset: %v", err)
	}
}

func whatIsNotThere(t *testing.T, s blob.Store) {
	put(t, s, "folder/file", "x")
	for _, name := range []string{"nothing", "folder", "folder/file/below", "folder/other"} {
		if _, _, err := s.Get(t.Context(), name, 0, -1); !farm.IsNotExist(err) {
			t.Errorf("Get %s: %v", name, err)
		}
		if _, err := s.Stat(t.Context(), name); !farm.IsNotExist(err) {
			t.Errorf("Stat %s: %v", name, err)
		}
	}
	if err := s.Delete(t.Context(), "nothing/at/all"); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
	if err := s.Delete(t.Context(), "folder/file"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), "folder/file"); !farm.IsNotExist(err) {
		t.Errorf("after Delete: %v", err)
	}
}

// broken is a body that ends with an error.
type broken struct{ left int }

var errBroken = errors.New("the connection broke")

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errBroken
	}
	n := min(len(p), b.left)
	b.left -= n
	return n, nil
}

func aBrokenBody(t *testing.T, s blob.Store) {
	put(t, s, "old", "old")
	for _, name := range []string{"old", "new/one"} {
		if _, err := s.Put(t.Context(), name, &broken{left: 100_000}); !errors.Is(err, errBroken) {
			t.Errorf("Put %s: %v", name, err)
		}
	}
	if got := get(t, s, "old", 0, -1); got != "old" {
		t.Errorf("old holds %q", got)
	}
	if names := list(t, s, ""); !slices.Equal(names, []string{"old"}) {
		t.Errorf("there is %q", names)
	}
}

func namesStayInside(t *testing.T, s blob.Store) {
	for _, name := range []string{
		"", ".", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "./a", `a\b`, "a\x00b", ".hidden", "a/.hidden/b", strings.Repeat("x", 2000),
	} {
		_, put := s.Put(t.Context(), name, strings.NewReader("x"))
		_, _, get := s.Get(t.Context(), name, 0, -1)
		_, stat := s.Stat(t.Context(), name)
		for call, err := range map[string]error{"Put": put, "Get": get, "Stat": stat, "Delete": s.Delete(t.Context(), name)} {
			if farm.CodeOf(err) != farm.CodeInvalid {
				t.Errorf("%s %q: %v", call, name, err)
			}
		}
	}
}

func list(t *testing.T, s blob.Store, prefix string) []string {
	t.Helper()
	var names []string
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("List %q: %v", prefix, err)
		}
		names = append(names, info.Name)
	}
	return names
}

func listsAreInOrder(t *testing.T, s blob.Store) {
	all := []string{"a/b", "a/c/d", "a-/x", "ab", "b/1", "b/10", "b/2"}
	for _, name := range all {
		put(t, s, name, name)
	}
	slices.Sort(all)
	if got := list(t, s, ""); !slices.Equal(got, all) {
		t.Errorf("everything is %q, want %q", got, all)
	}
	if got := list(t, s, "a"); !slices.Equal(got, []string{"a/b", "a/c/d"}) {
		t.Errorf("below a is %q", got)
	}
	if got := list(t, s, "nothing"); got != nil {
		t.Errorf("below nothing is %q", got)
	}
}

func aListCanBeLeft(t *testing.T, s blob.Store) {
	for i := range 10 {
		put(t, s, fmt.Sprintf("f/%d/x", i), "x")
	}
	n := 0
	for _, err := range s.List(t.Context(), "f") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d files", n)
	}
}

func readersSeeWholeFiles(t *testing.T, s blob.Store) {
	text := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 10_000) }
	put(t, s, "shared", text(0))
	var writers, readers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for w := range 2 {
		writers.Go(func() {
			for i := range 50 {
				if _, err := s.Put(t.Context(), "shared", strings.NewReader(text(w+i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				r, _, err := s.Get(t.Context(), "shared", 0, -1)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(r)
				if err := errors.Join(err, r.Close()); err != nil {
					t.Error(err)
				}
				if len(got) != 10_000 || bytes.Count(got, got[:1]) != 10_000 {
					t.Errorf("a mixture of %d bytes", len(got))
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
}

func deletingANeighbour(t *testing.T, s blob.Store) {
	var both sync.WaitGroup
	for w := range 4 {
		both.Go(func() {
			name := fmt.Sprintf("one/folder/%d", w)
			for range 50 {
				if _, err := s.Put(t.Context(), name, strings.NewReader("x")); err != nil {
					t.Error(err)
				}
				if err := s.Delete(t.Context(), name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	if names := list(t, s, ""); names != nil {
		t.Errorf("left: %q", names)
	}
}

func aCanceledPut(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, "a", strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	if names := list(t, s, ""); names != nil {
		t.Errorf("left: %q", names)
	}
}
