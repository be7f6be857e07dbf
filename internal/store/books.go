// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"flamenco.farm/internal/farm"
)

// Rule is something that holds in every database at any moment, with the query for what breaks it, as one column of text.
type Rule struct{ Rule, Exceptions string }

// Books are the rules for what is computed when it is written and believed when it is read.
func Books() []Rule { return append([]Rule(nil), books...) }

var books = []Rule{
	{"a job counts its tasks and their steps", `
WITH c AS (SELECT job_id,
        sum(CASE WHEN status = 'queued' THEN 1 ELSE 0 END) AS queued,
        sum(CASE WHEN status = 'active' THEN 1 ELSE 0 END) AS active,
        sum(CASE WHEN status = 'completed' THEN 1 ELSE 0 END) AS completed,
        sum(CASE WHEN status = 'soft-failed' THEN 1 ELSE 0 END) AS soft_failed,
        sum(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) AS failed,
        sum(CASE WHEN status = 'canceled' THEN 1 ELSE 0 END) AS canceled,
        sum(CASE WHEN status = 'paused' THEN 1 ELSE 0 END) AS paused,
        sum(steps_completed) AS steps, sum(steps_total) AS total
    FROM tasks GROUP BY job_id)
SELECT 'job ' || j.uuid || ' says ' || j.n_queued || '/' || j.n_active || '/' || j.n_completed || '/' || j.n_soft_failed
    || '/' || j.n_failed || '/' || j.n_canceled || '/' || j.n_paused || ' steps ' || j.steps_completed || ' of '
    || j.steps_total || ', its tasks ' || COALESCE(c.queued, 0) || '/' || COALESCE(c.active, 0) || '/'
    || COALESCE(c.completed, 0) || '/' || COALESCE(c.soft_failed, 0) || '/' || COALESCE(c.failed, 0) || '/'
    || COALESCE(c.canceled, 0) || '/' || COALESCE(c.paused, 0) || ' steps ' || COALESCE(c.steps, 0) || ' of '
    || COALESCE(c.total, 0)
FROM jobs j LEFT JOIN c ON c.job_id = j.id
WHERE j.n_queued <> COALESCE(c.queued, 0) OR j.n_active <> COALESCE(c.active, 0)
    OR j.n_completed <> COALESCE(c.completed, 0) OR j.n_soft_failed <> COALESCE(c.soft_failed, 0)
    OR j.n_failed <> COALESCE(c.failed, 0) OR j.n_canceled <> COALESCE(c.canceled, 0)
    OR j.n_paused <> COALESCE(c.paused, 0) OR j.steps_completed <> COALESCE(c.steps, 0)
    OR j.steps_total <> COALESCE(c.total, 0)`},

	{"a task counts its dependencies that are not completed", `
SELECT 'task ' || t.uuid || ' says ' || t.open_deps || ', it has ' || COALESCE(o.n, 0) FROM tasks t
LEFT JOIN (SELECT d.task_id, count(*) AS n FROM task_dependencies d JOIN tasks p ON p.id = d.dependency_id
    WHERE p.status <> 'completed' GROUP BY d.task_id) o ON o.task_id = t.id
WHERE t.open_deps <> COALESCE(o.n, 0)`},

	{"a task knows whether others depend on it", `
SELECT 'task ' || t.uuid || ' is wrong about what depends on it' FROM tasks t
WHERE t.has_dependants <> EXISTS (SELECT 1 FROM task_dependencies d WHERE d.dependency_id = t.id)`},

	{"a task is ready when it waits and nothing is open before it", `
SELECT 'task ' || uuid || ' is ' || status || ' with ' || open_deps || ' open dependencies' FROM tasks
WHERE ready <> (status IN ('queued', 'soft-failed') AND open_deps = 0)`},

	{"job_ready counts the ready tasks of each type", `
SELECT 'job ' || j.uuid || ' type ' || r.task_type || ' says ' || r.ready_count || ', there are ' || COALESCE(c.n, 0)
FROM job_ready r JOIN jobs j ON j.id = r.job_id
LEFT JOIN (SELECT job_id, type, count(*) AS n FROM tasks WHERE ready GROUP BY job_id, type) c
    ON c.job_id = r.job_id AND c.type = r.task_type
WHERE r.ready_count <> COALESCE(c.n, 0)`},

	{"job_ready has a row for each task type of a job", `
SELECT DISTINCT 'job ' || t.job_id || ' type ' || t.type FROM tasks t
WHERE NOT EXISTS (SELECT 1 FROM job_ready r WHERE r.job_id = t.job_id AND r.task_type = t.type)`},

	{"job_ready repeats priority, tag and status of its job, and whether it is to be deleted", `
SELECT 'job ' || j.uuid || ' type ' || r.task_type FROM job_ready r JOIN jobs j ON j.id = r.job_id
WHERE r.priority <> j.priority OR r.runnable <> (j.status IN ('queued', 'active') AND j.delete_requested_at = 0)
    OR COALESCE(r.tag_id, 0) <> COALESCE(j.tag_id, 0)`},

	{"a status is one that there is", `
SELECT 'job ' || uuid || ' is ' || status FROM jobs WHERE status NOT IN (` + quoted(farm.JobStatuses) + `)
UNION ALL SELECT 'task ' || uuid || ' is ' || status FROM tasks WHERE status NOT IN (` + quoted(farm.TaskStatuses) + `)
UNION ALL SELECT 'worker ' || uuid || ' is ' || status FROM workers WHERE status NOT IN (` + quoted(farm.WorkerStatuses) + `)`},
}

// quoted lists values in SQL.
func quoted[S ~string](values []S) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = "'" + string(v) + "'"
	}
	return strings.Join(texts, ", ")
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// checkBooks is an error of farm.CodeInvalid for rows that break a rule.
func checkBooks(ctx context.Context, db queryer) error {
	for _, b := range books {
		found, err := texts(ctx, db, b.Exceptions+" LIMIT 1", 1)
		if err != nil {
			return fmt.Errorf("checking that %s: %w", b.Rule, err)
		}
		if len(found) > 0 {
			return farm.Errorf(farm.CodeInvalid, "the file contradicts itself: %s, but %s", b.Rule, found[0])
		}
	}
	return nil
}
