// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/manager"
)

// filed is a Manager that runs by a configuration file, as the program does.
type filed struct {
	t        *testing.T
	path     string
	client   *http.Client
	url      string // of the Manager that answers now
	starts   chan net.Addr
	messages *heard
	stop     func() error
}

// heard is a log of which messages arrive on a channel.
type heard struct {
	slog.Handler
	messages chan string
}

func (h *heard) Enabled(context.Context, slog.Level) bool { return true }

func (h *heard) Handle(_ context.Context, r slog.Record) error {
	select {
	case h.messages <- r.Message:
	default:
	}
	return nil
}

func startFiled(t *testing.T, text string) *filed {
	t.Helper()
	dir := t.TempDir()
	f := &filed{
		t: t, path: filepath.Join(dir, "farm.yaml"), client: newClient(t), starts: make(chan net.Addr, 1),
		messages: &heard{Handler: slog.DiscardHandler, messages: make(chan string, 10_000)},
	}
	if text != "" {
		if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	src := config.Sources{Path: f.path, ExecutableDir: filepath.Join(dir, "program"), Env: []string{
		"FLAMENCO_MANAGER_LISTEN=127.0.0.1:0", "FLAMENCO_MANAGER_TASK_REQUEST_HOLD=0", "FLAMENCO_MANAGER_TIMEOUT_GRACE=1h",
	}}
	if err := os.Mkdir(src.ExecutableDir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- manager.RunAgain(ctx, src, manager.Options{Log: slog.New(f.messages), OnListen: func(a net.Addr) { f.starts <- a }})
	}()
	f.stop = func() error {
		cancel()
		return <-ended
	}
	f.wait(ended)
	return f
}

// wait waits for a Manager to answer, the first or the next one.
func (f *filed) wait(ended chan error) {
	f.t.Helper()
	select {
	case addr := <-f.starts:
		f.url = "http://" + addr.String()
	case err := <-ended:
		f.t.Fatalf("the Manager ended: %v", err)
	}
}

// want calls the API and insists on the status.
func (f *filed) want(status int, method, path, body string, credentials ...string) string {
	f.t.Helper()
	got, text := call(f.t, f.client, method, f.url+"/api/v3/"+path, body, credentials...)
	if got != status {
		f.t.Fatalf("%s %s: %d, want %d: %s", method, path, got, status, text)
	}
	return text
}

// change changes the configuration over the API.
func (f *filed) change(change func(doc map[string]any)) {
	f.t.Helper()
	var doc map[string]any
	f.decode(f.want(200, "GET", "configuration/file", ""), &doc)
	change(doc)
	body, err := json.Marshal(doc)
	if err != nil {
		f.t.Fatal(err)
	}
	f.want(204, "PUT", "configuration/file", string(body))
}

func (f *filed) decode(text string, into any) {
	f.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		f.t.Fatalf("%s: %v", text, err)
	}
}

// worker registers a Worker, and wakes it.
func (f *filed) worker(name string) (id string) {
	f.t.Helper()
	var registered struct{ UUID string }
	f.decode(f.want(200, "POST", "worker/register-worker", `{"name":"`+name+`","secret":"s","platform":"linux","supported_task_types":["misc"]}`), &registered)
	f.want(200, "POST", "worker/sign-on", `{"name":"`+name+`","supported_task_types":["misc"],"software_version":"1"}`, registered.UUID, "s")
	f.want(204, "POST", "worker/state-changed", `{"status":"awake"}`, registered.UUID, "s")
	return registered.UUID
}

// echo is a job whose first task says its message.
func (f *filed) echo(message string) (id string) {
	f.t.Helper()
	var job struct{ ID string }
	f.decode(f.want(200, "POST", "jobs", fmt.Sprintf(`{"name":"x","type":"echo-sleep-test","submitter_platform":"linux","settings":{"message":%q}}`, message)), &job)
	return job.ID
}

func TestAChangeOfTheConfigurationActsWithoutARestart(t *testing.T) {
	t.Parallel()
	f := startFiled(t, "manager_name: Before\nblocklist_threshold: 3\nvariables: {who: {values: [{platform: all, value: old}]}}\n")
	first, second := f.worker("first"), f.worker("second")
	job := f.echo("hello {who}")

	f.change(func(doc map[string]any) {
		doc["manager_name"], doc["blocklist_threshold"] = "After", 1
		doc["variables"] = map[string]any{"who": map[string]any{"values": []any{map[string]any{"platform": "all", "value": "new"}}}}
	})
	if text := f.want(200, "GET", "version", ""); !strings.Contains(text, `"name":"After"`) {
		t.Errorf("the name: %s", text)
	}
	task := f.want(200, "POST", "worker/task", "", first, "s")
	if !strings.Contains(task, "hello new") {
		t.Errorf("the variables: %s", task)
	}
	var assigned struct{ UUID string }
	f.decode(task, &assigned)
	f.want(204, "POST", "worker/task/"+assigned.UUID, `{"taskStatus":"failed"}`, first, "s")
	if text := f.want(200, "GET", "jobs/"+job+"/blocklist", ""); !strings.Contains(text, first) || strings.Contains(text, second) {
		t.Errorf("the threshold: %s", text)
	}

	f.change(func(doc map[string]any) { doc["registration"] = "closed" })
	if text := f.want(403, "POST", "worker/register-worker", `{"name":"w","secret":"s","platform":"linux","supported_task_types":[]}`); !strings.Contains(text, "registration") {
		t.Errorf("a closed registration says only: %s", text)
	}
	f.want(200, "POST", "worker/sign-on", `{"name":"first","supported_task_types":["misc"],"software_version":"1"}`, first, "s")
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}

