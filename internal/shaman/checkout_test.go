// SPDX-License-Identifier: GPL-3.0-or-later

package shaman_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/shaman"
)

func TestACheckoutIsAFolderOfRelativeLinks(t *testing.T) {
	t.Parallel()
	f := setup(t)
	folder := f.checkout("project/shot 1", "scene.blend", "blend", "textures/wood/a.png", "wood", "textures/b.png", "wood")
	f.wantContent(filepath.Join(folder, "scene.blend"), "blend")
	f.wantContent(filepath.Join(folder, "textures/wood/a.png"), "wood")
	k := keyOf(t, "blend")
	want := fmt.Sprintf("../../../file-store/stored/%s/%s/5.blob", k.Sum()[:2], k.Sum()[2:])
	if got, err := os.Readlink(filepath.Join(folder, "scene.blend")); err != nil || got != want {
		t.Errorf("link %q, %v; want %q", got, err, want)
	}
	// A Worker may see the storage elsewhere.
	moved := f.shared + " elsewhere"
	f.must(os.Rename(f.shared, moved))
	f.wantContent(filepath.Join(moved, "jobs/project/shot 1/textures/b.png"), "wood")
	if got := entries(t, filepath.Join(moved, "jobs")); len(got) != 1 {
		t.Errorf("jobs holds %v", got)
	}
}

func TestATakenNameGetsFourCharacters(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.checkout("shot", "a", "first")
	got, err := f.Checkout(t.Context(), "shot", f.files("a", "second"))
	if err != nil || !regexp.MustCompile(`^shot-[a-z0-9]{4}$`).MatchString(got) {
		t.Fatalf("%q, %v", got, err)
	}
	f.wantContent(filepath.Join(f.shared, "jobs/shot/a"), "first")
	f.wantContent(filepath.Join(f.shared, "jobs", got, "a"), "second")

	f.must(os.Mkdir(filepath.Join(f.shared, "jobs/empty"), 0o777))
	if got, err := f.Checkout(t.Context(), "empty", f.files("a", "x")); err != nil || got == "empty" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestACheckoutForWhichThereIsNoNameLeavesEverythingAsItWas(t *testing.T) {
	t.Parallel()
	f := setup(t)
	tried := 0
	f.SetChars(func() string { tried++; return "same" })
	f.checkout("shot", "a", "first")
	f.checkout("shot-same", "a", "second")
	f.checkout("file", "a", "x")
	before := tree(t, f.shared)
	for _, name := range []string{"shot", "file/a/b", "file/a"} {
		tried = 0
		_, err := f.Checkout(t.Context(), name, f.files("a", "x"))
		if name == "file/a" { // a file is in the way, but not of another name beside it
			f.must(err)
			f.must(f.Erase("file/a-same"))
			continue
		}
		f.wantCode(err, farm.CodeConflict, name, "10 other names")
		if tried != 10 {
			t.Errorf("%d names tried", tried)
		}
	}
	if diff := cmp.Diff(before, tree(t, f.shared)); diff != "" {
		t.Error(diff)
	}
}

func TestMissingFilesAreNamedAndNothingIsMade(t *testing.T) {
	t.Parallel()
	f := setup(t)
	files := f.files("there", "x")
	for i := range 9 {
		files = append(files, shaman.File{Key: keyOf(t, fmt.Sprint("missing", i)), Path: fmt.Sprint("m", i)})
	}
	_, err := f.Checkout(t.Context(), "a/b", files)
	f.wantCode(err, farm.CodeMissing, "9 of 10", `"m0"`, `"m4" …`)
	if got := entries(t, filepath.Join(f.shared, "jobs")); len(got) > 0 {
		t.Errorf("jobs holds %v", got)
	}
}

func TestAFailedCheckoutErasesOnlyWhatItMade(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"shot", "group/shot", "group/new", "other/new"} {
		f := setup(t)
		f.checkout("shot", "a", "first")
		f.checkout("group/shot", "a", "second")
		before := tree(t, f.shared)
		var once sync.Once
		f.Meanwhile(func(string) error {
			err := error(nil)
			once.Do(func() { err = fs.ErrExist })
			return err
		})
		if got, err := f.Checkout(t.Context(), name, f.files("a", "first", "b", "second")); err == nil {
			t.Fatalf("made %q", got)
		}
		if diff := cmp.Diff(before, tree(t, f.shared)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if got := entries(t, filepath.Join(f.shared, "jobs")); len(got) != 2 {
			t.Errorf("jobs holds %v", got)
		}
	}
}

func TestACheckoutThatIsCanceledLeavesNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.Meanwhile(func(string) error { cancel(); return nil })
	var files []shaman.File
	for i := range 100 {
		files = append(files, shaman.File{Key: f.put("x"), Path: fmt.Sprint(i)})
	}
	if _, err := f.Checkout(ctx, "shot", files); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := entries(t, filepath.Join(f.shared, "jobs")); len(got) > 0 {
		t.Errorf("jobs holds %v", got)
	}
}

