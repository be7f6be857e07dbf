// SPDX-License-Identifier: GPL-3.0-or-later

package archtest

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the rules of ARCHITECTURE.md into .golangci.yml")

const root = "../../"

func readRules(t *testing.T) Rules {
	t.Helper()
	page, err := os.ReadFile(root + "ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := Parse(string(page))
	if err != nil {
		t.Fatalf("ARCHITECTURE.md: %v", err)
	}
	return rules
}

// watchSources looks at every Go file itself: the go command reads them in a process of its own, which Go's cache of test
// results cannot see, and a stale success would hide a breach.
func watchSources(t *testing.T) {
	t.Helper()
	for _, top := range []string{"go.mod", "cmd", "internal", "pkg", "test", "tools", "web"} {
		err := filepath.WalkDir(root+top, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && (strings.HasSuffix(path, ".go") || path == root+top) {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// listPackages merges what the packages import on each system we build for: build tags hide files from the others.
func listPackages(t *testing.T) []Package {
	t.Helper()
	watchSources(t)
	merged := map[string]*Package{}
	for _, system := range []string{"linux", "windows", "darwin"} {
		cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list for %s: %v", system, err)
		}
		decoder := json.NewDecoder(strings.NewReader(string(out)))
		for {
			var listed struct {
				ImportPath                         string
				Imports, TestImports, XTestImports []string
			}
			if err := decoder.Decode(&listed); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimPrefix(listed.ImportPath, module+"/")
			p := merged[name]
			if p == nil {
				p = &Package{Name: name}
				merged[name] = p
			}
			p.Imports = append(p.Imports, listed.Imports...)
			p.TestImports = append(append(p.TestImports, listed.TestImports...), listed.XTestImports...)
		}
	}
	var packages []Package
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		packages = append(packages, *merged[name])
	}
	return packages
}

func TestEveryPackageImportsOnlyWhatTheArchitecturePageAllows(t *testing.T) {
	t.Parallel()
	for _, breach := range readRules(t).Check(listPackages(t)) {
		t.Error(breach)
	}
}

func TestTheLinterHasTheRulesOfTheArchitecturePage(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile(root + ".golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := readRules(t).WithDepguard(string(config))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(root+".golangci.yml", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(config) {
		t.Error(".golangci.yml differs from ARCHITECTURE.md: run `go test ./tools/archtest -update`")
	}
}

// clean is a small graph that keeps the rules of the real page, with each rule's package in it.
func clean() map[string][]string {
	return map[string][]string{
		"cmd/flamenco-manager":     {"internal/manager"},
		"cmd/flamenco-worker":      {"internal/worker"},
		"cmd/flamenco":             {"internal/cli"},
		"internal/manager":         {"internal/manager/httpapi", "internal/sched", "internal/store", "internal/config"},
		"internal/manager/httpapi": {"pkg/api", "internal/sched", "internal/farm", "github.com/go-chi/chi/v5"},
		"internal/worker":          {"pkg/client", "pkg/api", "internal/farm"},
		"internal/cli":             {"pkg/client", "pkg/api", "github.com/spf13/cobra"},
		"internal/sched":           {"internal/store", "internal/flow", "internal/farm"},
		"internal/tasklog":         {"internal/farm"},
		"internal/jobtype":         {"internal/farm", "modernc.org/quickjs"},
		"internal/store":           {"internal/store/query", "internal/farm", "modernc.org/sqlite"},
		"internal/store/query":     {"context"},
		"internal/flow":            {"internal/farm"},
		"internal/farm":            {"time"},
		"pkg/client":               {"pkg/api"},
		"pkg/api":                  {"github.com/oapi-codegen/runtime"},
	}
}

func packagesOf(graph, tests map[string][]string) []Package {
	qualify := func(names []string) (full []string) {
		for _, name := range names {
			for _, top := range []string{"cmd/", "internal/", "pkg/", "test/", "web"} {
				if strings.HasPrefix(name, top) {
					name = module + "/" + name
					break
				}
			}
			full = append(full, name)
		}
		return full
	}
	var packages []Package
	for _, name := range slices.Sorted(maps.Keys(graph)) {
		packages = append(packages, Package{Name: name, Imports: qualify(graph[name]), TestImports: qualify(tests[name])})
	}
	return packages
}

// breaches judges a made-up graph by the real rules. That its packages are fewer than the page's is not the point here.
func breaches(rules Rules, graph, tests map[string][]string) []string {
	return slices.DeleteFunc(rules.Check(packagesOf(graph, tests)), func(s string) bool {
		return strings.HasSuffix(s, "no such package exists")
	})
}

func TestAGraphThatKeepsTheRulesIsAccepted(t *testing.T) {
	t.Parallel()
	if found := breaches(readRules(t), clean(), nil); len(found) > 0 {
		t.Errorf("found breaches:\n%s", strings.Join(found, "\n"))
	}
}

func TestEachForbiddenImportIsFound(t *testing.T) {
	t.Parallel()
	rules := readRules(t)
	cases := []struct{ importer, imported, want string }{
		{"internal/farm", "internal/flow", "internal/farm must not import internal/flow"},
		{"internal/farm", "github.com/google/uuid", "internal/farm must not import github.com/google/uuid"},
		{"internal/flow", "internal/store", "internal/flow must not import internal/store"},
		{"internal/store", "internal/sched", "internal/store must not import internal/sched"},
		{"internal/store", "pkg/api", "internal/store must not import pkg/api"},
		{"internal/sched", "internal/jobtype", "internal/sched must not import internal/jobtype"},
		{"internal/sched", "internal/store/query", "internal/sched must not import internal/store/query"},
		{"internal/sched", "pkg/api", "internal/sched must not import pkg/api"},
		{"internal/jobtype", "internal/sched", "internal/jobtype must not import internal/sched"},
		{"internal/manager", "pkg/api", "internal/manager must not import pkg/api"},
		{"internal/manager", "internal/testkit", "internal/manager must not import internal/testkit"},
		{"internal/manager/httpapi", "internal/manager", "internal/manager/httpapi must not import internal/manager"},
		{"internal/worker", "internal/store", "internal/worker must not import internal/store"},
		{"internal/worker", "internal/sched", "internal/worker must not import internal/sched"},
		{"internal/worker", "internal/manager", "internal/worker must not import internal/manager"},
		{"internal/cli", "internal/store", "internal/cli must not import internal/store"},
		{"internal/cli", "internal/worker", "internal/cli must not import internal/worker"},
		{"pkg/client", "internal/farm", "pkg/client must not import internal/farm"},
		{"pkg/api", "pkg/client", "pkg/api must not import pkg/client"},
		{"internal/sched", "modernc.org/sqlite", "internal/sched must not import modernc.org/sqlite"},
		{"internal/store", "modernc.org/quickjs", "internal/store must not import modernc.org/quickjs"},
		{"internal/worker", "github.com/spf13/cobra", "internal/worker must not import github.com/spf13/cobra"},
		{"internal/store", "gorm.io/gorm", "internal/store imports gorm.io/gorm, which has no row"},
		{"internal/store", "C", "internal/store must not use cgo"},
	}
	for _, c := range cases {
		t.Run(c.importer+" imports "+c.imported, func(t *testing.T) {
			t.Parallel()
			graph := clean()
			graph[c.importer] = append(graph[c.importer], c.imported)
			found := breaches(rules, graph, nil)
			if !slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, c.want) }) {
				t.Errorf("%q is not among the breaches found:\n%s", c.want, strings.Join(found, "\n"))
			}
		})
	}
}

