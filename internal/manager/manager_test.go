// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager"
)

// TestMain lets the test program compile jobs and run operations for itself, as flamenco-manager does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "__compile":
			os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
		case manager.OperationArg:
			os.Exit(manager.OperationMainErasing(os.Stdin, os.Stdout, os.Stderr, beforeErasing))
		}
	}
	// The thread of a PostgreSQL server is kept for it until the tests end.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("flamenco.farm/internal/testkit/postgres.startChild.func1"))
}

// configured is a configuration in a folder of its own, on a free port.
func configured(t *testing.T) config.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Listen = "127.0.0.1:0"
	cfg.Autodiscoverable = false
	cfg.Database = filepath.Join(dir, "farm.sqlite")
	cfg.LocalStorage = filepath.Join(dir, "local")
	cfg.SharedStorage = filepath.Join(dir, "shared")
	cfg.TimeoutGrace = 0
	return cfg
}

// start runs a Manager; stop ends it and returns what Run returned.
func start(t *testing.T, cfg config.Config) (url string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	m := manager.New(manager.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), OnListen: func(a net.Addr) { listening <- a }})
	go func() { ended <- m.Run(ctx) }()
	select {
	case addr := <-listening:
		return "http://" + addr.String(), func() error {
			cancel()
			return <-ended
		}
	case err := <-ended:
		cancel()
		t.Fatal(err)
		return "", nil
	}
}