func TestNobodySeesACheckoutThatIsNotFinished(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Meanwhile(func(string) error {
		if got := entries(t, filepath.Join(f.shared, "jobs")); len(got) != 1 || !strings.HasPrefix(got[0], ".making-") {
			t.Errorf("jobs holds %v", got)
		}
		return nil
	})
	f.checkout("shot", "a", "x")
}

func TestFilesInEachOthersWayAreRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, paths := range [][]string{{"a", "a"}, {"a", "a/b"}, {"a/b/c/d", "a/b"}, {"x", "d/e", "d/e/f/g"}} {
		var pairs []string
		for _, p := range paths {
			pairs = append(pairs, p, "x")
		}
		_, err := f.Checkout(t.Context(), "shot", f.files(pairs...))
		f.wantCode(err, farm.CodeInvalid)
	}
	_, err := f.Checkout(t.Context(), "shot", nil)
	f.wantCode(err, farm.CodeInvalid, "needs files")
	_, err = f.Checkout(t.Context(), "shot", make([]shaman.File, 100_001))
	f.wantCode(err, farm.CodeTooLarge)
	if got := entries(t, filepath.Join(f.shared, "jobs")); len(got) > 0 {
		t.Errorf("jobs holds %v", got)
	}
}

func TestPathsDoNotLeadOutOfTheirFolder(t *testing.T) {
	t.Parallel()
	f := setup(t)
	bad := []string{
		"", "/", "/etc/passwd", "..", ".", "../x", "x/../y", "x/..", "./x", "x/.", "x//y", "x/", "//x", `x\y`, `..\x`, "C:", "c:/x", "C:x",
		"x\x00y", "x\ny", "x/\x7f", "x\u0085", strings.Repeat("x", 251), "x/" + strings.Repeat("y", 251), strings.Repeat("x/", 2048) + "x",
	}
	for _, path := range bad {
		f.wantCode(shaman.CheckFilePath(path), farm.CodeInvalid)
		f.wantCode(shaman.CheckCheckoutName(path), farm.CodeInvalid)
		_, err := f.Checkout(t.Context(), "shot", f.files(path, "x"))
		f.wantCode(err, farm.CodeInvalid)
		_, err = f.Checkout(t.Context(), path, f.files("a", "x"))
		f.wantCode(err, farm.CodeInvalid)
		f.wantCode(f.Erase(path), farm.CodeInvalid)
	}
	for _, name := range []string{"what?", "all*", "a:b", "a;b", "{jobs}", ".making-x", ".making-x/y"} {
		f.wantCode(shaman.CheckCheckoutName(name), farm.CodeInvalid)
	}
	for _, good := range []string{"x", "...", "..x", "x..", "a/b/c", " a b ", "ä/日本語", "-x", ".x", "a'b\"c$d", strings.Repeat("x", 250)} {
		f.must(shaman.CheckFilePath(good))
		f.must(shaman.CheckCheckoutName(good))
	}
	f.must(shaman.CheckFilePath("what? {all}*;b:c"))
}

func TestALinkAmongTheCheckoutsIsNotFollowed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	outside := t.TempDir()
	f.must(os.WriteFile(filepath.Join(outside, "precious"), []byte("x"), 0o666))
	f.checkout("victim/shot", "a", "x")
	jobs := filepath.Join(f.shared, "jobs")
	f.must(os.Symlink(outside, filepath.Join(jobs, "out")))
	f.must(os.Symlink("victim", filepath.Join(jobs, "in")))
	for _, name := range []string{"out/x", "in/x", "out/x/y"} {
		_, err := f.Checkout(t.Context(), name, f.files("a", "x"))
		f.wantCode(err, farm.CodeConflict)
	}
	for _, name := range []string{"out", "out/precious", "in", "in/shot", "victim/shot/a"} {
		f.wantCode(f.Erase(name), farm.CodeInvalid)
		f.wantCode(f.ValidCheckout(name), farm.CodeInvalid)
	}
	f.wantContent(filepath.Join(outside, "precious"), "x")
	f.wantContent(filepath.Join(jobs, "victim/shot/a"), "x")
	if got := entries(t, outside); len(got) != 1 {
		t.Errorf("outside holds %v", got)
	}
}

