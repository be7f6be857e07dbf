// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"flamenco.farm/internal/export"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// admin calls the API with the admin token, or another one.
func (a *api) admin(want int, method, path, token string, body io.Reader) string {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, body)
	if err != nil {
		a.t.Fatal(err)
	}
	if token == "" {
		file, err := os.ReadFile(filepath.Join(a.cfg.LocalStorage, "admin.token"))
		if err != nil {
			a.t.Fatal(err)
		}
		token = strings.TrimSpace(string(file))
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/octet-stream")
	if method == "PUT" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		a.t.Fatalf("%s %s: %d, want %d: %.500s, %v", method, path, resp.StatusCode, want, answer, err)
	}
	return string(answer)
}

func (a *api) maintenance(on bool) {
	a.t.Helper()
	a.admin(200, "PUT", "/maintenance", "", strings.NewReader(fmt.Sprintf(`{"on":%v}`, on)))
}

// rows is what is behind the header of an export.
func rows(file string) string { return file[strings.LastIndex(file, "\x28\xB5\x2F\xFD"):] }

func (a *api) register(name string) (id string) {
	a.t.Helper()
	text := a.call(200, "POST", "/worker/register-worker", `{"name":"`+name+`","secret":"s","platform":"linux","supported_task_types":["misc"]}`)
	_, id, _ = strings.Cut(text, `"uuid":"`)
	return id[:36]
}

func (a *api) worker(want int, id string) {
	a.t.Helper()
	if status, text := call(a.t, a.client, "GET", a.url+"/worker/state", "", id, "s"); status != want {
		a.t.Errorf("worker %s gets %d %s, want %d", id, status, text, want)
	}
}

