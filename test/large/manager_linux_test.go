// SPDX-License-Identifier: GPL-3.0-or-later

package large

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager"
	"flamenco.farm/pkg/api"
)

// managerArg makes the test program a Manager.
const managerArg = "__manager"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "__compile":
			os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
		case managerArg:
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			defer stop()
			os.Exit(manager.Main(ctx, nil, os.Environ()))
		}
	}
	os.Exit(m.Run())
}

// process is a Manager in a process of its own.
type process struct {
	b       *testing.B
	url     string
	pid     int
	stop    func()
	started time.Duration // from its start to its first answer
	client  *http.Client
}

// startManager starts a Manager on a database that is in dir, or on an empty one.
func startManager(b *testing.B, dir string) *process {
	b.Helper()
	self, err := os.Executable()
	must(b, err)
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	address := listener.Addr().String()
	must(b, listener.Close())
	cmd := exec.Command(self, managerArg)
	cmd.Dir = dir
	for name, value := range map[string]string{
		"LISTEN": address, "DATABASE": databaseIn(dir), "LOCAL_MANAGER_STORAGE_PATH": filepath.Join(dir, "local"),
		"SHARED_STORAGE_PATH": filepath.Join(dir, "shared"), "AUTODISCOVERABLE": "false", "DURABILITY": "normal",
	} {
		cmd.Env = append(cmd.Env, "FLAMENCO_MANAGER_"+name+"="+value)
	}
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "HOME="+dir, "TMPDIR="+b.TempDir())
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	start := time.Now()
	must(b, cmd.Start())
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Errorf("the Manager: %v\n%s", err, log.String())
		}
	})
	b.Cleanup(stop)
	p := &process{b: b, stop: stop, url: "http://" + address + "/api/v3", pid: cmd.Process.Pid, client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 2000, DisableCompression: true,
	}}}
	b.Cleanup(p.client.CloseIdleConnections)
	for {
		resp, err := p.client.Get(p.url + "/jobs?limit=10")
		if err == nil {
			p.started = time.Since(start)
			must(b, resp.Body.Close())
			return p
		}
		if time.Since(start) > time.Minute {
			b.Fatalf("it does not answer: %v\n%s", err, log.String())
		}
		<-time.After(time.Millisecond)
	}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// worker is who makes a call; nil = a person.
type worker struct{ id, secret string }

// call makes one call and returns its answer; a status from 400 up ends the benchmark.
func (p *process) call(w *worker, method, path, body string) (status int, text []byte) {
	req, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.b.Error(err)
		return 0, nil
	}
	req.Header.Set("Content-Type", "application/json")
	if w != nil {
		req.SetBasicAuth(w.id, w.secret)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, nil // the benchmark ends and cuts held requests
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 400 {
		p.b.Errorf("%s %s: %d %s %v", method, path, resp.StatusCode, text, err)
	}
	return resp.StatusCode, text
}

// join signs a Worker on that runs tasks of a type.
func (p *process) join(name, taskType string) *worker {
	w := &worker{secret: name}
	_, text := p.call(nil, "POST", "/worker/register-worker",
		fmt.Sprintf(`{"name":%q,"secret":%q,"platform":"linux","supported_task_types":[%q]}`, name, name, taskType))
	var registered api.RegisteredWorker
	must(p.b, json.Unmarshal(text, &registered))
	w.id = registered.UUID
	p.call(w, "POST", "/worker/sign-on", fmt.Sprintf(`{"name":%q,"software_version":"4","supported_task_types":[%q]}`, name, taskType))
	p.call(w, "POST", "/worker/state-changed", `{"status":"awake"}`)
	return w
}

// cycle claims a task and completes it; it returns how long the claim took, 0 if there was no task.
func (p *process) cycle(w *worker) time.Duration {
	start := time.Now()
	status, text := p.call(w, "POST", "/worker/task", "")
	took := time.Since(start)
	var task api.AssignedTask
	if status != http.StatusOK || json.Unmarshal(text, &task) != nil {
		return 0
	}
	p.call(w, "POST", "/worker/task/"+task.UUID, `{"taskStatus":"completed"}`)
	return took
}

// memory is a line of /proc/PID/status, in MB.
func (p *process) memory(line string) float64 {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", p.pid))
	must(p.b, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); fields[0] == line+":" {
			kilobytes, err := strconv.ParseFloat(fields[1], 64)
			must(p.b, err)
			return kilobytes / 1000
		}
	}
	p.b.Fatalf("no %s", line)
	return 0
}

// forgetPeak makes VmHWM begin anew.
func (p *process) forgetPeak() {
	must(p.b, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0))
}

// processor is how much processor time the Manager has used, at 100 ticks a second.
func (p *process) processor() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	must(p.b, err)
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')'):]))
	user, errUser := strconv.Atoi(fields[12])
	system, errSystem := strconv.Atoi(fields[13])
	must(p.b, errUser)
	must(p.b, errSystem)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// reportProcessor prints the processor time of the Manager since before, per turn of the benchmark.
func (p *process) reportProcessor(b *testing.B, before time.Duration) {
	b.ReportMetric(milliseconds(p.processor()-before)/float64(b.N), "manager-cpu-ms/op")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// report prints the median and the 99th percentile of times.
func report(b *testing.B, what string, times []time.Duration) {
	times = slices.DeleteFunc(times, func(d time.Duration) bool { return d == 0 })
	if len(times) == 0 {
		b.Fatalf("no %s", what)
	}
	slices.Sort(times)
	b.ReportMetric(milliseconds(times[len(times)/2]), what+"-p50-ms")
	b.ReportMetric(milliseconds(times[len(times)*99/100]), what+"-p99-ms")
}