func TestWithoutSymbolicLinksFilesAreHardLinkedOrCopied(t *testing.T) {
	t.Parallel()
	for without, linked := range []bool{true, true, false} {
		f := setup(t)
		f.Without(without, errors.New("a required privilege is not held by the client"))
		folder := f.checkout("group/shot", "a/b", "x", "c", "y")
		f.wantContent(filepath.Join(folder, "a/b"), "x")
		f.wantContent(filepath.Join(folder, "c"), "y")
		blob, err := os.Stat(f.blob(keyOf(t, "x")))
		f.must(err)
		file, err := os.Stat(filepath.Join(folder, "a/b"))
		f.must(err)
		if os.SameFile(blob, file) != linked {
			t.Errorf("without the first %d ways: shared is %v, want %v", without, !linked, linked)
		}
	}
}

func TestACheckoutTakesAFileBackFromACollection(t *testing.T) {
	t.Parallel()
	f := setup(t)
	files := f.files("a", "x", "b", "y")
	f.must(f.Aside(files[0].Key)) // before
	f.Meanwhile(func(path string) error {
		if path == "b" {
			f.must(f.Aside(files[1].Key)) // and just before the link is made
		}
		return nil
	})
	_, err := f.Checkout(t.Context(), "shot", files)
	f.must(err)
	f.wantContent(filepath.Join(f.shared, "jobs/shot/a"), "x")
	f.wantContent(filepath.Join(f.shared, "jobs/shot/b"), "y")
}

func TestACheckoutFailsWhenAFileIsCollectedMeanwhile(t *testing.T) {
	t.Parallel()
	f := setup(t)
	files := f.files("a", "x")
	f.Meanwhile(func(string) error { return os.Remove(f.blob(files[0].Key)) })
	_, err := f.Checkout(t.Context(), "shot", files)
	f.wantCode(err, farm.CodeMissing, `"a"`)
	if got := entries(t, filepath.Join(f.shared, "jobs")); len(got) > 0 {
		t.Errorf("jobs holds %v", got)
	}
}

func TestAStorageReachedThroughLinksWorks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := filepath.Join(dir, "disks/one/shared")
	elsewhere := filepath.Join(dir, "disks/two/deep/jobs")
	for _, folder := range []string{real, elsewhere} {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "shared")
	if err := errors.Join(os.Symlink(real, link), os.Symlink(elsewhere, filepath.Join(real, "jobs"))); err != nil {
		t.Fatal(err)
	}
	f := open(t, link)
	folder := f.checkout("group/shot", "a/b", "x")
	f.wantContent(filepath.Join(folder, "a/b"), "x")
	if got := entries(t, filepath.Join(elsewhere, "group")); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestErasingRemovesACheckoutAndAnEmptyFolderAboveIt(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.checkout("deep/group/one", "a/b/c", "x")
	f.checkout("deep/group/two", "a", "x")
	f.must(f.ValidCheckout("deep/group/one"))
	f.must(f.Erase("deep/group/one"))
	f.wantCode(f.ValidCheckout("deep/group/one"), farm.CodeInvalid, "no checkout")
	f.wantContent(filepath.Join(f.shared, "jobs/deep/group/two/a"), "x")
	f.must(f.Erase("deep/group/two"))
	if got := entries(t, filepath.Join(f.shared, "jobs/deep")); len(got) > 0 {
		t.Errorf("deep holds %v", got)
	}
	f.must(f.Erase("deep/group/two"))
	f.must(f.Erase("never/was"))
	f.checkout("top", "a", "x")
	f.must(f.Erase("top"))
	if got := entries(t, filepath.Join(f.shared, "jobs")); !cmp.Equal(got, []string{"deep"}) {
		t.Errorf("jobs holds %v", got)
	}
	f.wantStatus(keyOf(t, "x"), shaman.Stored)
}
