// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import "testing"

func TestPathsOfEverySystemAreTakenApartAndGivenWithForwardSlashes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ path, base, stem, dir string }{
		{"/a/b/c.blend", "c.blend", "c", "/a/b"},
		{`C:\a\b c.blend`, "b c.blend", "b c", "C:/a"},
		{`C:\c.blend`, "c.blend", "c", "C:/"},
		{`\\server\share\a.tar.gz`, "a.tar.gz", "a.tar", "//server/share"},
		{"a.blend", "a.blend", "a", "."},
		{"/a/.hidden", ".hidden", ".hidden", "/a"},
		{"/c", "c", "c", "/"},
		{`mixed\and/matched`, "matched", "matched", "mixed/and"},
		{"", ".", ".", "."},
	} {
		if got := pathBase(test.path); got != test.base {
			t.Errorf("basename of %q is %q, not %q", test.path, got, test.base)
		}
		if got := pathStem(test.path); got != test.stem {
			t.Errorf("stem of %q is %q, not %q", test.path, got, test.stem)
		}
		if got := pathDir(test.path); got != test.dir {
			t.Errorf("dirname of %q is %q, not %q", test.path, got, test.dir)
		}
	}
	for want, parts := range map[string][]string{
		"a/b/c":             {"a", `b\c`},
		"/c":                {"/a", "..", "c"},
		"//server/share/x":  {`\\server\share`, "x"},
		"C:/renders/######": {`C:\renders`, "", "######"},
		"":                  {"", ""},
	} {
		if got := pathJoin(parts); got != want {
			t.Errorf("%q joined is %q, not %q", parts, got, want)
		}
	}
}
