// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/testkit/postgres"
)

// The same Managers, Workers and checks, with claims that look for a task and then take it, as is natural to write and right
// with one Manager: the checks must find out.
func TestTheSameChecksFindANaiveClaim(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t, "fsync=off", "synchronous_commit=off")
	s := newSite(t, seedOf(t), 3, server)
	db, err := sql.Open("pgx", s.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s.front = func(address string) string { return naiveFront(t, address, db) }
	if err := s.submit(t.Context(), s.client(), tasksPerJob); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var late, workers sync.WaitGroup
	s.simulate(ctx, &late, &workers)
	for ctx.Err() == nil && !s.ranTwice() {
		_ = pause(ctx, 200*time.Millisecond)
	}
	stop()
	workers.Wait()
	late.Wait()
	found := strings.Join(s.record.check(s.end(), nil), "\n")
	if !strings.Contains(found, "it ran twice at once") {
		t.Error("no task was found that ran twice at once")
	}
	broken, err := storetest.NewChecker(storetest.LookAtPostgres(t, s.database)).Violations(t.Context())
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(strings.Join(broken, "\n"), "a task has one open attempt") {
		t.Errorf("what is broken in the database was not found: %s", broken)
	}
}

// ranTwice reports whether enough went on for the checks to find something.
func (s *site) ranTwice() bool {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	assignments := map[string]map[string]bool{}
	doubled := 0
	for _, r := range s.record.runs {
		if assignments[r.Task] == nil {
			assignments[r.Task] = map[string]bool{}
		}
		assignments[r.Task][r.Assignment] = true
		if len(assignments[r.Task]) > 1 {
			doubled++
		}
	}
	return doubled > 20
}

// naiveFront stands before a Manager and answers requests for tasks itself.
func naiveFront(t *testing.T, address string, db *sql.DB) string {
	t.Helper()
	manager := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	manager.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v3/worker/task" {
			manager.ServeHTTP(w, r)
			return
		}
		worker, _, _ := r.BasicAuth()
		slot, _ := strconv.Atoi(r.Header.Get("X-Flamenco-Slot"))
		task, err := naiveClaim(r.Context(), db, worker, r.Header.Get("X-Flamenco-Session"), slot)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			w.WriteHeader(http.StatusNoContent)
		case err != nil:
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("X-Flamenco-Assignment", task.assignment)
			w.Header().Set("X-Flamenco-On-Disconnect", task.onDisconnect)
			_ = json.NewEncoder(w).Encode(map[string]string{"uuid": task.uuid})
		}
	}))
	t.Cleanup(front.Close)
	return strings.TrimPrefix(front.URL, "http://")
}

type naiveTask struct{ uuid, assignment, onDisconnect string }

// naiveClaim is a claim in which nothing is locked before it is read, nor looked at again when it is written.
func naiveClaim(ctx context.Context, db *sql.DB, worker, session string, slot int) (task naiveTask, err error) {
	tx, err := db.BeginTx(ctx, nil) // read committed
	if err != nil {
		return task, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	var workerID, id, job, generation int64
	var kind, was string
	if err := tx.QueryRowContext(ctx, "SELECT id FROM workers WHERE uuid = $1", worker).Scan(&workerID); err != nil {
		return task, err
	}
	err = tx.QueryRowContext(ctx, "SELECT uuid, assignment, on_disconnect FROM tasks WHERE worker_id = $1 AND slot = $2 AND status = 'active'",
		workerID, slot).Scan(&task.uuid, &task.assignment, &task.onDisconnect)
	if !errors.Is(err, sql.ErrNoRows) {
		return task, err // it has one already
	}
	task.assignment = uuid.NewString()
	err = tx.QueryRowContext(ctx, "SELECT id, uuid, job_id, type, status, on_disconnect FROM tasks WHERE ready ORDER BY job_id, index_in_job LIMIT 1").
		Scan(&id, &task.uuid, &job, &kind, &was, &task.onDisconnect)
	if err != nil {
		return task, err
	}
	now := time.Now().UnixMicro()
	err = tx.QueryRowContext(ctx, `UPDATE tasks SET status = 'active', ready = FALSE, worker_id = $2, slot = $3, assignment = $4,
    generation = generation + 1, last_sequence = 0, log_size = 0, touched_at = $5 WHERE id = $1 RETURNING generation`,
		id, workerID, slot, task.assignment, now).Scan(&generation)
	if err != nil {
		return task, err
	}
	for _, s := range []struct {
		statement string
		args      []any
	}{
		{`INSERT INTO attempts (task_id, generation, assignment, worker_id, session, slot, started_at, ended_at, outcome, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', '')`, []any{id, generation, task.assignment, workerID, session, slot, now}},
		{`INSERT INTO status_changes (what, object_id, job_id, from_status, to_status, changed_at, who, reason)
VALUES ('task', $1, $2, $3, 'active', $4, 'naive', '')`, []any{id, job, was, now}},
		{"UPDATE jobs SET n_queued = n_queued - 1, n_active = n_active + 1 WHERE id = $1", []any{job}},
		{"UPDATE job_ready SET ready_count = ready_count - 1 WHERE job_id = $1 AND task_type = $2", []any{job, kind}},
	} {
		if _, err := tx.ExecContext(ctx, s.statement, s.args...); err != nil {
			return task, err
		}
	}
	return task, tx.Commit()
}
