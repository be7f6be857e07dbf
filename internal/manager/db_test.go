// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/flamenco3"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/testkit/oldfarm"
)

func TestAWorkerOfTheOldFarmSignsOnWithItsSecretAndGetsATask(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	old := oldfarm.New(t)
	_, worker := old.Worker("alpha", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "awake")
	old.Exec("INSERT INTO sleep_schedules (created_at, worker_id, is_active, days_of_week, start_time, end_time) SELECT '', id, 1, 'mo fr', '20:00', '22:30' FROM workers")
	_, busy := old.Worker("beta", "secret of beta", "awake")
	rendering, renderingID := old.Job("rendering", "active")
	frame, frameID := old.Task(rendering, 1, "blender", "active")
	old.Exec("UPDATE tasks SET worker_id = (SELECT id FROM workers WHERE uuid = ?) WHERE id = ?", busy, frame)
	old.Exec("UPDATE jobs SET priority = 1 WHERE id = ?", rendering)
	old.File(renderingID, "last-rendered.jpg", "a picture")
	doomed, doomedID := old.Job("doomed", "completed")
	old.Exec("UPDATE jobs SET delete_requested_at = '2025-11-03 10:00:00' WHERE id = ?", doomed)
	old.File(doomedID, "last-rendered.jpg", "a picture that goes")
	old.Exec("INSERT INTO last_rendereds VALUES (1, '', '', ?)", rendering)
	old.Many(50, 200)
	from := flamenco3.Source{Database: old.Database, Storage: old.Storage}

	var out bytes.Buffer
	log := slog.New(slog.DiscardHandler)
	if err := manager.ImportFlamenco3(t.Context(), cfg, log, &out, from, true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.Database); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the dry run made a database: %v", err)
	}
	if _, err := os.Stat(cfg.LocalStorage); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the dry run made a local storage: %v", err)
	}
	begin := time.Now()
	if err := manager.ImportFlamenco3(t.Context(), cfg, log, &out, from, false); err != nil {
		t.Fatal(err)
	}
	t.Logf("10,000 tasks were imported in %s\n%s", time.Since(begin), out.String())
	for _, want := range []string{"to import", "Nothing was written", "10001", "sleep schedules      1         1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it printed %s\nwithout %q", out.String(), want)
		}
	}
	storetest.CheckInvariants(t, cfg.Database)

	client := newClient(t)
	url, stop := start(t, cfg)
	// It went on rendering while the Managers were changed, and knows nothing of that.
	if status, text := call(t, client, "POST", url+"/api/v3/worker/task/"+frameID, `{"taskStatus":"completed"}`, busy, "secret of beta"); status != 204 {
		t.Errorf("the report of a frame of the old farm got %d %s", status, text)
	}
	if _, text := call(t, client, "GET", url+"/api/v3/jobs/"+renderingID, ""); !strings.Contains(text, `"status":"completed"`) {
		t.Errorf("its job is %s", text)
	}
	if status, text := call(t, client, "GET", url+"/api/v3/jobs/last-rendered", ""); status != 200 || !strings.Contains(text, renderingID) {
		t.Errorf("the newest picture: %d %s", status, text)
	}
	if _, text := call(t, client, "GET", url+"/api/v3/worker-mgt/workers/"+worker+"/sleep-schedule", ""); !strings.Contains(text, `"mo fr"`) || !strings.Contains(text, "22:30") {
		t.Errorf("its sleep schedule is %s", text)
	}
	as := func(path, body string) (int, string) {
		return call(t, client, "POST", url+"/api/v3/worker"+path, body, worker, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	}
	if status, text := as("/sign-on", `{"name":"alpha","supported_task_types":["blender"],"software_version":"3.9"}`); status != 200 {
		t.Fatalf("the sign-on got %d %s", status, text)
	}
	as("/state-changed", `{"status":"awake"}`)
	var task struct{ UUID, Job, Name string }
	status, text := as("/task", "")
	if err := json.Unmarshal([]byte(text), &task); err != nil || status != 200 || task.Name != "task-101" {
		t.Fatalf("the request for a task got %d %s: %v", status, text, err)
	}
	if status, text := as("/task/"+task.UUID, `{"taskStatus":"completed"}`); status != 204 {
		t.Errorf("the report got %d %s", status, text)
	}
	if err := manager.ImportFlamenco3(t.Context(), cfg, log, &out, from, false); err == nil || !strings.Contains(err.Error(), "another Manager is using it") {
		t.Errorf("beside a Manager: %v", err)
	}
	if err := manager.ImportFlamenco3(t.Context(), cfg, log, &out, from, true); err != nil {
		t.Errorf("a dry run beside a Manager: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	storetest.CheckInvariants(t, cfg.Database)
}

func TestTheDatabaseCanBeCaredForByHand(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	log := slog.New(slog.DiscardHandler)
	commands := map[string]func(out *bytes.Buffer) error{
		"check":   func(out *bytes.Buffer) error { return manager.CheckDatabase(t.Context(), cfg, log, out) },
		"migrate": func(out *bytes.Buffer) error { return manager.MigrateDatabase(t.Context(), cfg, log, out) },
		"vacuum":  func(out *bytes.Buffer) error { return manager.VacuumDatabase(t.Context(), cfg, log, out) },
	}
	run := func(name string, wantErr string, wantText string) {
		t.Helper()
		var out bytes.Buffer
		err := commands[name](&out)
		if (wantErr == "") != (err == nil) || !strings.Contains(fmt.Sprint(err), wantErr) || !strings.Contains(out.String(), wantText) {
			t.Errorf("%s: %v, %s", name, err, out.String())
		}
	}
	for name := range commands {
		run(name, "there is no database", "")
	}
	if _, err := os.Stat(cfg.Database); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a database was made: %v", err)
	}
	_, stop := start(t, cfg)
	run("check", "", "sound")
	run("migrate", "another Manager is using it", "")
	run("vacuum", "another Manager is using it", "")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	run("check", "", "sound")
	run("migrate", "", "up to date")
	run("vacuum", "", "MiB now")
	change(t, cfg, "INSERT INTO worker_tags VALUES (77, 77)")
	run("check", "damaged", "names a row of")
}

func TestTheCommandLineOfTheDatabaseIsChecked(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	env := []string{"FLAMENCO_MANAGER_DATABASE=" + cfg.Database, "FLAMENCO_MANAGER_LOCAL_MANAGER_STORAGE_PATH=" + cfg.LocalStorage}
	old := oldfarm.New(t)
	config := "-config=" + t.TempDir() + "/" + config.FileName
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"db"}, 2},
		{[]string{"db", "check", "-help"}, 0},
		{[]string{"db", "repair"}, 2},
		{[]string{"db", "check", "now"}, 1},
		{[]string{"db", "check", config}, 1}, // there is none
		{[]string{"import-flamenco3"}, 1},
		{[]string{"import-flamenco3", config, old.Database + ".not"}, 1},
		{[]string{"import-flamenco3", config, old.Database, "--dry-run"}, 0},
		{[]string{"db", "check", config}, 1},
		{[]string{"import-flamenco3", old.Database, config, "-quiet"}, 0},
		{[]string{"db", "check", config}, 0},
	} {
		if got := manager.Main(t.Context(), c.args, env); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.args, got, c.want)
		}
	}
}
