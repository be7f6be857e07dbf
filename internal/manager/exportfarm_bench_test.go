// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"bufio"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/export"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// millionTasks are jobs of 1,000 completed tasks with all their history, made by the database itself.
var millionTasks = []string{
	`CREATE TEMP TABLE n AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 1000000) SELECT i FROM r`,
	`INSERT INTO workers SELECT i, printf('10000000-0000-4000-8000-%012x', i), 'hash', 'w' || i, '10.0.0.1', 'linux', '4.0.0', 'awake', '', FALSE,
    FALSE, '', 0, 0, 0, 0, 1 FROM n WHERE i <= 50`,
	`INSERT INTO jobs (id, uuid, project_id, name, type, priority, status, activity, tag_id, requeue_completed, n_queued, n_active,
    n_completed, n_soft_failed, n_failed, n_canceled, n_paused, steps_completed, steps_total, created_at, updated_at, delete_requested_at,
    logs_state, ended_at, revision) SELECT i, printf('20000000-0000-4000-8000-%012x', i), 1, 'job ' || i, 'simple-blender-render', 50, 'completed', 'done', NULL, FALSE,
    0, 0, 1000, 0, 0, 0, 0, 2000, 2000, 0, 0, 0, 0, 1, 1 FROM n WHERE i <= 1000`,
	`INSERT INTO job_specs SELECT i, '{"frames":"1-1000"}', '{"project":"x"}', '', 'linux' FROM n WHERE i <= 1000`,
	`INSERT INTO job_ready SELECT i, 'blender', NULL, 50, FALSE, 0 FROM n WHERE i <= 1000`,
	`INSERT INTO tasks (id, uuid, job_id, index_in_job, name, type, status, priority, activity, open_deps, ready, has_dependants, worker_id, slot,
    assignment, generation, on_disconnect, last_sequence, log_size, steps_completed, steps_total, lost, created_at, updated_at, touched_at,
    revision) SELECT i, printf('30000000-0000-4000-8000-%012x', i), (i - 1) / 1000 + 1, (i - 1) % 1000, 'render-' || i, 'blender', 'completed',
    50, 'frame ' || i || ' is rendered', 0, FALSE, FALSE, i % 50 + 1, 0, printf('40000000-0000-4000-8000-%012x', i), 1, 'keep', 7, 2048, 2, 2, 0, i, i, i, 5 FROM n`,
	`INSERT INTO task_specs SELECT i, '[{"name":"blender-render","parameters":{"exe":"{blender}","blendfile":"/render/shot.blend","args":["--render-output","/render/out/######","--render-frame","' || i || '"]},"total_step_count":2}]' FROM n`,
	`INSERT INTO attempts SELECT i, i, 1, printf('40000000-0000-4000-8000-%012x', i), i % 50 + 1, 'session', 0, i, i + 1, 'completed', '', 0 FROM n`,
	`INSERT INTO attempt_steps SELECT i, 0, 'blender-render', i, i + 1, 0 FROM n`,
	`INSERT INTO status_changes SELECT 2 * i, 'task', i, (i - 1) / 1000 + 1, 'queued', 'active', i, 'worker:x', 'claimed' FROM n`,
	`INSERT INTO status_changes SELECT 2 * i + 1, 'task', i, (i - 1) / 1000 + 1, 'active', 'completed', i, 'worker:x', 'reported' FROM n`,
	`INSERT INTO status_changes SELECT 3000000 + i, 'job', i, i, '', 'completed', i, 'user', '' FROM n WHERE i <= 1000`,
}

// BenchmarkExportAndImportOfAMillionTasks prints how long each takes, how large the file is, how long writers had to
// wait, and the most memory that the process ever had. Run it with -benchtime 1x.
func BenchmarkExportAndImportOfAMillionTasks(b *testing.B) {
	folder := b.TempDir()
	open := func(name string) *store.Store {
		st, err := store.Open(b.Context(), store.Options{Database: filepath.Join(folder, name), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = st.Close() })
		return st
	}
	from := open("from.sqlite")
	fillWithSQL(b, filepath.Join(folder, "from.sqlite"))
	path := filepath.Join(folder, "export")
	for b.Loop() {
		start := time.Now()
		file, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		buffered := bufio.NewWriter(file)
		var w *export.Writer
		err = from.Export(b.Context(), func(info store.ExportInfo) (_ store.RowSink, err error) {
			w, err = export.NewWriter(buffered, export.Header{Schema: info.Schema})
			return w, err
		})
		for _, end := range []func() error{w.Close, buffered.Flush, file.Close} {
			if err == nil {
				err = end()
			}
		}
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/export")
		b.ReportMetric(peakMemory(), "MB-peak/export")
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB-file")
		b.ReportMetric(float64(w.Rows()), "rows")

		to := open(fmt.Sprintf("to-%d.sqlite", b.N))
		start = time.Now()
		var replacing time.Time
		if file, err = os.Open(path); err != nil {
			b.Fatal(err)
		}
		r, err := export.NewReader(bufio.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		err = to.Import(b.Context(), store.Import{
			Schema: r.Header().Schema, Rows: r, Allow: func(*store.Tx) error { replacing = time.Now(); return nil },
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/import")
		b.ReportMetric(time.Since(replacing).Seconds(), "s-writers-wait")
		b.ReportMetric(peakMemory(), "MB-peak")
		r.Close()
		file.Close()
		storetest.CheckInvariants(b, filepath.Join(folder, fmt.Sprintf("to-%d.sqlite", b.N)))
	}
}

func fillWithSQL(b *testing.B, path string) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-100000)")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, statement := range millionTasks {
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// peakMemory is the most memory that this process ever had, in MB; 0 where nobody knows.
func peakMemory() float64 {
	text, _ := os.ReadFile("/proc/self/status") // it is there on Linux only
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}
