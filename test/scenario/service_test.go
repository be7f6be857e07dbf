// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/service"
	"flamenco.farm/internal/worker"
)

// unitLine is what a line of a unit file may look like.
var unitLine = regexp.MustCompile(`^(|#.*|\[(Unit|Service|Install)\]|[A-Z][A-Za-z]+=.+)$`)

// checkUnit checks a unit file as far as that is possible anywhere, and has systemd check it where that is installed.
func checkUnit(t *testing.T, name, text string) {
	t.Helper()
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if !unitLine.MatchString(line) {
			t.Errorf("%s:%d: %q", name, i+1, line)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return
	}
	// The program need not be installed here.
	path := filepath.Join(t.TempDir(), name)
	writeFile(t, path, regexp.MustCompile(`(?m)^ExecStart=("[^"]*"|\S+)`).ReplaceAllString(text, "ExecStart=/bin/true"))
	output, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", path).CombinedOutput()
	if strings.Contains(string(output), name) || err != nil {
		t.Errorf("systemd says of %s: %v\n%s", name, err, output)
	}
}

func TestTheUnitsOfSystemdAreRightAndDoWhatInstallingDoes(t *testing.T) {
	t.Parallel()
	for file, program := range map[string]service.Program{
		"flamenco-manager.service": manager.Service(), "flamenco-worker.service": worker.Service(), "flamenco-worker@.service": worker.Service(),
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "systemd", file))
		if err != nil {
			t.Fatal(err)
		}
		checkUnit(t, file, string(text))
		for _, line := range program.Unit {
			if !strings.Contains(string(text), "\n"+line+"\n") {
				t.Errorf("%s is without %s", file, line)
			}
		}
		if arguments := strings.Join(program.Args, " "); !strings.Contains(string(text), arguments+"\n") {
			t.Errorf("%s does not start the program with %s", file, arguments)
		}
		if runtime.GOOS != "linux" {
			continue
		}
		var out, problems strings.Builder
		if code := program.Main([]string{"show", "-user", "farm", "-dir", filepath.Join(t.TempDir(), "100% \"farm\"")}, &out, &problems); code != 0 {
			t.Fatalf("show: %d %s", code, &problems)
		}
		where, unit, _ := strings.Cut(out.String(), "\n")
		if want := "# /etc/systemd/system/" + program.Name + ".service"; where != want {
			t.Errorf("shown as %s, want %s", where, want)
		}
		checkUnit(t, program.Name+".service", unit)
	}
}