func TestAWayRoundAboutIsFound(t *testing.T) {
	t.Parallel()
	graph := clean()
	graph["pkg/client"] = append(graph["pkg/client"], "internal/tasklog")
	graph["internal/tasklog"] = append(graph["internal/tasklog"], "internal/store")
	want := "internal/worker must never reach internal/store, but does: internal/worker → pkg/client → internal/tasklog → internal/store"
	if found := breaches(readRules(t), graph, nil); !slices.Contains(found, want) {
		t.Errorf("%q is not among the breaches found:\n%s", want, strings.Join(found, "\n"))
	}
}

func TestTestsMayUseTheTestkitButNoLayerAboveTheirOwn(t *testing.T) {
	t.Parallel()
	rules := readRules(t)
	graph := clean()
	allowed := map[string][]string{"internal/sched": {"internal/testkit", "pgregory.net/rapid", "internal/sched"}}
	if found := breaches(rules, graph, allowed); len(found) > 0 {
		t.Errorf("an honest test is refused:\n%s", strings.Join(found, "\n"))
	}
	forbidden := map[string][]string{"internal/worker": {"internal/store", "modernc.org/quickjs"}}
	want := []string{
		"a test of internal/worker must not import internal/store",
		"a test of internal/worker must not import modernc.org/quickjs: it is not its home",
	}
	if found := breaches(rules, graph, forbidden); !slices.Equal(found, want) {
		t.Errorf("found:\n%s\nwant:\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
}

func TestAPackageWithoutARowAndARowWithoutAPackageAreFound(t *testing.T) {
	t.Parallel()
	rules := readRules(t)
	graph := clean()
	graph["internal/helpers"] = nil
	delete(graph, "internal/flow")
	found := rules.Check(packagesOf(graph, nil))
	for _, want := range []string{
		"internal/helpers has no row in the table of packages",
		"internal/flow has a row, but no such package exists",
	} {
		if !slices.Contains(found, want) {
			t.Errorf("%q is not among the breaches found:\n%s", want, strings.Join(found, "\n"))
		}
	}
}

func TestATableThatIsNoPictureOfLayersIsRefused(t *testing.T) {
	t.Parallel()
	const rest = "\n\n| module | for | at home in |\n|---|---|---|\n| `x.org/y` | y | `a` |\n\n| package | never reaches |\n|---|---|\n| `b` | `a` |\n"
	cases := []struct{ name, rows, want string }{
		{"upwards", "| `a` | x | `b` |\n| `b` | y | `a` |", "b may import a, which stands above it"},
		{"unknown", "| `a` | x | `c` |", "a may import c, which has no row"},
		{"empty", "| `a` | x | |", "names no package"},
		{"missing", "", "a table is missing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("| package | owns | may import |\n|---|---|---|\n" + c.rows + rest)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
