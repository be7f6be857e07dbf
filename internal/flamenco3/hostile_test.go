// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flamenco3"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/testkit/oldfarm"
)

func TestAJobThatCannotBeReadIsLeftOutAndNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil string // ? is the row of the job
		want  string
	}{
		"no id":             {"UPDATE jobs SET uuid = 'x; DROP TABLE jobs' WHERE id = ?", "uuid is not an id"},
		"id of another":     {"UPDATE jobs SET uuid = upper((SELECT uuid FROM jobs ORDER BY id LIMIT 1)) WHERE id = ?", "was there before"},
		"status":            {"UPDATE jobs SET status = 'confused' WHERE id = ?", `"confused" is unknown`},
		"status of a kind":  {"UPDATE jobs SET status = x'00ff' WHERE id = ?", "is unknown"},
		"tag":               {"UPDATE jobs SET worker_tag_id = 777 WHERE id = ?", "tag is not there"},
		"task id":           {"UPDATE tasks SET uuid = '' WHERE index_in_job = 1 AND job_id = ?", "uuid is not an id"},
		"task of another":   {"UPDATE tasks SET uuid = upper((SELECT uuid FROM tasks ORDER BY id LIMIT 1)) WHERE index_in_job = 2 AND job_id = ?", "was there before"},
		"task status":       {"UPDATE tasks SET status = 7 WHERE index_in_job = 2 AND job_id = ?", `"7" is unknown`},
		"commands":          {"UPDATE tasks SET commands = '[{\"name\":' WHERE index_in_job = 2 AND job_id = ?", "commands are not understood"},
		"commands of a map": {"UPDATE tasks SET commands = '{}' WHERE index_in_job = 2 AND job_id = ?", "commands are not understood"},
		"commands and more": {"UPDATE tasks SET commands = '[] []' WHERE index_in_job = 2 AND job_id = ?", "commands are not understood"},
		"nested commands":   {"UPDATE tasks SET commands = replace(hex(zeroblob(60000)), '00', '[') WHERE index_in_job = 2 AND job_id = ?", "commands are not understood"},
		"steps":             {"UPDATE tasks SET commands = '[{\"name\":\"a\",\"total_step_count\":-5}]' WHERE index_in_job = 2 AND job_id = ?", "impossible number of steps"},
		"huge steps":        {"UPDATE tasks SET commands = '[{\"name\":\"a\",\"total_step_count\":1e30}]' WHERE index_in_job = 2 AND job_id = ?", "commands are not understood"},
		"huge commands":     {"UPDATE tasks SET commands = zeroblob(17000000) WHERE index_in_job = 2 AND job_id = ?", "missing or too large"},
		"no commands":       {"UPDATE tasks SET commands = '' WHERE index_in_job = 2 AND job_id = ?", "missing or too large"},
		"a circle": {`INSERT INTO task_dependencies SELECT a.id, b.id FROM tasks a JOIN tasks b ON a.job_id = b.job_id
WHERE (b.index_in_job = a.index_in_job % 3 + 1) AND a.job_id = ?`, "in a circle"},
		"itself": {"INSERT INTO task_dependencies SELECT id, id FROM tasks WHERE index_in_job = 2 AND job_id = ?", "in a circle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, f := setup(t)
			good, goodID := old.Job("good", "queued")
			old.Task(good, 1, "misc", "queued")
			bad, _ := old.Job("bad", "queued")
			for i := range 3 {
				old.Task(bad, i+1, "misc", "queued")
			}
			old.Exec("PRAGMA foreign_keys = OFF")
			old.Exec(c.spoil, bad)
			r := f.imports(old, flamenco3.Options{})
			if r.Jobs != (flamenco3.Count{Found: 2, Imported: 1, LeftOut: 1}) || r.Tasks != (flamenco3.Count{Found: 4, Imported: 1, LeftOut: 3}) {
				t.Errorf("%+v", r)
			}
			if texts := problems(r, "job"); len(texts) != 1 || !strings.Contains(texts[0], c.want) {
				t.Errorf("reported %q, want %q", texts, c.want)
			}
			if j := f.job(goodID); j.Tasks.Queued != 1 {
				t.Errorf("the good job: %+v", j)
			}
		})
	}
}