func TestTheConfigurationFileIsServedAndReplaced(t *testing.T) {
	t.Parallel()
	f := startFiled(t, "manager_name: Studio\n")
	text := f.want(200, "GET", "configuration/file", "")
	for _, part := range []string{`"manager_name":"Studio"`, `"_meta":{"version":3}`, `"listen":":8080"`, `"max_tasks":200000`, `"blender":{"is_twoway":false,"values":[{"audience":"all","platform":"all","value":"blender"}]}`} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, f.url+"/api/v3/configuration/file", strings.NewReader(`{"durability":"normal","worker_timeout":"2m","manager_name":"Other"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("X-Flamenco-Restart-Needed"); resp.StatusCode != 204 || got != "durability, worker_timeout" {
		t.Errorf("%s, waiting: %q", resp.Status, got)
	}
	if text := f.want(400, "PUT", "configuration/file", `{"listen":"x","zebra":1}`); !strings.Contains(text, "listen: ") || !strings.Contains(text, "zebra: ") {
		t.Errorf("got %s", text)
	}
	f.want(400, "PUT", "configuration/file", `[]`)

	// A file that is gone or wrong changes nothing.
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	f.want(200, "GET", "configuration", "")
	if text := f.want(200, "GET", "version", ""); !strings.Contains(text, `"name":"Other"`) {
		t.Errorf("got %s", text)
	}
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}

func TestTheSetupAssistantSetsTheManagerUpAndRestartsIt(t *testing.T) {
	t.Parallel()
	f := startFiled(t, "")
	storage := t.TempDir()
	if text := f.want(200, "GET", "configuration", ""); !strings.Contains(text, `"isFirstRun":true`) {
		t.Errorf("got %s", text)
	}
	for path, usable := range map[string]string{storage: "true", filepath.Dir(f.path) + "/program": "false", "": "false"} {
		if text := f.want(200, "POST", "configuration/check/shared-storage", fmt.Sprintf(`{"path":%q}`, path)); !strings.Contains(text, `"is_usable":`+usable) {
			t.Errorf("%q: %s", path, text)
		}
	}
	f.want(200, "GET", "configuration/check/blender", "")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(storage, "blender")
	if text := f.want(200, "POST", "configuration/check/blender", fmt.Sprintf(`{"path":%q}`, missing)); !strings.Contains(text, `"is_usable":false`) || !strings.Contains(text, `"source":"input_path"`) {
		t.Errorf("got %s", text)
	}
	chosen := `{"input":"","path":%q,"source":"input_path","is_usable":true,"cause":"Blender 4.2"}`
	f.want(400, "POST", "configuration/setup-assistant", fmt.Sprintf(`{"storageLocation":"","blenderExecutable":`+chosen+`}`, exe))
	f.want(400, "POST", "configuration/setup-assistant", fmt.Sprintf(`{"storageLocation":%q,"blenderExecutable":`+chosen+`}`, storage, ""))
	f.want(400, "POST", "configuration/setup-assistant", fmt.Sprintf(`{"storageLocation":%q}`, storage))

	f.want(204, "POST", "configuration/setup-assistant", fmt.Sprintf(`{"storageLocation":%q,"blenderExecutable":`+chosen+`}`, storage, exe))
	f.wait(nil)
	if text := f.want(200, "GET", "configuration", ""); !strings.Contains(text, `"isFirstRun":false`) || !strings.Contains(text, storage) {
		t.Errorf("after the restart: %s", text)
	}
	if text := f.want(200, "GET", "configuration/variables/workers/"+runtime.GOOS, ""); !strings.Contains(text, exe) {
		t.Errorf("the variables: %s", text)
	}
	if text := f.want(403, "POST", "configuration/check/blender", fmt.Sprintf(`{"path":%q}`, missing)); !strings.Contains(text, "-setup-assistant") {
		t.Errorf("a program that somebody named: %s", text)
	}
	// The configured program may be tried; it is the test program, which is not Blender.
	if text := f.want(200, "POST", "configuration/check/blender", fmt.Sprintf(`{"path":%q}`, exe)); !strings.Contains(text, `"is_usable":false`) {
		t.Errorf("the configured program: %s", text)
	}
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}

func TestADelayEndsWhenTheManagerIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := manager.Main(ctx, []string{"-quiet", "-delay", "1000h", "-config", filepath.Join(t.TempDir(), "farm.yaml")}, nil); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code := manager.Main(ctx, []string{"-delay", "-1s"}, nil); code != 2 {
		t.Errorf("exit code %d", code)
	}
}