func call(t *testing.T, client *http.Client, method, url, body string, credentials ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if len(credentials) == 2 {
		req.SetBasicAuth(credentials[0], credentials[1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// announcing is a client that closes sent once its first request is on its way.
func announcing(t *testing.T, sent chan struct{}) *http.Client {
	t.Helper()
	client := newClient(t)
	inner := client.Transport
	client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }}
		return inner.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	})
	return client
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAManagerAnswersUntilItIsStoppedAndFindsItsJobsAgain(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	client := newClient(t)
	url, stop := start(t, cfg)
	status, text := call(t, client, "POST", url+"/api/v3/jobs", `{"name":"x","type":"echo-sleep-test","submitter_platform":"linux","settings":{"message":"x"}}`)
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if info, err := os.Stat(cfg.SharedStorage); err != nil || !info.IsDir() {
		t.Errorf("shared storage: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(url + "/api/v3/version"); err == nil { //nolint:noctx // it must not even connect
		t.Error("still answers")
	}

	url, stop = start(t, cfg)
	var jobs struct{ Jobs []struct{ Name string } }
	_, text = call(t, client, "GET", url+"/api/v3/jobs", "")
	if err := json.Unmarshal([]byte(text), &jobs); err != nil || len(jobs.Jobs) != 1 {
		t.Errorf("jobs after the restart: %s", text)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestTheJobsOfAFarmAreInAFolderOfTheirOwnIfFilesCanBeUploaded(t *testing.T) {
	t.Parallel()
	client := newClient(t)
	for _, c := range []struct {
		name    string
		change  func(*config.Config)
		enabled bool
		folder  string // below the shared storage
	}{
		{"uploads", func(c *config.Config) { c.Shaman.Enabled = true }, true, "/jobs"},
		{"no uploads", func(c *config.Config) { c.Shaman.Enabled = false }, false, ""},
		{"nowhere to upload to", func(c *config.Config) { c.Shaman.Enabled, c.SharedStorage = true, "" }, false, ""},
	} {
		cfg := configured(t)
		c.change(&cfg)
		url, stop := start(t, cfg)
		_, text := call(t, client, "GET", url+"/api/v3/configuration", "")
		if got := strings.Contains(text, `"shamanEnabled":true`); got != c.enabled {
			t.Errorf("%s: %s", c.name, text)
		}
		_, text = call(t, client, "GET", url+"/api/v3/configuration/variables/workers/linux", "")
		want := `"value":"` + cfg.SharedStorage + c.folder + `"`
		if cfg.SharedStorage != "" && !strings.Contains(text, want) {
			t.Errorf("%s: %s lacks %s", c.name, text, want)
		}
		status, _ := call(t, client, "POST", url+"/api/v3/shaman/checkout/requirements", `{"files":[]}`)
		if (status == 200) != c.enabled {
			t.Errorf("%s: requirements answered %d", c.name, status)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestAStopDoesNotWaitForRequestsThatAreHeld(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	cfg.TaskRequestHold = time.Hour
	client := newClient(t)
	url, stop := start(t, cfg)
	_, text := call(t, client, "POST", url+"/api/v3/worker/register-worker", `{"name":"w","secret":"s","platform":"linux","supported_task_types":["misc"]}`)
	var registered struct{ UUID string }
	if err := json.Unmarshal([]byte(text), &registered); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	call(t, client, "POST", url+"/api/v3/worker/sign-on", `{"name":"w","supported_task_types":["misc"],"software_version":"1"}`, registered.UUID, "s")
	call(t, client, "POST", url+"/api/v3/worker/state-changed", `{"status":"awake"}`, registered.UUID, "s")
	held, sent := make(chan int, 1), make(chan struct{})
	go func() {
		status, _ := call(t, announcing(t, sent), "POST", url+"/api/v3/worker/task", "", registered.UUID, "s")
		held <- status
	}()
	<-sent
	// Connections are accepted in order: when a newer one is answered, the server has the held one too.
	call(t, newClient(t), "GET", url+"/api/v3/version", "")
	begin := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if status := <-held; status != 204 {
		t.Errorf("the held request got %d", status)
	}
}

func TestASecondManagerKeepsOffTheDatabase(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	_, stop := start(t, cfg)
	err := manager.New(manager.Options{Config: cfg, Log: slog.New(slog.DiscardHandler)}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), cfg.Database) {
		t.Errorf("got %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAPortThatIsTakenIsAnError(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener of the test
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := configured(t)
	cfg.Listen = taken.Addr().String()
	err = manager.New(manager.Options{Config: cfg, Log: slog.New(slog.DiscardHandler)}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), cfg.Listen) {
		t.Errorf("got %v", err)
	}
	// The local storage may be that of the Manager which has the port: its token must go on being true.
	if _, err := os.Stat(filepath.Join(cfg.LocalStorage, "admin.token")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a Manager that did not start wrote an admin token: %v", err)
	}
}

func TestASharedStorageFarFromAnyFolderIsAnError(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	cfg.SharedStorage = filepath.Join(t.TempDir(), "mistyped", "folder")
	err := manager.New(manager.Options{Config: cfg, Log: slog.New(slog.DiscardHandler)}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "shared_storage_path") {
		t.Errorf("got %v", err)
	}
}

func TestTheCommandLineIsChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte("listen: nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	written := filepath.Join(dir, "written.yaml")
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"-version"}, 0},
		{[]string{"--help"}, 0},
		{[]string{"-nonsense"}, 2},
		{[]string{"argument"}, 2},
		{[]string{"-pprof", "0.0.0.0:6060"}, 2},
		{[]string{"-web-proxy", "localhost:5173"}, 2},
		{[]string{"-quiet", "-config", broken}, 1},
		{[]string{"-quiet", "-config", written, "-write-config"}, 0},
		{[]string{"-quiet", "-config", written, "-write-config"}, 1},
	} {
		if got := manager.Main(t.Context(), c.args, nil); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.args, got, c.want)
		}
	}
	if text, err := os.ReadFile(written); err != nil || !strings.Contains(string(text), "shared_storage_path") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestTheManagerDescribesItselfOnlyWhereItMayBeFound(t *testing.T) {
	t.Parallel()
	client := newClient(t)
	for _, findable := range []bool{true, false} {
		cfg := configured(t)
		cfg.ManagerName = "Pond & Sons"
		cfg.Autodiscoverable = findable // nothing is sent: it listens where only this machine is
		url, stop := start(t, cfg)
		status, text := call(t, client, "GET", url+"/upnp/description.xml", "")
		if findable && (status != 200 || !strings.Contains(text, "<friendlyName>Pond &amp; Sons</friendlyName>")) || !findable && status != 404 {
			t.Errorf("findable %v: %d %s", findable, status, text)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}
