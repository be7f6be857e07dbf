// SPDX-License-Identifier: GPL-3.0-or-later

package large

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // writes many rows past the store

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func databaseIn(dir string) string { return filepath.Join(dir, "farm.sqlite") }

// newJob is a job of n tasks of a type.
func newJob(name, taskType string, n, priority int) farm.NewJob {
	job := farm.NewJob{
		Name: name, Type: "simple-blender-render", Priority: priority,
		JobSpec: farm.JobSpec{Settings: map[string]any{"frames": "1-100000", "fps": 24}, Metadata: map[string]string{"user": "ada"}, SubmitterPlatform: "linux"},
		Tasks:   make([]farm.NewTask, n),
	}
	for i := range job.Tasks {
		job.Tasks[i] = farm.NewTask{
			Name: fmt.Sprintf("render-%d-%d", i+1, i+1), Type: taskType, Priority: 50,
			Commands: []farm.Command{{Name: "blender-render", TotalStepCount: 1, Parameters: map[string]any{
				"exe": "{blender}", "blendfile": "/farm/jobs/shot/shot.blend", "args": []any{"--render-frame", i + 1},
			}}},
		}
	}
	return job
}

// prepare makes a database with jobs of queued tasks in dir, and returns the ids of the jobs.
func prepare(b *testing.B, dir string, jobs ...farm.NewJob) (ids []string) {
	b.Helper()
	st, err := store.Open(context.Background(), store.Options{
		Database: databaseIn(dir), Durability: store.DurabilityNormal, Log: slog.New(slog.DiscardHandler),
	})
	must(b, err)
	for _, job := range jobs {
		must(b, st.DoAlone(context.Background(), func(tx *store.Tx) error {
			id, err := tx.InsertJob(job)
			ids = append(ids, id)
			return err
		}))
	}
	must(b, st.Close())
	return ids
}

// addFinished copies the first job, of n tasks, so that there are more jobs whose tasks are completed.
func addFinished(b *testing.B, dir string, copies, n int) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+databaseIn(dir)+"?_pragma=synchronous(OFF)&_pragma=journal_mode(WAL)")
	must(b, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	for k := 1; k <= copies; k++ {
		job, first := fmt.Sprint(1_000_000+k), fmt.Sprint(k*10_000_000)
		uuid := fmt.Sprintf("printf('%08x-0000-4000-8000-%%012x', id)", k)
		for _, c := range []struct {
			table, where string
			other        map[string]string
		}{
			{"jobs", "id = 1", map[string]string{"id": job, "uuid": uuid, "status": "'completed'", "n_queued": "0", "n_completed": fmt.Sprint(n)}},
			{"job_specs", "job_id = 1", map[string]string{"job_id": job}},
			{"tasks", "job_id = 1", map[string]string{"id": first + " + id", "uuid": uuid, "job_id": job, "status": "'completed'", "ready": "FALSE", "steps_completed": "1"}},
			{"task_specs", "task_id < 10000000", map[string]string{"task_id": first + " + task_id"}},
		} {
			_, err := db.ExecContext(context.Background(), copyOf(b, db, c.table, c.where, c.other))
			must(b, err)
		}
	}
}

// copyOf is the statement that copies rows of a table with other values in some columns.
func copyOf(b *testing.B, db *sql.DB, table, where string, other map[string]string) string {
	b.Helper()
	rows, err := db.QueryContext(context.Background(), "SELECT name FROM pragma_table_info('"+table+"')")
	must(b, err)
	defer rows.Close()
	var into, values []string
	for rows.Next() {
		var column string
		must(b, rows.Scan(&column))
		into = append(into, column)
		if value, ok := other[column]; ok {
			column = value
		}
		values = append(values, column)
	}
	must(b, rows.Err())
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s", table, strings.Join(into, ", "), strings.Join(values, ", "), table, where)
}

// block puts a Worker on the blocklist of a job.
func block(b *testing.B, dir, jobID, workerID, taskType string) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+databaseIn(dir)+"?_pragma=busy_timeout(5000)")
	must(b, err)
	defer db.Close()
	_, err = db.ExecContext(context.Background(), `INSERT INTO job_blocks (job_id, worker_id, task_type, created_at)
SELECT j.id, w.id, $3, 1 FROM jobs j, workers w WHERE j.uuid = $1 AND w.uuid = $2`, jobID, workerID, taskType)
	must(b, err)
}
