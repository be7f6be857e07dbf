// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/testkit/oldfarm"
)

func TestAFarmIsImportedAndTheDatabaseShrunkWhileAManagerRuns(t *testing.T) {
	t.Parallel()
	path, cfg := onDisk(t)
	url, stop := start(t, cfg)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	a := &api{t: t, client: newClient(t), url: url + "/api/v3", cfg: cfg}
	old := oldfarm.New(t)
	old.Worker("alpha", "secret of alpha", "offline")
	job, id := old.Job("walk", "completed")
	old.Task(job, 1, "misc", "completed")
	old.File(id, "last-rendered.jpg", "a picture")
	for _, args := range [][]string{{"db", "vacuum", "-config", path}, {"import-flamenco3", "-config", path, old.Database}} {
		if code := manager.Main(t.Context(), args, nil); code != 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
	kinds := map[string]string{}
	for _, o := range a.operations(2) {
		kinds[o.Kind] = o.Status + ": " + o.Activity
	}
	if !strings.HasPrefix(kinds["vacuum"], "completed") || !strings.Contains(kinds["import-flamenco3"], "completed: 1 jobs and 1 workers imported, 0 things") {
		t.Errorf("%v", kinds)
	}
	if !a.exists(id) {
		t.Error("the job is missing")
	}
	logs, err := filepath.Glob(filepath.Join(cfg.LocalStorage, "operations", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	if !strings.Contains(all.String(), "already there") {
		t.Errorf("the report is in no log: %s", &all)
	}
}
