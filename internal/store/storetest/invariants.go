// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"flamenco.farm/internal/store"
)

// CheckInvariants recomputes from the rows of an SQLite database all that the store computes on write, and what must
// hold of attempts and histories, and fails the test for each thing that is wrong. The database may be open elsewhere.
func CheckInvariants(t testing.TB, path string) {
	t.Helper()
	check(t, NewChecker(lookAt(t, path)))
}

func check(t TB, c *Checker) {
	t.Helper()
	violations, err := c.Violations(context.Background())
	if err != nil {
		t.Fatalf("looking at the database: %v", err)
	}
	for _, v := range violations {
		t.Errorf("%s", v)
	}
}

// Checker is CheckInvariants for any database, and for tests that check it often: it parses its queries once.
type Checker struct {
	db    *sql.DB
	stmts []*sql.Stmt
}

// NewChecker makes a Checker of a database, which is read only. The statements are closed with the database.
func NewChecker(db *sql.DB) *Checker { return &Checker{db: db} }

func (c *Checker) prepare(ctx context.Context) error {
	for len(c.stmts) < len(invariants) {
		i := invariants[len(c.stmts)]
		s, err := c.db.PrepareContext(ctx, i.exceptions+" LIMIT 5") //nolint:sqlclosecheck // closed with the database
		if err != nil {
			return fmt.Errorf("%s: %w", i.rule, err)
		}
		c.stmts = append(c.stmts, s)
	}
	return nil
}

// Violations tells what is wrong in the database at one moment.
func (c *Checker) Violations(ctx context.Context) (violations []string, err error) {
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	for n, i := range invariants {
		found, err := ask(ctx, tx.StmtContext(ctx, c.stmts[n]))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.rule, err)
		}
		for _, f := range found {
			violations = append(violations, fmt.Sprintf("broken: %s: %s", i.rule, f))
		}
	}
	return violations, nil
}

func ask(ctx context.Context, s *sql.Stmt) (found []string, err error) {
	rows, err := s.QueryContext(ctx)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, rows.Err()
}

// rule is something that holds at any moment, with the query for what breaks it, as one column of text.
type rule struct{ rule, exceptions string }

// invariants are the rules for the books, which an import checks as well, and those for histories.
var invariants = func() []rule {
	all := histories
	for _, r := range store.Books() {
		all = append(all, rule{r.Rule, r.Exceptions})
	}
	return all
}()

var histories = []rule{
	{"a lock is held by the present run of an operation that runs", `
SELECT 'lock ' || l.name || ' epoch ' || l.epoch FROM locks l LEFT JOIN operations o ON o.uuid = l.owner
WHERE o.id IS NULL OR o.status <> 'running' OR o.runs <> l.epoch`},

	{"an operation has ended when its status says so", `
SELECT 'operation ' || uuid || ' is ' || status FROM operations
WHERE (ended_at > 0) <> (status IN ('completed', 'failed', 'canceled')) OR (status = 'running' AND runs = 0)`},

	{"a history is that of something that exists", `
SELECT what || ' ' || object_id FROM status_changes c
WHERE (what = 'job' AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = c.object_id))
    OR (what = 'task' AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = c.object_id))`},

	{"a failure repeats the job of its task", `
SELECT 'task ' || t.uuid FROM task_failures f JOIN tasks t ON t.id = f.task_id WHERE f.job_id <> t.job_id`},

	{"a task has one open attempt, that of its assignment, when it is active, and none otherwise", `
SELECT 'task ' || t.uuid || ' is ' || t.status || ' with ' || count(a.id) || ' open attempts' FROM tasks t
LEFT JOIN attempts a ON a.task_id = t.id AND a.ended_at = 0
GROUP BY t.id, t.uuid, t.status
HAVING count(a.id) <> CASE WHEN t.status = 'active' THEN 1 ELSE 0 END`},

	{"an open attempt is the last one of its task", `
SELECT 'task ' || t.uuid || ' generation ' || a.generation FROM attempts a JOIN tasks t ON t.id = a.task_id
WHERE a.ended_at = 0 AND (a.generation <> t.generation OR a.assignment <> t.assignment OR a.slot <> t.slot
    OR a.worker_id <> COALESCE(t.worker_id, 0))`},

	{"a task was handed out as often as its generation says", `
SELECT 'task ' || t.uuid || ' generation ' || t.generation FROM tasks t
LEFT JOIN (SELECT task_id, count(*) AS n, max(generation) AS last FROM attempts GROUP BY task_id) a ON a.task_id = t.id
WHERE t.generation <> COALESCE(a.n, 0) OR t.generation <> COALESCE(a.last, 0)`},

	{"an attempt has an outcome when it has ended", `
SELECT 'attempt ' || assignment || ' outcome ' || outcome FROM attempts WHERE (ended_at = 0) <> (outcome = '')`},

	{"an attempt that has ended has no open command", `
SELECT 'attempt ' || a.assignment || ' command ' || s.command_index FROM attempt_steps s
JOIN attempts a ON a.id = s.attempt_id WHERE a.ended_at > 0 AND s.ended_at = 0`},

	{"the history of a job ends with its status", `
SELECT 'job ' || j.uuid || ' is ' || j.status || ', its history says ' || COALESCE(c.to_status, 'nothing') FROM jobs j
LEFT JOIN status_changes c
    ON c.id = (SELECT max(l.id) FROM status_changes l WHERE l.what = 'job' AND l.object_id = j.id)
WHERE COALESCE(c.to_status, '') <> j.status`},

	{"the history of a task ends with its status", `
SELECT 'task ' || t.uuid || ' is ' || t.status || ', its history says ' || COALESCE(c.to_status, 'nothing') FROM tasks t
LEFT JOIN status_changes c
    ON c.id = (SELECT max(l.id) FROM status_changes l WHERE l.what = 'task' AND l.object_id = t.id)
WHERE COALESCE(c.to_status, 'queued') <> t.status`},

	{"the history of a worker ends with its status", `
SELECT 'worker ' || w.uuid || ' is ' || w.status || ', its history says ' || c.to_status FROM workers w
JOIN status_changes c ON c.id = (SELECT max(l.id) FROM status_changes l WHERE l.what = 'worker' AND l.object_id = w.id)
WHERE c.to_status <> w.status`},

	{"each line of a history goes on where the one before it ended", `
SELECT what || ' ' || object_id || ' became ' || before || ', then went from ' || from_status || ' to ' || to_status
FROM (SELECT what, object_id, from_status, to_status, lag(to_status) OVER (PARTITION BY what, object_id ORDER BY id) AS before
    FROM status_changes) h
WHERE before <> from_status OR from_status = to_status`},
}
