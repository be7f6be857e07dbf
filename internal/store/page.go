// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// MaxPage is the largest page of a list.
const MaxPage = 1000

// Page says which part of a list to return. The zero Page is the whole list in the order of creation.
type Page struct {
	Limit   int      // 0 = everything
	After   string   // the cursor that the page before ended with
	OrderBy []string // field names, a leading "-" for descending
	Search  string   // part of the name, upper and lower case alike
}

// JobList selects jobs.
type JobList struct {
	Page
	StatusIn []farm.JobStatus
}

// TaskList selects tasks of a job.
type TaskList struct {
	Page
	JobID    string
	StatusIn []farm.TaskStatus
}

// WorkerList selects workers.
type WorkerList struct {
	Page
	StatusIn []farm.WorkerStatus
}

// list is what can be asked of one kind of thing: its rows, and the columns that may be sorted by.
type list struct {
	selects string
	where   []string
	id      string
	name    string
	sort    map[string]string
}

var (
	jobLists = list{
		selects: jobColumns + ` FROM jobs j JOIN projects p ON p.id = j.project_id LEFT JOIN tags t ON t.id = j.tag_id`,
		id:      "j.id", name: "j.name",
		sort: map[string]string{
			"name": "j.name", "type": "j.type", "status": "j.status", "priority": "j.priority",
			"created": "j.created_at", "updated": "j.updated_at",
		},
	}
	taskLists = list{
		selects: taskColumns + ` FROM tasks t JOIN jobs j ON j.id = t.job_id LEFT JOIN workers w ON w.id = t.worker_id`,
		id:      "t.id", name: "t.name",
		sort: map[string]string{
			"index_in_job": "t.index_in_job", "name": "t.name", "type": "t.type", "status": "t.status",
			"priority": "t.priority", "updated": "t.updated_at",
		},
	}
	workerLists = list{
		selects: workerColumns + ` FROM workers w`, where: []string{"w.deleted_at = 0"}, id: "w.id", name: "w.name",
		sort: map[string]string{"name": "w.name", "status": "w.status", "last_seen": "w.last_seen_at"},
	}
)

const (
	jobColumns = `j.id, j.uuid, j.name, j.type, j.priority, j.status, j.activity, j.n_queued, j.n_active, j.n_completed,
    j.n_soft_failed, j.n_failed, j.n_canceled, j.n_paused, j.steps_completed, j.steps_total, j.created_at, j.updated_at,
    j.delete_requested_at, j.revision, p.uuid, COALESCE(t.uuid, '')`
	taskColumns = `t.id, t.uuid, t.index_in_job, t.name, t.type, t.status, t.priority, t.activity, t.steps_completed,
    t.steps_total, t.lost, t.generation, t.created_at, t.updated_at, t.touched_at, t.revision, j.uuid,
    COALESCE(w.uuid, ''), COALESCE(w.name, ''), COALESCE(w.address, '')`
	workerColumns = `w.id, w.uuid, w.name, w.address, w.platform, w.software, w.status, w.status_requested, w.lazy_request,
    w.can_restart, w.session, w.last_seen_at, w.created_at, w.updated_at, w.revision`
)

// Jobs lists jobs; next is the cursor for the page behind, "" when this was the last.
func (s *Store) Jobs(ctx context.Context, l JobList) (jobs []farm.Job, next string, err error) {
	q := jobLists.query(l.Page)
	q.statusIn("j.status", asStrings(l.StatusIn))
	next, err = q.run(ctx, s.read, func(scan func(...any) error) error {
		var j query.Job
		var project, tag string
		err := scan(&j.ID, &j.Uuid, &j.Name, &j.Type, &j.Priority, &j.Status, &j.Activity, &j.NQueued, &j.NActive,
			&j.NCompleted, &j.NSoftFailed, &j.NFailed, &j.NCanceled, &j.NPaused, &j.StepsCompleted, &j.StepsTotal,
			&j.CreatedAt, &j.UpdatedAt, &j.DeleteRequestedAt, &j.Revision, &project, &tag)
		jobs = append(jobs, farmJob(j, project, tag))
		return err
	})
	if next != "" {
		jobs = jobs[:l.Limit]
	}
	return jobs, next, err
}

