// SPDX-License-Identifier: GPL-3.0-or-later

package shaman_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
)

// FuzzCheckoutPath makes and erases a checkout under any name with a file of any path. Whatever they are, nothing changes
// outside of the jobs folder, nor what other checkouts hold, and everything that was made is gone in the end.
func FuzzCheckoutPath(f *testing.F) {
	f.Add("shot", "scene.blend")
	f.Add("project/shot", "textures/a.png")
	f.Add("../shot", "a")
	f.Add("shot", "../../../outside")
	f.Add("out/shot", "out/a")
	f.Add("taken", "a/../..")
	f.Add("group", "C:\\x")
	dir := f.TempDir()
	s := open(f, filepath.Join(dir, "shared"))
	files := s.files("a", "content")
	s.checkout("taken", "a", "content")
	s.checkout("group/one", "a", "content")
	jobs := filepath.Join(s.shared, "jobs")
	s.must(os.WriteFile(filepath.Join(dir, "outside"), []byte("precious"), 0o666))
	s.must(os.Symlink(dir, filepath.Join(jobs, "out")))
	s.must(os.Symlink("group", filepath.Join(jobs, "in")))
	before := tree(f, dir)

	f.Fuzz(func(t *testing.T, name, path string) {
		s := &fixture{Store: s.Store, t: t, shared: s.shared}
		files[0].Path = path
		made, err := s.Checkout(t.Context(), name, files)
		switch code := farm.CodeOf(err); {
		case err == nil:
			if made != name && !strings.HasPrefix(made, name+"-") {
				t.Errorf("%q became %q", name, made)
			}
			s.must(s.ValidCheckout(made))
			s.wantContent(filepath.Join(jobs, filepath.FromSlash(made), filepath.FromSlash(path)), "content")
			s.must(s.Erase(made))
			defer removeEmpty(jobs, made)
		case code != farm.CodeInvalid && code != farm.CodeConflict:
			t.Errorf("checkout %q of %q: %v", name, path, err)
		}
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Fatalf("checkout %q of %q: %s", name, path, diff)
		}
		if name != "taken" && name != "group" && name != "group/one" {
			_ = s.Erase(name)
		}
		if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
			t.Fatalf("erasing %q: %s", name, diff)
		}
	})
}

// removeEmpty removes the folders that a checkout needed above it.
func removeEmpty(jobs, made string) {
	for folder := filepath.Dir(filepath.FromSlash(made)); folder != "."; folder = filepath.Dir(folder) {
		os.Remove(filepath.Join(jobs, folder))
	}
}
