// SPDX-License-Identifier: GPL-3.0-or-later

// Package oldfarm makes the database and the files of a Flamenco 3 Manager for tests. It knows their form, and nothing of
// who reads them.
package oldfarm

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the old database

	"flamenco.farm/internal/auth"
)

// Farm is a farm of Flamenco 3 under construction.
type Farm struct {
	t        testing.TB
	DB       *sql.DB
	Database string // path of the file
	Storage  string // the local storage beside it
	ids      int
}

// Schema is the tables of version 8.
const Schema = `
CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TEXT);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1), (8, 1);
CREATE TABLE worker_tags (id INTEGER PRIMARY KEY, created_at DATETIME NOT NULL, updated_at DATETIME, uuid VARCHAR(36) UNIQUE NOT NULL,
    name VARCHAR(64) UNIQUE NOT NULL, description VARCHAR(255) NOT NULL DEFAULT '');
CREATE TABLE workers (id INTEGER PRIMARY KEY, created_at DATETIME NOT NULL, updated_at DATETIME, uuid VARCHAR(36) UNIQUE NOT NULL,
    secret VARCHAR(255) NOT NULL, name VARCHAR(64) NOT NULL, address VARCHAR(39) NOT NULL DEFAULT '', platform VARCHAR(16) NOT NULL,
    software VARCHAR(32) NOT NULL DEFAULT '', status VARCHAR(16) NOT NULL, last_seen_at DATETIME,
    status_requested VARCHAR(16) NOT NULL DEFAULT '', lazy_status_request SMALLINT NOT NULL DEFAULT FALSE,
    supported_task_types VARCHAR(255) NOT NULL DEFAULT '', deleted_at DATETIME, can_restart SMALLINT NOT NULL DEFAULT FALSE);
CREATE TABLE worker_tag_membership (worker_tag_id INTEGER NOT NULL REFERENCES worker_tags (id) ON DELETE CASCADE,
    worker_id INTEGER NOT NULL REFERENCES workers (id) ON DELETE CASCADE, PRIMARY KEY (worker_tag_id, worker_id));
CREATE TABLE jobs (id INTEGER PRIMARY KEY, created_at DATETIME NOT NULL, updated_at DATETIME, uuid VARCHAR(36) UNIQUE NOT NULL,
    name VARCHAR(64) NOT NULL, job_type VARCHAR(32) NOT NULL, priority SMALLINT NOT NULL, status VARCHAR(32) NOT NULL,
    activity VARCHAR(255) NOT NULL DEFAULT '', settings JSONB NOT NULL, metadata JSONB NOT NULL, delete_requested_at DATETIME,
    storage_shaman_checkout_id VARCHAR(255) NOT NULL DEFAULT '', worker_tag_id INTEGER REFERENCES worker_tags (id) ON DELETE SET NULL,
    steps_completed INTEGER NOT NULL DEFAULT 0, steps_total INTEGER NOT NULL DEFAULT 0);
CREATE TABLE tasks (id INTEGER PRIMARY KEY, created_at DATETIME NOT NULL, updated_at DATETIME, uuid VARCHAR(36) UNIQUE NOT NULL,
    name VARCHAR(64) NOT NULL, type VARCHAR(32) NOT NULL, job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    index_in_job INTEGER NOT NULL, priority SMALLINT NOT NULL, status VARCHAR(16) NOT NULL,
    worker_id INTEGER REFERENCES workers (id) ON DELETE SET NULL, last_touched_at DATETIME, commands JSONB NOT NULL,
    activity VARCHAR(255) NOT NULL DEFAULT '', steps_completed INTEGER NOT NULL DEFAULT 0, steps_total INTEGER NOT NULL DEFAULT 0,
    UNIQUE (job_id, index_in_job));
CREATE TABLE task_dependencies (task_id INTEGER REFERENCES tasks (id) ON DELETE CASCADE,
    dependency_id INTEGER REFERENCES tasks (id) ON DELETE CASCADE, PRIMARY KEY (task_id, dependency_id));
CREATE TABLE task_failures (created_at DATETIME NOT NULL, task_id INTEGER REFERENCES tasks (id) ON DELETE CASCADE,
    worker_id INTEGER REFERENCES workers (id) ON DELETE CASCADE, PRIMARY KEY (task_id, worker_id));
CREATE TABLE job_blocks (id INTEGER PRIMARY KEY, created_at DATETIME NOT NULL, job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    worker_id INTEGER NOT NULL REFERENCES workers (id) ON DELETE CASCADE, task_type TEXT NOT NULL, UNIQUE (job_id, worker_id, task_type));
CREATE TABLE sleep_schedules (id INTEGER PRIMARY KEY, created_at DATETIME NOT NULL, updated_at DATETIME,
    worker_id INTEGER UNIQUE NOT NULL REFERENCES workers (id) ON DELETE CASCADE, is_active SMALLINT NOT NULL DEFAULT FALSE,
    days_of_week TEXT NOT NULL DEFAULT '', start_time TEXT NOT NULL DEFAULT '', end_time TEXT NOT NULL DEFAULT '', next_check DATETIME);
CREATE TABLE last_rendereds (id INTEGER PRIMARY KEY, created_at DATETIME NOT NULL, updated_at DATETIME, job_id INTEGER NOT NULL DEFAULT 0);
`

