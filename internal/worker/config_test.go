// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestConfigurationIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want, problem string }{
		{text: "", want: "{ [] [] 0 -} []"},
		{text: "worker_name: w\nmanager_url: http://m:8080\n", want: "{w [http://m:8080] [] 0 -} []"},
		{text: "manager_url: [a, b]\ntask_types: [misc]\n", want: "{ [a b] [misc] 0 -} []"},
		{text: "manager_url: \"\"\nrestart_exit_code: 47\n", want: "{ [] [] 47 -} []"},
		{text: "oom_score_adjust: 500\nzebra: 1\nants: 2\n", want: "{ [] [] 0 500} [ants zebra]"},
		{text: "task_checks: {readable: [relative/path]}\n", problem: "\"relative/path\" is not an absolute path"},
		{text: "task_checks: {timeout: -1s}\n", problem: "task_checks.timeout: -1s"},
		{text: "stop_grace: -5m\n", problem: "stop_grace: -5m0s"},
		{text: "stop_grace: soon\n", problem: "line 1"},
		{text: "oom_score_adjust: 1001\n", problem: "oom_score_adjust: 1001"},
		{text: "restart_exit_code: 256\n", problem: "restart_exit_code: 256"},
		{text: "task_types: 3\n", problem: "line 1"},
		{text: "worker_name: [", problem: "line 1"},
	} {
		path := filepath.Join(t.TempDir(), ConfigFile)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		config, unknown, err := LoadConfig(path)
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), path) {
				t.Errorf("%q: %v, want it to name %s and the file", c.text, err, c.problem)
			}
			continue
		}
		oom := "-"
		if config.OOMScoreAdjust != nil {
			oom = fmt.Sprint(*config.OOMScoreAdjust)
		}
		got := fmt.Sprintf("{%s %v %v %d %s} %v", config.WorkerName, config.ManagerURL, config.TaskTypes, config.RestartExitCode, oom, unknown)
		if err != nil || got != c.want {
			t.Errorf("%q: %s, %v; want %s", c.text, got, err, c.want)
		}
	}
	if _, _, err := LoadConfig(filepath.Join(t.TempDir(), "none.yaml")); err != nil {
		t.Errorf("no file: %v", err)
	}
}

