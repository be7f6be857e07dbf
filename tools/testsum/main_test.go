// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const passing = `package p
import "testing"
func TestOne(t *testing.T) {}
func TestTable(t *testing.T) { t.Run("a", func(t *testing.T) {}); t.Run("b", func(t *testing.T) {}) }
`

// summarize runs the real `go test -json` on a module of one package and returns what testsum makes of it.
func summarize(t *testing.T, files map[string]string, minimum map[string]float64) (string, bool) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-json", "-cover", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	stream, err := cmd.Output()
	if len(stream) == 0 {
		t.Fatalf("go test said nothing: %v", err)
	}
	var out strings.Builder
	ok, err := run(strings.NewReader(string(stream)), &out, "m/", minimum)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), ok
}

func TestWhatGoTestReportsIsSummedUp(t *testing.T) {
	t.Parallel()
	product := "package p\nfunc Covered() int { return 1 }\n"
	cases := []struct {
		name     string
		files    map[string]string
		minimum  map[string]float64
		ok       bool
		last     string
		contains []string
	}{
		{
			name: "passing tests are counted by their leaves", ok: true, last: "3 passed, 0 failed, 0 skipped",
			files:    map[string]string{"p/p_test.go": passing},
			contains: []string{"ok   p ", "3 passed"},
		},
		{
			name: "a failing subtest counts once and shows all it printed", last: "1 passed, 1 failed, 0 skipped",
			files: map[string]string{"p/p_test.go": `package p
import "testing"
func TestTable(t *testing.T) {
	t.Log("set-up words")
	t.Run("good", func(t *testing.T) {})
	t.Run("bad", func(t *testing.T) { t.Error("it is broken") })
}`},
			contains: []string{"FAIL p ", "--- failed: p TestTable/bad", "it is broken", "set-up words"},
		},
		{
			name: "a skipped test fails", last: "0 passed, 0 failed, 1 skipped",
			files:    map[string]string{"p/p_test.go": "package p\nimport \"testing\"\nfunc TestOne(t *testing.T) { t.Skip(\"no time\") }\n"},
			contains: []string{"--- skipped, which counts as a failure: p TestOne", "no time"},
		},
		{
			name: "a package that does not build fails with the compiler's words", last: "3 passed, 1 failed, 0 skipped",
			files:    map[string]string{"p/p_test.go": passing, "q/q_test.go": "package q\nimport \"testing\"\nfunc TestQ(t *testing.T) { nonsense() }\n"},
			contains: []string{"FAIL q ", "undefined: nonsense", "ok   p "},
		},
		{
			name: "a panic fails the test that ran and shows the stack", last: "0 passed, 1 failed, 0 skipped",
			files:    map[string]string{"p/p_test.go": "package p\nimport \"testing\"\nfunc TestOne(t *testing.T) { panic(\"boom\") }\n"},
			contains: []string{"boom", "goroutine"},
		},
		{
			name: "a process that ends by itself fails the test it was in", last: "0 passed, 1 failed, 0 skipped",
			files:    map[string]string{"p/p_test.go": "package p\nimport (\"os\"; \"testing\")\nfunc TestOne(t *testing.T) { println(\"last words\"); os.Exit(7) }\n"},
			contains: []string{"--- failed: p TestOne", "last words"},
		},
		{
			name: "no tests at all fail", last: "0 passed, 1 failed, 0 skipped",
			files:    map[string]string{"p/p.go": product},
			contains: []string{"FAIL no test ran"},
		},
		{
			name: "enough coverage passes", ok: true, last: "1 passed, 0 failed, 0 skipped", minimum: map[string]float64{"p": 85},
			files: map[string]string{
				"p/p.go":      product,
				"p/p_test.go": "package p\nimport \"testing\"\nfunc TestOne(t *testing.T) { Covered() }\n",
			},
			contains: []string{"100.0% covered"},
		},
		{
			name: "too little coverage fails", last: "3 passed, 1 failed, 0 skipped", minimum: map[string]float64{"p": 85},
			files:    map[string]string{"p/p.go": product, "p/p_test.go": passing},
			contains: []string{"FAIL p: 0.0% covered, more than 85% wanted"},
		},
		{
			name: "coverage that was not measured fails", last: "3 passed, 1 failed, 0 skipped", minimum: map[string]float64{"q": 85},
			files:    map[string]string{"p/p_test.go": passing},
			contains: []string{"FAIL q: its coverage was not measured"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, ok := summarize(t, c.files, c.minimum)
			if ok != c.ok {
				t.Errorf("success = %v, want %v", ok, c.ok)
			}
			lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
			if got := lines[len(lines)-1]; got != c.last {
				t.Errorf("last line %q, want %q", got, c.last)
			}
			for _, want := range c.contains {
				if !strings.Contains(out, want) {
					t.Errorf("does not say %q", want)
				}
			}
			if t.Failed() {
				t.Logf("summary:\n%s", out)
			}
		})
	}
}

func TestAStreamThatIsCutOffFails(t *testing.T) {
	t.Parallel()
	stream := `{"Action":"start","Package":"m/p"}
{"Action":"run","Package":"m/p","Test":"TestOne"}
{"Action":"pass","Package":"m/p","Test":"TestOne","Elapsed":0}
`
	var out strings.Builder
	ok, err := run(strings.NewReader(stream), &out, "m/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok || !strings.Contains(out.String(), "p: its tests never ended") {
		t.Errorf("a stream without the end of its package passed:\n%s", out.String())
	}
}