// Tasks lists tasks of a job; next is the cursor for the page behind, "" when this was the last.
func (s *Store) Tasks(ctx context.Context, l TaskList) (tasks []farm.Task, next string, err error) {
	if len(l.OrderBy) == 0 {
		l.OrderBy = []string{"index_in_job"}
	}
	q := taskLists.query(l.Page)
	q.filter("t.job_id = (SELECT id FROM jobs WHERE uuid = " + q.arg(l.JobID) + ")")
	q.statusIn("t.status", asStrings(l.StatusIn))
	next, err = q.run(ctx, s.read, func(scan func(...any) error) error {
		var r query.TaskByUUIDRow
		t := &r.Task
		err := scan(&t.ID, &t.Uuid, &t.IndexInJob, &t.Name, &t.Type, &t.Status, &t.Priority, &t.Activity,
			&t.StepsCompleted, &t.StepsTotal, &t.Lost, &t.Generation, &t.CreatedAt, &t.UpdatedAt, &t.TouchedAt,
			&t.Revision, &r.JobUuid, &r.WorkerUuid, &r.WorkerName, &r.WorkerAddress)
		tasks = append(tasks, farmTask(r))
		return err
	})
	if next != "" {
		tasks = tasks[:l.Limit]
	}
	return tasks, next, err
}

// Workers lists workers that are not deleted, with their task types and tags; next is the cursor for the page behind.
func (s *Store) Workers(ctx context.Context, l WorkerList) (workers []farm.Worker, next string, err error) {
	at := map[int64]int{}
	q := workerLists.query(l.Page)
	q.statusIn("w.status", asStrings(l.StatusIn))
	next, err = q.run(ctx, s.read, func(scan func(...any) error) error {
		var w query.Worker
		err := scan(&w.ID, &w.Uuid, &w.Name, &w.Address, &w.Platform, &w.Software, &w.Status, &w.StatusRequested,
			&w.LazyRequest, &w.CanRestart, &w.Session, &w.LastSeenAt, &w.CreatedAt, &w.UpdatedAt, &w.Revision)
		at[w.ID] = len(workers)
		workers = append(workers, farmWorker(w))
		return err
	})
	if err == nil {
		err = s.addWorkerLists(ctx, workers, at)
	}
	if next != "" {
		workers = workers[:l.Limit]
	}
	return workers, next, err
}

// JobSpecs are what the jobs were submitted with, by job id.
func (s *Store) JobSpecs(ctx context.Context, ids []string) (map[string]farm.JobSpec, error) {
	specs := make(map[string]farm.JobSpec, len(ids))
	for chunk := range slices.Chunk(ids, MaxPage) {
		if err := s.addSpecs(ctx, specs, chunk); err != nil {
			return nil, wrap(err)
		}
	}
	return specs, nil
}

func (s *Store) addSpecs(ctx context.Context, specs map[string]farm.JobSpec, ids []string) (err error) {
	ctx, end := limited(ctx)
	defer end(&err)
	q := pageQuery{}
	marks := make([]string, len(ids))
	for i, id := range ids {
		marks[i] = q.arg(id)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT j.uuid, s.settings, s.metadata, s.shaman_checkout_id, s.submitter_platform
FROM job_specs s JOIN jobs j ON j.id = s.job_id WHERE j.uuid IN (`+strings.Join(marks, ",")+`)`, q.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var r query.JobSpec
		if err := rows.Scan(&id, &r.Settings, &r.Metadata, &r.ShamanCheckoutID, &r.SubmitterPlatform); err != nil {
			return err
		}
		if specs[id], err = farmJobSpec(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// pageQuery is one SELECT under construction. Sorting columns come from an allow-list, values are always arguments.
type pageQuery struct {
	list  list
	page  Page
	where []string
	args  []any
	err   error
}

type sortKey struct {
	field, column string
	descending    bool
}

func (l list) query(p Page) *pageQuery {
	q := &pageQuery{list: l, page: p, where: slices.Clone(l.where)}
	if p.Limit < 0 || p.Limit > MaxPage {
		q.err = farm.Errorf(farm.CodeInvalid, "limit: %d is not between 1 and %d", p.Limit, MaxPage)
	}
	if p.Search != "" {
		// Both sides go through the database's lower: SQLite's leaves letters outside ASCII as they are.
		pattern := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(p.Search)
		q.filter("lower(" + l.name + ") LIKE lower(" + q.arg("%"+pattern+"%") + `) ESCAPE '\'`)
	}
	return q
}

func (q *pageQuery) filter(condition string) { q.where = append(q.where, condition) }