func TestAFarmIsReplacedByAnExportWhileTheManagerRuns(t *testing.T) {
	t.Parallel()
	a, _ := startAPI(t, configured(t))
	kept, known := a.job(""), a.register("known")
	a.admin(403, "GET", "/farm/export", "wrong", nil)
	a.admin(403, "POST", "/farm/import", "wrong", strings.NewReader("x"))
	file := a.admin(200, "GET", "/farm/export", "", nil)
	header, n, err := export.Verify(strings.NewReader(file))
	if err != nil || n["jobs"] != 1 || n["workers"] != 1 {
		t.Fatalf("%v, %v", n, err)
	}

	lost, late := a.job(""), a.register("late")
	a.worker(204, late) // from now on its secret is remembered
	a.worker(204, known)
	if text := a.admin(409, "POST", "/farm/import?erase="+header.Farm, "", strings.NewReader(file)); !strings.Contains(text, "maintenance") {
		t.Error(text)
	}
	a.maintenance(true)
	if text := a.admin(409, "POST", "/farm/import", "", strings.NewReader(file)); !strings.Contains(text, "2 jobs, 2 workers") || !strings.Contains(text, header.Farm) {
		t.Error(text)
	}
	a.admin(409, "POST", "/farm/import?erase=another", "", strings.NewReader(file))
	for what, damaged := range map[string]string{
		"cut": file[:len(file)-10], "empty": "", "altered": file[:len(file)-30] + "x" + file[len(file)-29:], "more": file + "x",
	} {
		if text := a.admin(400, "POST", "/farm/import?erase="+header.Farm, "", strings.NewReader(damaged)); text == "" {
			t.Errorf("%s: nothing is said", what)
		}
	}
	if !a.exists(kept) || !a.exists(lost) {
		t.Error("a refused import changed the farm")
	}

	a.admin(202, "POST", "/farm/import?erase="+header.Farm, "", strings.NewReader(file))
	if o := a.operations(1)[0]; o.Status != "completed" || o.Kind != "import" || !strings.HasPrefix(o.Activity, "1 jobs, 2 tasks and 1 workers imported") {
		t.Errorf("%+v", o)
	}
	if !a.exists(kept) || a.exists(lost) {
		t.Errorf("jobs: %v, %v", a.exists(kept), a.exists(lost))
	}
	for deadline := 0; ; deadline++ {
		if status, _ := call(t, a.client, "GET", a.url+"/worker/state", "", late, "s"); status == 401 || status == 403 {
			break
		} else if deadline > 1000 {
			t.Fatalf("a worker that is not there any more gets %d", status)
		}
	}
	a.maintenance(false)
	a.worker(204, known)
	storetest.CheckInvariants(t, a.cfg.Database)
	if left, err := os.ReadDir(filepath.Join(a.cfg.LocalStorage, "imports")); err != nil || len(left) > 0 {
		t.Errorf("uploads are left: %v, %v", left, err)
	}
	if left, _ := filepath.Glob(a.cfg.Database + ".import*"); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestAnImportIsRefusedInTheEndWhenTheMaintenanceIsOver(t *testing.T) {
	t.Parallel()
	a, _ := startAPI(t, configured(t))
	a.job("")
	file := a.admin(200, "GET", "/farm/export", "", nil)
	header, _, err := export.Verify(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "export")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	a.maintenance(true)
	a.maintenance(false)
	a.start("import", fmt.Sprintf(`{"file":%q,"erase":%q}`, path, header.Farm))
	if o := a.operations(1)[0]; o.Status != "failed" || !strings.Contains(o.Activity, "has to be in maintenance") {
		t.Errorf("%+v", o)
	}
}

// command runs a subcommand and returns its exit code.
func command(t *testing.T, args ...string) int {
	t.Helper()
	return manager.Main(t.Context(), args, nil)
}

func TestAFarmMovesToAnotherDatabaseAndBack(t *testing.T) {
	t.Parallel()
	from, cfg := onDisk(t)
	url, stop := start(t, cfg)
	submitSome(t, url, cfg.LocalStorage)
	folder := t.TempDir()
	first, second := filepath.Join(folder, "first"), filepath.Join(folder, "second")
	if code := command(t, "export", "-config", from, first); code != 0 {
		t.Fatalf("export beside a Manager: exit code %d", code)
	}
	if info, err := os.Stat(first); err != nil || (runtime.GOOS != "windows" && info.Mode().Perm() != 0o600) {
		t.Errorf("the file is %v, %v", info, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	to, other := onDisk(t)
	for range 2 { // the second time the farm is not empty
		if code := command(t, "import", "-config", to, first); code == 0 && len(farmID(t, other.Database)) == 0 {
			t.Fatal("it has no id")
		}
		if code := command(t, "export", "-config", to, second); code != 0 {
			t.Fatalf("export: exit code %d", code)
		}
		wantSameRows(t, first, second)
	}
	storetest.CheckInvariants(t, other.Database)
	if code := command(t, "import", "-config", to, "-erase", farmID(t, other.Database), first); code != 0 {
		t.Errorf("confirmed import: exit code %d", code)
	}
	for _, args := range [][]string{{"export"}, {"import"}, {"import", "a", "b"}, {"import", filepath.Join(folder, "none")}} {
		if code := command(t, append(args, "-config", to)...); code == 0 {
			t.Errorf("%v: exit code 0", args)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*.tmp")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestAnImportGoesThroughTheManagerThatRuns(t *testing.T) {
	t.Parallel()
	path, cfg := onDisk(t)
	url, stop := start(t, cfg)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	a := &api{t: t, client: newClient(t), url: url + "/api/v3", cfg: cfg}
	file := filepath.Join(t.TempDir(), "export")
	kept := a.job("")
	if code := command(t, "export", "-config", path, file); code != 0 {
		t.Fatal("export failed")
	}
	lost := a.job("")
	erase := farmID(t, cfg.Database)
	if code := command(t, "import", "-config", path, "-erase", erase, file); code == 0 || !a.exists(lost) {
		t.Error("imported outside of a maintenance")
	}
	a.maintenance(true)
	if code := command(t, "import", "-config", path, file); code == 0 || !a.exists(lost) {
		t.Error("imported without being asked to erase")
	}
	if code := command(t, "import", "-config", path, "-erase", erase, file); code != 0 || a.exists(lost) || !a.exists(kept) {
		t.Errorf("exit code %d", code)
	}
}

func farmID(t *testing.T, database string) string {
	t.Helper()
	db, err := store.OpenForReading(t.Context(), store.Options{Database: database, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	id, err := db.FarmID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wantSameRows(t *testing.T, first, second string) {
	t.Helper()
	one, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	if rows(string(one)) != rows(string(two)) {
		t.Errorf("%s and %s have other rows", first, second)
	}
}

func TestAKilledImportLeavesTheOldFarm(t *testing.T) {
	t.Parallel()
	from, cfg := onDisk(t)
	open := func(database string) *store.Store {
		db, err := store.Open(t.Context(), store.Options{Database: database, Durability: store.DurabilityNormal, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open(cfg.Database)
	err := db.DoAlone(t.Context(), func(tx *store.Tx) error {
		_, err := tx.InsertJob(storetest.NewJob("j", storetest.NewTasks(2000, "a")...))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	file, before, after := filepath.Join(folder, "export"), filepath.Join(folder, "before"), filepath.Join(folder, "after")
	to, other := onDisk(t)
	db = open(other.Database)
	_, err = db.CreateTag(t.Context(), farm.Tag{Name: "old"})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if command(t, "export", "-config", from, file) != 0 || command(t, "export", "-config", to, before) != 0 {
		t.Fatal("export failed")
	}
	replace := []string{"import", "-config", to, "-erase", farmID(t, other.Database), file}
	dieAt := filepath.Join(other.LocalStorage, manager.DieAtFile)
	if err := os.MkdirAll(other.LocalStorage, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ step, want string }{
		{"Reading the tables", before},
		{"Checking what was read", before},
		{"Replacing the farm", before},
		{"the farm is about to be replaced", before},
		{"Copying the tables", before},
		{"after a commit that nobody knows of", file},
	} {
		if err := os.WriteFile(dieAt, []byte(c.step), 0o600); err != nil {
			t.Fatal(err)
		}
		if code := command(t, replace...); code == 0 {
			t.Fatalf("%s: it was not killed", c.step)
		}
		if err := os.Remove(dieAt); err != nil {
			t.Fatal(err)
		}
		if err := open(other.Database).Close(); err != nil { // this clears what is left
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(other.Database + ".import*"); len(left) > 0 {
			t.Errorf("%s: %v is left", c.step, left)
		}
		if command(t, "db", "check", "-config", to) != 0 || command(t, "export", "-config", to, after) != 0 {
			t.Fatalf("%s: the database is damaged", c.step)
		}
		wantSameRows(t, c.want, after)
	}
	if code := command(t, replace...); code != 0 {
		t.Errorf("the import that is begun again: exit code %d", code)
	}
	storetest.CheckInvariants(t, other.Database)
}