func TestWhatIsWrongInAJobThatCanRunIsDroppedAndNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ spoil, want string }{
		"settings":         {"UPDATE jobs SET settings = 'none' WHERE id = ?", "settings are not understood"},
		"settings of list": {"UPDATE jobs SET settings = '[1]' WHERE id = ?", "settings are not understood"},
		"huge settings":    {"UPDATE jobs SET settings = '{\"a\":\"' || hex(zeroblob(9000000)) || '\"}' WHERE id = ?", "settings is too large"},
		"metadata":         {"UPDATE jobs SET metadata = '\"' WHERE id = ?", "metadata are not understood"},
		"time":             {"UPDATE jobs SET created_at = 'yesterday' WHERE id = ?", "created_at is not a time"},
		"huge time":        {"UPDATE jobs SET updated_at = 9e99 WHERE id = ?", "updated_at is not a time"},
		"priority":         {"UPDATE jobs SET priority = 9223372036854775807 WHERE id = ?", "priority is 9223372036854775807, which is out of range"},
		"name":             {"UPDATE jobs SET name = hex(zeroblob(100000)) WHERE id = ?", "name is too long"},
		"number":           {"UPDATE tasks SET steps_total = 'many' WHERE job_id = ?", "steps_total is not a number"},
		"worker":           {"UPDATE tasks SET worker_id = 777 WHERE job_id = ?", "names a worker that is not there"},
		"worker of a kind": {"UPDATE tasks SET worker_id = x'00' WHERE job_id = ?", "worker_id is not a row"},
		"dependency":       {"INSERT INTO task_dependencies SELECT id, 777 FROM tasks WHERE job_id = ?", "depends on a task that is not in its job"},
		"failure":          {"INSERT INTO task_failures SELECT '', id, 777 FROM tasks WHERE job_id = ?", "a worker that is not there failed it"},
		"block":            {"INSERT INTO job_blocks (created_at, job_id, worker_id, task_type) SELECT '', id, 777, 'x' FROM jobs WHERE id = ?", "on its blocklist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, f := setup(t)
			job, id := old.Job("bad in parts", "queued")
			old.Task(job, 1, "misc", "queued")
			old.Exec("PRAGMA foreign_keys = OFF")
			old.Exec(c.spoil, job)
			r := f.imports(old, flamenco3.Options{})
			if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Text, c.want) {
				t.Errorf("reported %+v, want %q", r.Problems, c.want)
			}
			if j := f.job(id); j.Tasks.Queued != 1 || j.Created.IsZero() || j.StepsTotal == 0 {
				t.Errorf("the job: %+v", j)
			}
			if _, err := f.store.JobSpec(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAWorkerThatCannotBeReadIsLeftOutAndNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ spoil, want string }{
		"no id":       {"UPDATE workers SET uuid = 'x' WHERE id = ?", "uuid is not an id"},
		"no secret":   {"UPDATE workers SET secret = 'password' WHERE id = ?", "secret is not a hash"},
		"dear secret": {"UPDATE workers SET secret = '$2a$31' || substr(secret, 7) WHERE id = ?", "secret is not a hash"},
		"twice":       {"UPDATE workers SET uuid = upper((SELECT uuid FROM workers ORDER BY id LIMIT 1)) WHERE id = ?", "was there before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, f := setup(t)
			old.Worker("good", "secret", "awake")
			bad, _ := old.Worker("bad", "secret", "awake")
			old.Exec(c.spoil, bad)
			r := f.imports(old, flamenco3.Options{})
			if texts := problems(r, "worker"); len(texts) != 1 || !strings.Contains(texts[0], c.want) || r.Workers.LeftOut != 1 || r.Workers.Imported != 1 {
				t.Errorf("%+v, want %q", r, c.want)
			}
		})
	}
}

