// SPDX-License-Identifier: GPL-3.0-or-later

package ha

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/testkit/loopback"
	"flamenco.farm/internal/testkit/postgres"
	"flamenco.farm/internal/testkit/program"
	"flamenco.farm/pkg/client"
)

// patience is how long a test waits for what should happen soon on a computer that has nothing else to do.
const patience = 4 * time.Minute

func TestMain(m *testing.M) { os.Exit(postgres.Main(m.Run)) }

// farm is two Managers with one database and one local storage, and both balancers in front of them.
type farm struct {
	t        *testing.T
	bin, dir string
	database string
	managers []*manager
	haproxy  string // address
	nginx    string
}

// manager is a Manager that can be ended and started again.
type manager struct {
	*program.Program
	url string
}

func newFarm(t *testing.T, jobType string) *farm {
	t.Helper()
	f := &farm{t: t, bin: program.Build(t), dir: t.TempDir(), database: postgres.Database(t)}
	writeFile(t, filepath.Join(f.bin, "scripts", "test.js"), jobType)
	var addresses []string
	for i := range 2 {
		address, dir := loopback.FreeAddress(t), filepath.Join(f.dir, fmt.Sprint("manager-", i+1))
		addresses = append(addresses, address)
		writeFile(t, filepath.Join(dir, "flamenco-manager.yaml"), fmt.Sprintf(
			"_meta: {version: 3}\nlisten: %q\ndatabase: %q\nlocal_manager_storage_path: %q\nshared_storage_path: %q\n"+
				"timeout_grace: 0s\nautodiscoverable: false\nshutdown_delay: 5s\ndurability: normal\njob_compiler: {time_limit: 2m}\n",
			address, f.database, filepath.Join(f.dir, "local"), filepath.Join(f.dir, "shared")))
		m := &manager{program.New(t, dir, filepath.Join(f.bin, "flamenco-manager")), "http://" + address}
		f.managers = append(f.managers, m)
		m.Start()
	}
	for _, m := range f.managers {
		m.ready(t)
	}
	f.haproxy = f.balancer("haproxy", "haproxy/haproxy.cfg", "bind ", addresses)
	f.nginx = f.balancer("nginx", "nginx/flamenco.conf", "listen ", addresses)
	return f
}

// ready waits until the Manager says that it is.
func (m *manager) ready(t *testing.T) {
	t.Helper()
	waitFor(t, m.Dir+" is ready", func() bool { status, _, _ := call("GET", m.url+"/readyz", ""); return status == http.StatusOK })
}

// balancer runs the example of a balancer, with the addresses of this farm.
func (f *farm) balancer(name, example, listen string, managers []string) (url string) {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", filepath.FromSlash(example)))
	if err != nil {
		f.t.Fatal(err)
	}
	address, own := loopback.FreeAddress(f.t), listen+":8080"
	if name == "nginx" {
		own = listen + "8080"
	}
	config := string(text)
	for from, to := range map[string]string{own: listen + address, "192.0.2.11:8080": managers[0], "192.0.2.12:8080": managers[1]} {
		if !strings.Contains(config, from) {
			f.t.Fatalf("%s has no %s", example, from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	if os.Getuid() != 0 { // only root can become somebody else
		config = regexp.MustCompile(`(?m)^ +(user|group|chroot) .*$`).ReplaceAllString(config, "")
	}
	dir := filepath.Join(f.dir, name)
	path := filepath.Join(dir, "example.conf")
	writeFile(f.t, path, config)
	args := []string{"-db", "-f", path}
	if name == "nginx" {
		var temporary strings.Builder
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			fmt.Fprintf(&temporary, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
		}
		writeFile(f.t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(
			"daemon off; master_process off; pid %s; error_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n%sinclude %s;\n}\n",
			filepath.Join(dir, "pid"), &temporary, path))
		args = []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr"}
	}
	p := program.New(f.t, dir, service(f.t, name), args...)
	p.Start()
	url = "http://" + address
	waitFor(f.t, name+" answers", func() bool { status, _, _ := call("GET", url+"/livez", ""); return status == http.StatusOK })
	return url
}

// service finds a program that is not in everybody's path.
func service(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := filepath.Join("/usr/sbin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not installed: make with-deps", name)
	}
	return path
}

// worker runs a real Worker until the test ends.
func (f *farm) worker(name, taskType string, managers ...string) {
	f.t.Helper()
	w := program.New(f.t, filepath.Join(f.dir, name), filepath.Join(f.bin, "flamenco-worker"))
	writeFile(f.t, filepath.Join(w.Dir, "flamenco-worker.yaml"), fmt.Sprintf(
		"manager_url: [%s]\nworker_name: %s\ntask_types: [%s]\n", strings.Join(managers, ", "), name, taskType))
	w.Start()
}

// client talks to the address and tries again what fails.
func (f *farm) client(url string) *client.Client {
	f.t.Helper()
	c, err := client.New(url, client.WithPatience(patience))
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// call makes one request, once.
func call(method, url, body string, headers ...string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(read), err
}

// waitFor waits for what another process brings about.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
