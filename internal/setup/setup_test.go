// SPDX-License-Identifier: GPL-3.0-or-later

package setup_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/blender"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/setup"
)

// saved is what an assistant kept.
type saved struct {
	storage string
	blender map[string]string
}

func assistant(t *testing.T, mayRun func(string) bool) (*setup.Assistant, string, *saved) {
	t.Helper()
	base := t.TempDir()
	var kept saved
	install := filepath.Join(base, "program")
	if err := os.Mkdir(install, 0o700); err != nil {
		t.Fatal(err)
	}
	return setup.New(setup.Options{
		Base: base, Install: install, MayRun: mayRun,
		Save: func(storage string, blender map[string]string) error {
			kept = saved{storage, blender}
			return nil
		},
	}), base, &kept
}

func anything(string) bool { return true }

func TestAFolderIsGoodWhenTheManagerCanWriteToIt(t *testing.T) {
	t.Parallel()
	a, base, _ := assistant(t, anything)
	good, file := filepath.Join(base, "gut ßž"), filepath.Join(base, "file")
	if err := os.Mkdir(good, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink("program", link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, cause string }{
		{good, ""},
		{"gut ßž", ""},
		{" " + good + "/ ", ""},
		{"", "no folder"},
		{"  ", "no folder"},
		{`\\server\share`, `\\server\share`},
		{filepath.Join(base, "missing"), "no such folder"},
		{filepath.Join(file, "below"), ""},
		{file, "not a folder"},
		{filepath.Join(base, "program"), "the Manager's own program"},
		{link, "the Manager's own program"},
		{"a\x00b", "character"},
	} {
		got := a.CheckFolder(c.path)
		if good := c.cause == "" && !strings.HasSuffix(c.path, "below"); got.Usable != good || !strings.Contains(got.Cause, c.cause) || got.Cause == "" {
			t.Errorf("%q: %+v", c.path, got)
		}
		if got.Usable && got.Path != good {
			t.Errorf("%q became %q", c.path, got.Path)
		}
	}
	if left, _ := os.ReadDir(good); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAFolderThatOnlyCanBeReadIsNotGood(t *testing.T) {
	t.Parallel()
	a, _, _ := assistant(t, anything)
	// Nobody can write there, root included.
	readOnly := map[string]string{"linux": "/proc/self", "darwin": "/System", "windows": `C:\System Volume Information`}[runtime.GOOS]
	if got := a.CheckFolder(readOnly); got.Usable || !strings.Contains(got.Cause, "write") {
		t.Errorf("got %+v", got)
	}
}

func TestOnceSetUpNoProgramIsStartedBecauseSomebodyNamedIt(t *testing.T) {
	t.Parallel()
	a, base, _ := assistant(t, func(program string) bool { return program == "configured-blender" })
	for _, input := range []string{"sh", filepath.Join(base, "blender"), base, "../x", "missing"} {
		if _, err := a.CheckBlender(t.Context(), input); farm.CodeOf(err) != farm.CodeForbidden {
			t.Errorf("%q: %v", input, err)
		}
	}
	found, err := a.CheckBlender(t.Context(), "configured-blender")
	if err != nil || found.Usable || !strings.Contains(found.Cause, "$PATH") {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestTheAnswersBecomeTheConfiguration(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{"linux": "blender", "windows": "blender", "darwin": "blender"}
	own[runtime.GOOS] = exe
	all := func(value string) map[string]string {
		return map[string]string{"linux": value, "windows": value, "darwin": value}
	}
	for _, c := range []struct {
		chosen blender.Found
		want   map[string]string
	}{
		{blender.Found{Usable: true, Source: blender.Default}, all("blender")},
		{blender.Found{Usable: true, Source: blender.FileAssociation, Path: exe}, all("blender")},
		{blender.Found{Usable: true, Source: blender.OnPath, Input: "blender-4.2", Path: exe}, all("blender-4.2")},
		{blender.Found{Usable: true, Source: blender.OnPath, Path: exe}, all("blender")},
		{blender.Found{Usable: true, Source: blender.InputPath, Input: filepath.Dir(exe), Path: exe}, own},
		{blender.Found{Usable: true, Source: blender.SystemLocation, Path: exe}, own},
		{blender.Found{Usable: false, Source: blender.InputPath, Path: exe, Cause: "no"}, nil},
		{blender.Found{Usable: true, Source: blender.InputPath, Path: "relative"}, nil},
		{blender.Found{Usable: true, Source: blender.InputPath, Path: filepath.Join(filepath.Dir(exe), "missing")}, nil},
		{blender.Found{Usable: true, Source: blender.InputPath}, nil},
		{blender.Found{}, nil},
	} {
		a, base, kept := assistant(t, anything)
		storage := t.TempDir()
		err := a.Finish(storage, c.chosen)
		if c.want == nil {
			if farm.CodeOf(err) != farm.CodeInvalid || !strings.Contains(err.Error(), "blenderExecutable") {
				t.Errorf("%+v: %v", c.chosen, err)
			}
			continue
		}
		if diff := cmp.Diff(saved{storage, c.want}, *kept, cmp.AllowUnexported(saved{})); err != nil || diff != "" {
			t.Errorf("%+v: %v (-want +got):\n%s", c.chosen, err, diff)
		}
		for _, wrong := range []string{"", filepath.Join(base, "missing")} {
			if err := a.Finish(wrong, c.chosen); farm.CodeOf(err) != farm.CodeInvalid || !strings.Contains(err.Error(), "storageLocation") {
				t.Errorf("%q: %v", wrong, err)
			}
		}
	}
}
