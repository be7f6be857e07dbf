// SPDX-License-Identifier: GPL-3.0-or-later

package config_test

import (
	"encoding/json"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/variables"
)

// file is a configuration file of a running Manager.
type file struct {
	t    *testing.T
	path string
	live *config.Live
}

func open(t *testing.T, text string, env ...string) *file {
	t.Helper()
	f := &file{t: t, path: filepath.Join(t.TempDir(), "farm.yaml")}
	f.write(text)
	var err error
	f.live, err = config.Open(config.Sources{Path: f.path, Env: env, ExecutableDir: t.TempDir()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// write writes the file as an editor would have done long ago.
func (f *file) write(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour).Add(time.Duration(len(text)) * time.Second)
	if err := os.Chtimes(f.path, long, long); err != nil {
		f.t.Fatal(err)
	}
}

func (f *file) text() string {
	f.t.Helper()
	text, err := os.ReadFile(f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// document is what the API shows, as a client gets it.
func (f *file) document() map[string]any {
	f.t.Helper()
	text, err := json.Marshal(f.live.Document())
	if err != nil {
		f.t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		f.t.Fatal(err)
	}
	return doc
}

func TestAReloadChangesWhatCanChangeWhileTheManagerRuns(t *testing.T) {
	t.Parallel()
	f := open(t, "listen: :1\nmanager_name: Before\nblocklist_threshold: 5\n")
	var heard []string
	f.live.Subscribe(func(c config.Config) { heard = append(heard, c.ManagerName) })
	f.write("listen: :2\nmanager_name: After\nvariables: {x: {values: [{platform: all, value: y}]}}\n")
	if err := f.live.Reload(); err != nil {
		t.Fatal(err)
	}
	now := f.live.Current()
	if now.ManagerName != "After" || now.BlocklistThreshold != 3 || now.Variables["x"].Values[0].Value != "y" {
		t.Errorf("got %+v", now)
	}
	if now.Listen != ":1" {
		t.Errorf("the address changed to %s under a running Manager", now.Listen)
	}
	if err := f.live.Reload(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Before", "After"}, heard); diff != "" {
		t.Errorf("subscribers heard (-want +got):\n%s", diff)
	}
}

func TestAFileThatIsWrongOrGoneTakesNoSettingAway(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(f *file){
		"wrong":       func(f *file) { f.write("manager_name: Other\nblocklist_threshold: many\n") },
		"no YAML":     func(f *file) { f.write("manager_name: [") },
		"empty":       func(f *file) { f.write("") },
		"gone":        func(f *file) { _ = os.Remove(f.path) },
		"wrong keys":  func(f *file) { f.write("manager_nam: Other\n") },
		"a directory": func(f *file) { _ = os.Remove(f.path); _ = os.Mkdir(f.path, 0o700) },
		"too long":    func(f *file) { f.write("#" + strings.Repeat("x", 5<<20)) },
	} {
		f := open(t, "manager_name: Studio\nblocklist_threshold: 7\n")
		spoil(f)
		f.live.Refresh()
		err := f.live.Reload()
		if now := f.live.Current(); now.ManagerName != "Studio" || now.BlocklistThreshold != 7 {
			t.Errorf("%s: %+v", name, now)
		}
		if err == nil || !strings.Contains(err.Error(), "farm.yaml") {
			t.Errorf("%s: the error is %v", name, err)
		}
		if name == "wrong" && !strings.Contains(err.Error(), "farm.yaml:2: blocklist_threshold") {
			t.Errorf("the error names no line: %v", err)
		}
	}
}

func TestARefreshSeesChangesThatAreAWhileOld(t *testing.T) {
	t.Parallel()
	f := open(t, "manager_name: First\n")
	f.write("manager_name: Second\n")
	f.live.Refresh()
	if got := f.live.Current().ManagerName; got != "Second" {
		t.Errorf("got %q", got)
	}
	if err := os.WriteFile(f.path, []byte("manager_name: Half"), 0o600); err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(-100 * time.Millisecond)
	if err := os.Chtimes(f.path, soon, soon); err != nil {
		t.Fatal(err)
	}
	if f.live.Refresh(); time.Since(soon) < time.Second {
		if got := f.live.Current().ManagerName; got != "Second" {
			t.Errorf("a file that may still be in the writing was read: %q", got)
		}
	}
}

func TestWithoutAFileThereIsNothingToLose(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.yaml")
	live, err := config.Open(config.Sources{Path: path}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := live.Reload(); err != nil || !live.Current().FirstRun {
		t.Errorf("%v, %+v", err, live.Current())
	}
	fixed := config.Fixed(config.Default())
	fixed.Refresh()
	if err := fixed.Reload(); err != nil {
		t.Error(err)
	}
	if _, err := fixed.Replace(fixed.Document()); farm.CodeOf(err) != farm.CodeConflict {
		t.Errorf("got %v", err)
	}
}

func TestTheDocumentHasTheShapeOfTheFileAndGoesBackUnchanged(t *testing.T) {
	t.Parallel()
	f := open(t, "# ours\nmanager_name: \"17\"\ntask_timeout: 90s\njob_compiler: {max_tasks: 5}\nvariables:\n  v:\n    is_twoway: true\n    values:\n"+
		"    - {platform: linux, value: /x}\n    - {platforms: [windows, darwin], audience: users, value: 'X:'}\n", "FLAMENCO_MANAGER_LISTEN=:99")
	before, doc := f.text(), f.document()
	for key, want := range map[string]any{
		"manager_name": "17", "listen": ":8080", "task_timeout": "1m30s", "blocklist_threshold": 3.0, "registration": "open",
		"_meta": map[string]any{"version": 3.0}, "shared_storage_path": "",
		"job_compiler": map[string]any{"max_tasks": 5.0, "time_limit": "10s", "memory_limit": "256MiB"},
		"variables": map[string]any{"v": map[string]any{"is_twoway": true, "values": []any{
			map[string]any{"platform": "linux", "audience": "all", "value": "/x"},
			map[string]any{"platforms": []any{"windows", "darwin"}, "audience": "users", "value": "X:"},
		}}},
	} {
		if diff := cmp.Diff(want, doc[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if _, err := f.live.Replace(doc); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(before, "    - {", "      - {"), f.text()); diff != "" {
		t.Errorf("the file (-before +after):\n%s", diff)
	}
}

func TestReplaceWritesTheFileAndNamesWhatWaitsForARestart(t *testing.T) {
	t.Parallel()
	f := open(t, `# The farm of the studio.

# who we are
manager_name: Studio # on the door
listen: :1
s3:
  secret_key: kept
`)
	doc := f.document()
	if strings.Contains(string(must(json.Marshal(doc))), "kept") {
		t.Error("a secret was shown")
	}
	doc["manager_name"], doc["listen"], doc["blocklist_threshold"] = "null", ":2", 9.0
	doc["variables"] = map[string]any{"v": map[string]any{"values": []any{map[string]any{"platform": "all", "platforms": nil, "value": "x", "audience": ""}}}}
	waiting, err := f.live.Replace(doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"listen"}, waiting); diff != "" {
		t.Errorf("what waits (-want +got):\n%s", diff)
	}
	now := f.live.Current()
	if now.ManagerName != "null" || now.BlocklistThreshold != 9 || now.Listen != ":1" || len(now.Variables) != 1 {
		t.Errorf("got %+v", now)
	}
	for _, kept := range []string{"# The farm of the studio.\n\n# who we are\n", "# on the door", "secret_key: kept", "listen: :2"} {
		if !strings.Contains(f.text(), kept) {
			t.Errorf("%q is not in\n%s", kept, f.text())
		}
	}
	info, err := os.Stat(f.path)
	if err != nil || (runtime.GOOS != "windows" && info.Mode() != fs.FileMode(0o600)) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if rest, _ := filepath.Glob(filepath.Join(filepath.Dir(f.path), ".*")); len(rest) > 0 {
		t.Errorf("left behind: %v", rest)
	}
	// A setting that is back to what the Manager runs with waits no longer.
	doc["listen"] = ":1"
	if waiting, err = f.live.Replace(doc); err != nil || len(waiting) > 0 {
		t.Errorf("%v, %v", waiting, err)
	}
	// What is not named gets its default.
	if _, err = f.live.Replace(map[string]any{"manager_name": "Short"}); err != nil {
		t.Fatal(err)
	}
	if now := f.live.Current(); now.BlocklistThreshold != 3 || len(now.Variables) != 2 || now.ManagerName != "Short" {
		t.Errorf("got %+v", now)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestReplaceRefusesWhatIsWrongAndNamesAllOfIt(t *testing.T) {
	t.Parallel()
	f := open(t, "manager_name: Studio\n")
	before := f.text()
	_, err := f.live.Replace(map[string]any{
		"listen": "nowhere", "blocklist_threshold": 1.5, "zebra": 1.0, "job_compiler": "x", "manager_name": "",
		"variables": map[string]any{"v": map[string]any{"values": []any{map[string]any{"platform": "all", "audience": "cats"}}}},
		"_meta":     map[string]any{"version": 4.0},
	})
	if farm.CodeOf(err) != farm.CodeInvalid {
		t.Fatalf("got %v", err)
	}
	for _, name := range []string{"listen:", "blocklist_threshold:", "zebra:", "job_compiler:", "manager_name:", "variables.v.values[0].audience:", "_meta.version:"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %s", name, err)
		}
	}
	if f.text() != before || f.live.Current().ManagerName != "Studio" {
		t.Error("something changed all the same")
	}

	f.write("manager_name: [broken\n")
	if _, err := f.live.Replace(map[string]any{}); farm.CodeOf(err) != farm.CodeConflict || !strings.Contains(err.Error(), "farm.yaml") {
		t.Errorf("a broken file was written over: %v", err)
	}
	f.write("manager_name: &n Studio\nlisten: &l :1\ndatabase: *n\n")
	if _, err := f.live.Replace(map[string]any{"manager_name": "Other", "listen": ":1", "database": "Studio"}); err != nil && farm.CodeOf(err) != farm.CodeConflict {
		t.Errorf("an alias: %v", err)
	}
	if got := must(config.Load(config.Sources{Path: f.path}, slog.New(slog.DiscardHandler))); filepath.Base(got.Database) != "Studio" {
		t.Errorf("an alias changed another setting: %s", got.Database)
	}
}

func TestAFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "farm.yaml")
	live := must(config.Open(config.Sources{Path: path}, slog.New(slog.DiscardHandler)))
	if _, err := live.Replace(map[string]any{}); farm.CodeOf(err) != farm.CodeStorage || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got %v", err)
	}
}

func TestALinkToTheFileStaysALink(t *testing.T) {
	t.Parallel()
	f := open(t, "manager_name: Studio\n")
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(f.path, link); err != nil {
		t.Fatal(err)
	}
	live := must(config.Open(config.Sources{Path: link}, slog.New(slog.DiscardHandler)))
	if _, err := live.Replace(map[string]any{"manager_name": "Other"}); err != nil {
		t.Fatal(err)
	}
	if info := must(os.Lstat(link)); info.Mode()&fs.ModeSymlink == 0 || !strings.Contains(f.text(), "Other") {
		t.Errorf("%v, %s", info.Mode(), f.text())
	}
}

func TestSetUpWritesAFileFromNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.yaml")
	src := config.Sources{Path: path}
	live := must(config.Open(src, slog.New(slog.DiscardHandler)))
	if err := live.SetUp("/mnt/farm", map[string]string{"linux": "/opt/blender", "windows": "blender"}); err != nil {
		t.Fatal(err)
	}
	if !live.Current().FirstRun {
		t.Error("the running Manager changed")
	}
	cfg := must(config.Load(src, slog.New(slog.DiscardHandler)))
	if cfg.FirstRun || cfg.SharedStorage != "/mnt/farm" {
		t.Errorf("got %+v", cfg)
	}
	want := variables.Definition{Values: []variables.Value{
		{Platforms: []string{"linux"}, Audience: variables.ForAll, Value: "/opt/blender"},
		{Platforms: []string{"windows"}, Audience: variables.ForAll, Value: "blender"},
	}}
	if diff := cmp.Diff(want, cfg.Variables["blender"]); diff != "" {
		t.Errorf("blender (-want +got):\n%s", diff)
	}
	if names := slices.Sorted(maps.Keys(cfg.Variables)); len(names) != 2 {
		t.Errorf("variables %v", names)
	}
	if text := string(must(os.ReadFile(path))); !strings.HasPrefix(text, "# Configuration of the Flamenco Manager.\n") || !strings.Contains(text, "_meta:\n  version: 3\n") {
		t.Errorf("no header:\n%s", text)
	}
	src.SetUp = true
	if cfg := must(config.Load(src, slog.New(slog.DiscardHandler))); !cfg.FirstRun {
		t.Error("the setup assistant was asked for, and is not there")
	}
}

func TestAFileOfCommentsKeepsThem(t *testing.T) {
	t.Parallel()
	f := open(t, "# nothing yet\n# listen: :1\n")
	if err := f.live.SetUp("/mnt/farm", nil); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(f.text(), "# nothing yet\n# listen: :1\n") || !strings.Contains(f.text(), "shared_storage_path: /mnt/farm") {
		t.Error(f.text())
	}
}

func TestTheEnvironmentReplacesAllVariables(t *testing.T) {
	t.Parallel()
	cfg, _, err := load(t, "variables: {a: {values: []}}", "FLAMENCO_MANAGER_VARIABLES={b: {is_twoway: true, values: [{platform: all, value: /x}]}}")
	if err != nil || len(cfg.Variables) != 1 || !cfg.Variables["b"].TwoWay {
		t.Errorf("%v, %+v", err, cfg.Variables)
	}
	for _, wrong := range []string{"[", "", "5", "{b: 3}"} {
		if _, _, err := load(t, "", "FLAMENCO_MANAGER_VARIABLES="+wrong); err == nil || !strings.Contains(err.Error(), "FLAMENCO_MANAGER_VARIABLES") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestAliasesStandForWhatTheyName(t *testing.T) {
	t.Parallel()
	cfg, _, err := load(t, "manager_name: &n Studio\ndatabase: *n\nvariables:\n  a:\n    values:\n    - &v {platforms: [&p linux, *p], value: x}\n    - *v\n")
	if err != nil || filepath.Base(cfg.Database) != "Studio" || len(cfg.Variables["a"].Values) != 2 || cfg.Variables["a"].Values[1].Platforms[1] != "linux" {
		t.Errorf("%v, %+v", err, cfg)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "# nothing\n", "a: &a [*a]", "variables: &v {x: *v}", "job_compiler: &j {job_compiler: *j}", "listen: [", "? {a: b}\n: c\n",
		"variables:\n  v:\n    is_twoway: true\n    values: [{platform: linux, value: /x}]\n", "_meta: {version: 3}\nmanager_name: !!binary aGk=\n",
		"manager_name: \"\\0\"\n", "---\nlisten: :1\n---\nlisten: :2\n", "<<: {listen: :1}\n", "task_timeout: 1e3\n", "{}", "~", "\xff\xfe",
		string(must(config.Sample(config.Default()))),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		first, err := config.Parse(text)
		if err != nil {
			return
		}
		// What was understood can be written, and is understood the same again.
		written, err := config.Sample(first)
		if err != nil {
			t.Fatalf("%q cannot be written: %v", text, err)
		}
		second, err := config.Parse(written)
		if err != nil {
			t.Fatalf("%q was written as %s, which is wrong: %v", text, written, err)
		}
		if first.ManagerName != second.ManagerName || first.TaskTimeout != second.TaskTimeout || len(first.Variables) != len(second.Variables) {
			t.Errorf("%q was written as %s", text, written)
		}
	})
}