// Moment is when everything in the farm was made; what happened since is counted from it.
var Moment = time.Date(2025, 11, 3, 9, 30, 15, 123456000, time.UTC)

// New makes a farm with nothing in it, in a folder of the test.
func New(t testing.TB) *Farm {
	t.Helper()
	folder := t.TempDir()
	f := &Farm{t: t, Database: filepath.Join(folder, "flamenco-manager.sqlite"), Storage: filepath.Join(folder, "flamenco-manager-storage")}
	if err := os.Mkdir(f.Storage, 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.DB, err = sql.Open("sqlite", "file:"+f.Database+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"); err != nil {
		t.Fatal(err)
	}
	f.DB.SetMaxOpenConns(1)
	t.Cleanup(func() { f.DB.Close() })
	f.Exec(Schema)
	return f
}

// Exec runs a statement on the database and returns the row that it inserted.
func (f *Farm) Exec(query string, args ...any) (row int64) {
	f.t.Helper()
	result, err := f.DB.Exec(query, args...)
	if err != nil {
		f.t.Fatalf("%s: %v", query, err)
	}
	row, err = result.LastInsertId()
	if err != nil {
		f.t.Fatal(err)
	}
	return row
}

// ID is a new id for a job, task, worker or tag.
func (f *Farm) ID() string {
	f.ids++
	return fmt.Sprintf("%08x-5eed-4000-8000-%012x", f.ids*7919, f.ids)
}

// At is a time as the old Manager writes it.
func At(after time.Duration) string {
	return Moment.Add(after).Format("2006-01-02 15:04:05.999999999-07:00")
}

// Tag adds a worker tag.
func (f *Farm) Tag(name string) (row int64, id string) {
	id = f.ID()
	return f.Exec("INSERT INTO worker_tags (created_at, updated_at, uuid, name, description) VALUES (?, ?, ?, ?, ?)",
		At(0), At(0), id, name, "the "+name+" ones"), id
}

// Worker adds a worker that runs blender and misc tasks.
func (f *Farm) Worker(name, secret, status string) (row int64, id string) {
	f.t.Helper()
	hash, err := auth.HashSecret(secret)
	if err != nil {
		f.t.Fatal(err)
	}
	id = f.ID()
	return f.Exec(`INSERT INTO workers (created_at, updated_at, uuid, secret, name, address, platform, software, status, last_seen_at, supported_task_types, can_restart)
VALUES (?, ?, ?, ?, ?, '10.0.0.7', 'linux', '3.9', ?, ?, 'Blender, misc', 1)`,
		At(0), At(time.Minute), id, hash, name, status, At(time.Minute)), id
}

// Job adds a job.
func (f *Farm) Job(name, status string) (row int64, id string) {
	f.t.Helper()
	id = f.ID()
	return f.Exec(`INSERT INTO jobs (created_at, updated_at, uuid, name, job_type, priority, status, activity, settings, metadata, storage_shaman_checkout_id, steps_total)
VALUES (?, ?, ?, ?, 'simple-blender-render', 60, ?, 'as it was', '{"frames":"1-10","chunk_size":9007199254740993}', '{"project":"Sprite"}', ?, 20)`,
		At(0), At(time.Hour), id, name, status, name+"-checkout"), id
}

// Task adds a task of ten steps to a job.
func (f *Farm) Task(job int64, index int, taskType, status string) (row int64, id string) {
	f.t.Helper()
	id = f.ID()
	done := 4
	switch status {
	case "completed":
		done = 10
	case "queued":
		done = 0
	}
	return f.Exec(`INSERT INTO tasks (created_at, updated_at, uuid, name, type, job_id, index_in_job, priority, status, last_touched_at, commands, activity, steps_completed, steps_total)
VALUES (?, ?, ?, ?, ?, ?, ?, 50, ?, ?, '[{"name":"echo","parameters":{"message":"hello"},"total_step_count":10}]', 'as it was', ?, 10)`,
		At(0), At(time.Hour), id, fmt.Sprintf("task-%d", index), taskType, job, index, status, At(30*time.Minute), done), id
}

// Depends makes a task wait for another.
func (f *Farm) Depends(task, on int64) {
	f.t.Helper()
	f.Exec("INSERT INTO task_dependencies (task_id, dependency_id) VALUES (?, ?)", task, on)
}

// File writes a file of a job in the local storage.
func (f *Farm) File(jobID, name, text string) {
	f.t.Helper()
	path := filepath.Join(f.Storage, "job-"+jobID[:4], jobID, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// Many adds jobs of many tasks: the first half completed, the rest queued, the last one waiting for all others.
func (f *Farm) Many(jobs, tasks int) {
	f.t.Helper()
	f.Exec("BEGIN")
	for j := range jobs {
		job, _ := f.Job(fmt.Sprintf("job %d", j), "active")
		var rows []int64
		for i := range tasks {
			status := "queued"
			if i < tasks/2 {
				status = "completed"
			}
			row, _ := f.Task(job, i+1, "blender", status)
			rows = append(rows, row)
		}
		for _, row := range rows[:tasks-1] {
			f.Depends(rows[tasks-1], row)
		}
	}
	f.Exec("COMMIT")
}