func TestChecksAndGraceAreRead(t *testing.T) {
	t.Parallel()
	dir := filepath.ToSlash(t.TempDir())
	path := filepath.Join(dir, ConfigFile)
	text := fmt.Sprintf("stop_grace: 90m\ntask_checks:\n  readable: [%q]\n  writable: [%q]\n  timeout: 3s\n", dir+"/in", dir+"/out")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	flags, err := ParseFlags([]string{"-config", path}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o, err := options(flags, func(name string) string { return map[string]string{"FLAMENCO_HOME": dir}[name] }, slog.New(slog.DiscardHandler))
	want := Checks{Readable: []string{dir + "/in"}, Writable: []string{dir + "/out"}, Limit: 3 * time.Second}
	if diff := cmp.Diff(want, o.Checks); err != nil || diff != "" || o.StopGrace != 90*time.Minute {
		t.Errorf("%v, grace %v %s", err, o.StopGrace, diff)
	}
}

func TestManagerAddressesAreForgiving(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"farm:8080":           "http://farm:8080",
		" http://farm:8080/ ": "http://farm:8080",
		"https://farm/flam/":  "https://farm/flam",
		"192.168.3.4":         "http://192.168.3.4",
		"http://[::1]:8080":   "http://[::1]:8080",
		"ftp://farm":          "",
		"http://":             "",
		"http://:8080":        "",
		"":                    "",
		"http://me:pw@farm":   "",
		"http://farm/?a=b":    "",
		"farm:port":           "",
	} {
		got, err := managerAddress(text)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestManagersComeFromTheCommandLineTheFileOrTheEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, ConfigFile)
	for _, c := range []struct{ args, text, env, want, problem string }{
		{want: "[]"},
		{env: "e1, e2", want: "[http://e1 http://e2]"},
		{text: "manager_url: f1,f2\n", env: "e1", want: "[http://f1 http://f2]"},
		{text: "manager_url:\n- f1:1\n- https://f2/farm/\n", want: "[http://f1:1 https://f2/farm]"},
		{args: "-manager a -manager b,c", text: "manager_url: f1\n", env: "e1", want: "[http://a http://b http://c]"},
		{args: "-manager a,,b", problem: "empty"},
		{args: "-manager a -manager http://a/", problem: "http://a is there twice"},
		{text: "manager_url: [a, ftp://b]\n", problem: ConfigFile + ": manager_url: \"ftp://b\" is not the address"},
		{text: "manager_url: {a: b}\n", problem: "line 1"},
		{text: "manager_url: [" + strings.Repeat("a, ", 3) + "]\n", problem: "twice"},
		{env: "a b", problem: "\"http://a b\""},
		{env: strings.Join([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q"}, ","), problem: "17 addresses are too many"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := managersOf(append(strings.Fields(c.args), "-config", file), map[string]string{"FLAMENCO_HOME": dir, "FLAMENCO_MANAGER": c.env})
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func managersOf(args []string, env map[string]string) ([]string, error) {
	flags, err := ParseFlags(args, io.Discard)
	if err != nil {
		return nil, err
	}
	o, err := options(flags, func(name string) string { return env[name] }, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return managerAddresses(o.Managers)
}

func TestHomeAndNameComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"FLAMENCO_HOME": "/srv/w1", "FLAMENCO_WORKER_NAME": "w1"}
	getenv := func(name string) string { return env[name] }
	if home, err := homeFolder(getenv); err != nil || filepath.ToSlash(home) != "/srv/w1" {
		t.Errorf("home %s, %v", home, err)
	}
	if name, err := workerName(Config{}, getenv); err != nil || name != "w1" {
		t.Errorf("name %s, %v", name, err)
	}
	if name, _ := workerName(Config{WorkerName: "configured"}, getenv); name != "configured" {
		t.Errorf("name %s", name)
	}
	if _, err := homeFolder(func(string) string { return "" }); err == nil {
		t.Error("a home out of nowhere")
	}
}

func TestFlagsAreChecked(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-no-such-flag"}, {"extra"}, {"-restart-exit-code", "256"}} {
		if _, err := ParseFlags(args, io.Discard); err == nil {
			t.Errorf("%v: accepted", args)
		}
	}
	f, err := ParseFlags([]string{"--manager", "m:1", "-restart-exit-code=0", "-register", "-flush", "-json"}, io.Discard)
	if err != nil || fmt.Sprint(f.Managers) != "[m:1]" || f.RestartExitCode != 0 || !f.Register || !f.Flush || !f.JSON {
		t.Errorf("%+v, %v", f, err)
	}
	var out strings.Builder
	if code := Main([]string{"-version"}, nil, &out, io.Discard, nil); code != 0 || !strings.HasPrefix(out.String(), "Flamenco Worker ") {
		t.Errorf("-version: %d, %q", code, out.String())
	}
	if code := Main([]string{"-nonsense"}, nil, io.Discard, io.Discard, nil); code != exitUsage {
		t.Errorf("nonsense: %d", code)
	}
}

func FuzzConfiguration(f *testing.F) {
	f.Add("worker_name: w\nmanager_url: [a, b]\ntask_checks: {readable: [/mnt], writable: [/srv], timeout: 3s}\nstop_grace: 1h\n")
	f.Add("manager_url: &a [*a]\n")
	f.Add("oom_score_adjust: 0x10\nrestart_exit_code: !!int \"47\"\n")
	for _, text := range []string{
		"", "# nothing", "? [1, 2]\n: {}\n", "a: &a {b: *a}", "task_types: {x: y}", "zebra: 1\n1: 2\n", "worker_name: [",
		"<<: {worker_name: x}", "--- 1\n--- 2", "\xff", "oom_score_adjust: 1e3",
	} {
		f.Add(text)
	}
	path := filepath.Join(f.TempDir(), ConfigFile)
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		config, unknown, err := LoadConfig(path)
		if err != nil {
			return
		}
		if slices.Contains(unknown, "worker_name") {
			t.Errorf("%q: a known key is unknown", text)
		}
		if o := config.OOMScoreAdjust; o != nil && (*o < 0 || *o > 1000) || config.RestartExitCode < 0 || config.StopGrace < 0 || config.RestartExitCode > 255 || config.TaskChecks.Timeout < 0 {
			t.Errorf("%q is accepted as %+v", text, config)
		}
		for _, address := range config.ManagerURL {
			if base, err := managerAddress(address); err == nil && !strings.HasPrefix(base, "http") {
				t.Errorf("%q has the Manager %q", text, base)
			}
		}
	})
}
