// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// onDisk is a configuration in a file, on an address that stays the same.
func onDisk(t *testing.T) (path string, cfg config.Config) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only to find a free port
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	dir := t.TempDir()
	path = filepath.Join(dir, "flamenco-manager.yaml")
	text := fmt.Sprintf("_meta: {version: 3}\nlisten: %q\ndatabase: farm.sqlite\nlocal_manager_storage_path: %q\nshared_storage_path: %q\ndurability: normal\n",
		address, filepath.Join(dir, "local"), filepath.Join(dir, "shared"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err = config.Load(config.Sources{Path: path, ExecutableDir: dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return path, cfg
}

// submitSome submits a few jobs that have logs, and registers a worker.
func submitSome(t *testing.T, url, local string) {
	t.Helper()
	client := newClient(t)
	for range 3 {
		status, text := call(t, client, "POST", url+"/api/v3/jobs", `{"name":"x","type":"echo-sleep-test","submitter_platform":"linux","settings":{"message":"x"}}`)
		var job struct{ ID string }
		if err := json.Unmarshal([]byte(text), &job); err != nil || status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		writeLog(t, local, job.ID)
	}
	call(t, client, "POST", url+"/api/v3/worker/register-worker", `{"name":"w","secret":"s","platform":"linux","supported_task_types":["misc"]}`)
}

func writeLog(t *testing.T, local, jobID string) {
	t.Helper()
	folder := filepath.Join(local, "job-"+jobID[:4], jobID)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "task-x.txt"), []byte("log"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantJobs checks how many jobs a farm has, in its database and in its files.
func wantJobs(t *testing.T, cfg config.Config, want int) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Database: cfg.Database, Log: slog.New(slog.DiscardHandler), Beside: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	jobs, _, err := db.Jobs(t.Context(), store.JobList{})
	if err != nil || len(jobs) != want {
		t.Errorf("%d jobs, want %d, %v", len(jobs), want, err)
	}
	workers, _, err := db.Workers(t.Context(), store.WorkerList{})
	if err != nil || len(workers) == 0 {
		t.Errorf("%d workers, %v", len(workers), err)
	}
	if n, err := db.CountLocks(t.Context()); n != 0 || err != nil {
		t.Errorf("%d locks, %v", n, err)
	}
	folders, err := fs.Glob(os.DirFS(cfg.LocalStorage), "job-*/*")
	if err != nil || len(folders) != want {
		t.Errorf("folders %v, want %d, %v", folders, want, err)
	}
	storetest.CheckInvariants(t, cfg.Database)
}

func cleanSlate(t *testing.T, want int, args ...string) {
	t.Helper()
	if code := manager.Main(t.Context(), append([]string{"cleanslate"}, args...), nil); code != want {
		t.Errorf("%v: exit code %d, want %d", args, code, want)
	}
}

func TestACleanSlateIsMadeByTheManagerThatRunsOrWithoutOne(t *testing.T) {
	t.Parallel()
	path, cfg := onDisk(t)
	cleanSlate(t, 1, "-yes", "-config", path) // there is no database yet
	url, stop := start(t, cfg)
	submitSome(t, url, cfg.LocalStorage)
	cleanSlate(t, 1, "-config", path) // there is nobody to ask
	cleanSlate(t, 2, "-nonsense", "-config", path)
	cleanSlate(t, 1, "-yes", "-config", path, "argument")
	wantJobs(t, cfg, 3)
	cleanSlate(t, 0, "-yes", "-config", path)
	wantJobs(t, cfg, 0)
	submitSome(t, url, cfg.LocalStorage)
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	writeLog(t, cfg.LocalStorage, "00000000-0000-4000-8000-00000000dead") // of a job that nobody knows any more
	wantFolders(t, cfg, 4)
	cleanSlate(t, 0, "-yes", "-config", path)
	wantJobs(t, cfg, 0)
}

func wantFolders(t *testing.T, cfg config.Config, want int) {
	t.Helper()
	folders, err := fs.Glob(os.DirFS(cfg.LocalStorage), "job-*/*")
	if err != nil || len(folders) != want {
		t.Errorf("folders %v, want %d, %v", folders, want, err)
	}
}

func TestTheAdminTokenIsNewAfterEveryStartAndPrivate(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	seen := map[string]bool{}
	for range 2 {
		url, stop := start(t, cfg)
		path := filepath.Join(cfg.LocalStorage, "admin.token")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 || len(strings.TrimSpace(string(text))) != 64 {
			t.Errorf("%v, %d bytes, %v", info.Mode(), len(text), err)
		}
		seen[string(text)] = true
		if status, text := call(t, newClient(t), "GET", url+"/job-files/admin.token", ""); status != 404 {
			t.Errorf("it is served: %d %s", status, text)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 2 {
		t.Error("it is the same again")
	}
}