func (q *pageQuery) arg(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

func (q *pageQuery) statusIn(column string, statuses []string) {
	if len(statuses) == 0 {
		return
	}
	marks := make([]string, len(statuses))
	for i, s := range statuses {
		marks[i] = q.arg(s)
	}
	q.filter(column + " IN (" + strings.Join(marks, ",") + ")")
}

func (q *pageQuery) keys() ([]sortKey, error) {
	var keys []sortKey
	for _, field := range q.page.OrderBy {
		name, descending := strings.CutPrefix(field, "-")
		column, ok := q.list.sort[name]
		if !ok {
			known := slices.Sorted(maps.Keys(q.list.sort))
			return nil, farm.Errorf(farm.CodeInvalid, "order_by: cannot sort by %q, only by %s", name, strings.Join(known, ", "))
		}
		if !slices.ContainsFunc(keys, func(k sortKey) bool { return k.column == column }) { // a second time sorts nothing
			keys = append(keys, sortKey{name, column, descending})
		}
	}
	return append(keys, sortKey{"id", q.list.id, false}), nil
}

// run sends the query and hands each row to each. With a limit it asks for one row more, to know whether there is a
// page behind; the sort keys of the last row that is shown become the cursor.
func (q *pageQuery) run(ctx context.Context, db *sql.DB, each func(scan func(...any) error) error) (next string, err error) {
	ctx, end := limited(ctx)
	defer end(&err)
	keys, err := q.keys()
	if err == nil {
		err = q.err
	}
	if err == nil {
		err = q.startBehind(keys)
	}
	if err != nil {
		return "", err
	}
	rows, err := db.QueryContext(ctx, q.text(keys), q.args...)
	if err != nil {
		return "", wrap(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		cursor := make([]any, len(keys))
		err := each(func(dest ...any) error {
			for i := range cursor {
				dest = append(dest, &cursor[i])
			}
			return rows.Scan(dest...)
		})
		if err != nil {
			return "", wrap(err)
		}
		if n++; n == q.page.Limit {
			if next, err = encodeCursor(append([]any{orderBy(keys)}, cursor...)); err != nil {
				return "", err
			}
		}
	}
	if n <= q.page.Limit {
		next = ""
	}
	return next, wrap(rows.Err())
}

func (q *pageQuery) text(keys []sortKey) string {
	var sql strings.Builder
	columns, from, _ := strings.Cut(q.list.selects, " FROM ")
	sql.WriteString("SELECT " + columns)
	for _, k := range keys {
		sql.WriteString(", " + k.column)
	}
	sql.WriteString(" FROM " + from)
	if len(q.where) > 0 {
		sql.WriteString(" WHERE " + strings.Join(q.where, " AND "))
	}
	sql.WriteString(" ORDER BY " + orderBy(keys))
	if q.page.Limit > 0 {
		sql.WriteString(" LIMIT " + q.arg(q.page.Limit+1))
	}
	return sql.String()
}

func orderBy(keys []sortKey) string {
	order := make([]string, len(keys))
	for i, k := range keys {
		order[i] = k.column
		if k.descending {
			order[i] += " DESC"
		}
	}
	return strings.Join(order, ", ")
}

// startBehind adds the condition that skips everything up to the cursor: keys may differ in direction, so it is spelt
// out key by key instead of as a row value.
func (q *pageQuery) startBehind(keys []sortKey) error {
	if q.page.After == "" {
		return nil
	}
	values, err := decodeCursor(q.page.After)
	if err != nil || len(values) != 1+len(keys) || values[0] != orderBy(keys) {
		return farm.Errorf(farm.CodeInvalid, "after: not a cursor of this list and order")
	}
	values = values[1:]
	marks := make([]string, len(keys))
	for i, v := range values {
		marks[i] = q.arg(v)
	}
	alternatives := make([]string, len(keys))
	for i, k := range keys {
		var parts []string
		for j := range i {
			parts = append(parts, keys[j].column+" = "+marks[j])
		}
		sign := " > "
		if k.descending {
			sign = " < "
		}
		alternatives[i] = "(" + strings.Join(append(parts, k.column+sign+marks[i]), " AND ") + ")"
	}
	q.filter("(" + strings.Join(alternatives, " OR ") + ")")
	return nil
}

func encodeCursor(values []any) (string, error) {
	data, err := json.Marshal(values)
	return base64.RawURLEncoding.EncodeToString(data), err
}

func decodeCursor(cursor string) ([]any, error) {
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, err
	}
	var values []any
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		return nil, err
	}
	for i, v := range values {
		switch v := v.(type) {
		case json.Number:
			if values[i], err = v.Int64(); err != nil {
				return nil, err
			}
		case string:
		default:
			return nil, fmt.Errorf("a cursor cannot hold %T", v)
		}
	}
	return values, nil
}

func asStrings[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}