func TestWhatIsNoDatabaseOfFlamenco3IsRefused(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		text: "no SQLite database", folder: "not a file", filepath.Join(folder, "nothing"): "no such file", f.path: "of this Flamenco",
	} {
		_, err := flamenco3.Import(t.Context(), flamenco3.Source{Database: path}, f.target(), flamenco3.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	// What looks like a table may be a view that never ends.
	old.Exec("DROP TABLE workers; CREATE VIEW workers AS WITH RECURSIVE n (uuid) AS (SELECT 1 UNION ALL SELECT uuid + 1 FROM n) SELECT * FROM n")
	_, err := flamenco3.Import(t.Context(), sourceOf(old), f.target(), flamenco3.Options{})
	if farm.CodeOf(err) != farm.CodeInvalid {
		t.Errorf("a view: %v", err)
	}
}

func TestADamagedFileGivesWhatCanBeRead(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	old.Many(2, 500)
	if err := old.DB.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(old.Database)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(old.Database, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt(bytes.Repeat([]byte("damage"), 2000), info.Size()/2)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := flamenco3.Import(t.Context(), sourceOf(old), f.target(), flamenco3.Options{})
	if err == nil && (len(r.Warnings) == 0 || !strings.Contains(r.Warnings[0], "damaged")) {
		t.Errorf("nobody noticed: %+v", r)
	}
}

func TestNothingLeavesTheLocalStorage(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	job, jobID := old.Job("render", "completed")
	_, linked := old.Task(job, 1, "misc", "completed")
	_, folder := old.Task(job, 2, "misc", "completed")
	_, good := old.Task(job, 3, "misc", "completed")
	old.File(jobID, "task-"+good+".txt", "good")
	at := filepath.Join(old.Storage, "job-"+jobID[:4], jobID)
	if err := os.Symlink(secret, filepath.Join(at, "task-"+linked+".txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(at, "task-"+folder+".txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := f.imports(old, flamenco3.Options{})
	if r.Logs != (flamenco3.Count{Found: 3, Imported: 1, LeftOut: 2}) || len(r.Problems) != 2 {
		t.Errorf("%+v", r)
	}
	if f.file(logName(jobID, good)) != "good" {
		t.Error("the good log is missing")
	}
}

func TestAnImportThatEndsEarlyIsCompletedByTheNext(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	old.Worker("alpha", "secret", "awake")
	old.Many(20, 20)
	for _, stopAt := range []int{1, 4, 11} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := flamenco3.Import(ctx, sourceOf(old), f.target(), flamenco3.Options{Progress: func(done, _ int) {
			if done == stopAt {
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %d: %v", stopAt, err)
		}
		storetest.CheckInvariants(t, f.path)
	}
	r := f.imports(old, flamenco3.Options{})
	if r.Jobs.Found != 20 || r.Jobs.Present != 11 || r.Jobs.Imported != 9 {
		t.Errorf("%+v", r.Jobs)
	}
	f.wantAll(20, 20)
}

func (f *newFarm) wantAll(jobs, tasks int) {
	f.t.Helper()
	all, _, err := f.store.Jobs(f.t.Context(), store.JobList{})
	if err != nil || len(all) != jobs {
		f.t.Fatalf("%d jobs, %v", len(all), err)
	}
	for _, j := range all {
		if j.Tasks.Total() != tasks || j.Tasks.Completed != tasks/2 || j.Status != farm.JobActive {
			f.t.Errorf("%+v", j)
		}
	}
}

// importArg makes the test program import and say how far it is, so that it can be killed.
const importArg = "__import"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == importArg {
		os.Exit(importAsTold(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func importAsTold(args []string) int {
	ctx := context.Background()
	st, err := store.Open(ctx, store.Options{Database: args[1], Log: discard})
	if err != nil {
		return 1
	}
	root, err := os.OpenRoot(args[2])
	if err != nil {
		return 1
	}
	told := json.NewEncoder(os.Stdout)
	_, err = flamenco3.Import(ctx, flamenco3.Source{Database: args[0], Storage: args[3]}, flamenco3.Target{Store: st, Storage: root, LogName: logName},
		flamenco3.Options{Temporary: args[2], Progress: func(done, _ int) { _ = told.Encode(done) }})
	if err != nil {
		return 1
	}
	return 0
}

func TestAnImportThatIsKilledIsCompletedByTheNext(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	old.Many(30, 50)
	jobs, err := old.DB.Query("SELECT j.uuid, t.uuid FROM jobs j JOIN tasks t ON t.job_id = j.id AND t.index_in_job <= 3")
	if err != nil {
		t.Fatal(err)
	}
	defer jobs.Close()
	for jobs.Next() {
		var job, task string
		if err := jobs.Scan(&job, &task); err != nil {
			t.Fatal(err)
		}
		old.File(job, "task-"+task+".txt", strings.Repeat("a line\n", 5000))
	}
	if err := errors.Join(jobs.Err(), f.store.Close()); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{1, 7, 20} {
		killAt(t, at, old, f)
		storetest.CheckInvariants(t, f.path)
	}
	f.open(f.path)
	r := f.imports(old, flamenco3.Options{})
	if r.Jobs.Present == 0 || r.Jobs.Imported == 0 || r.Logs.LeftOut != 0 {
		t.Errorf("%+v", r)
	}
	f.wantAll(30, 50)
	all, _, err := f.store.Jobs(t.Context(), store.JobList{})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range all {
		for _, task := range f.tasks(j.ID)[:3] {
			if n := len(f.file(logName(j.ID, task.ID))); n != 7*5000 {
				t.Errorf("a log has %d bytes", n)
			}
		}
	}
}

// killAt imports in another process and kills it when it is at a job.
func killAt(t *testing.T, at int, old *oldfarm.Farm, f *newFarm) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], importArg, old.Database, f.path, f.storage.Name(), old.Storage)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	told := json.NewDecoder(out)
	for done := 0; done < at; {
		if err := told.Decode(&done); err != nil {
			t.Fatalf("it ended before job %d: %v", at, err)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = child.Wait() // it was killed
}

func TestWhatAKilledRunLeftOfAFileIsReplaced(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	job, jobID := old.Job("render", "completed")
	_, taskID := old.Task(job, 1, "misc", "completed")
	old.File(jobID, "task-"+taskID+".txt", "a line\n")
	name := logName(jobID, taskID)
	if err := f.storage.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.storage.WriteFile(name+".importing", bytes.Repeat([]byte("half"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	f.imports(old, flamenco3.Options{})
	if text := f.file(name); text != "a line\n" {
		t.Errorf("the log is %q", text)
	}
	if files, err := os.ReadDir(filepath.Join(f.storage.Name(), filepath.Dir(name))); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}
