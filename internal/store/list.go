// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"strings"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// How many rows of a list are read at once. Jobs come with their settings, which may be large.
const (
	partRows    = MaxPage
	partJobRows = 100
)

// list is what can be asked of one kind of thing. It is found, filtered and sorted by columns of one table.
type list struct {
	from     string // the table
	where    []string
	id, name string
	sort     map[string]string
	rows     string // the columns of a row, the first one being its id, and the tables that they come from
}

// listOf is a list and how its rows are read.
type listOf[T any] struct {
	list
	part int // how many rows are read at once
	row  func() rowOf[T]
}

// rowOf has room for one row after the other.
type rowOf[T any] struct {
	columns []any // where they go
	item    func() (id int64, item T, err error)
}

// ListedJob is a job with what it was submitted with.
type ListedJob struct {
	farm.Job
	farm.JobSpec
}

var jobLists = listOf[ListedJob]{
	part: partJobRows,
	list: list{
		from: "jobs j", id: "j.id", name: "j.name",
		sort: map[string]string{
			"name": "j.name", "type": "j.type", "status": "j.status", "priority": "j.priority",
			"created": "j.created_at", "updated": "j.updated_at",
		},
		rows: jobColumns + `, s.settings, s.metadata, s.shaman_checkout_id, s.submitter_platform` + jobTables +
			` JOIN job_specs s ON s.job_id = j.id`,
	},
	row: func() rowOf[ListedJob] {
		job, s := jobRow(), new(query.JobSpec)
		return rowOf[ListedJob]{
			append(job.columns, &s.Settings, &s.Metadata, &s.ShamanCheckoutID, &s.SubmitterPlatform),
			func() (int64, ListedJob, error) {
				id, job, _ := job.item()
				spec, err := farmJobSpec(*s)
				return id, ListedJob{job, spec}, err
			},
		}
	},
}

// bareJobs are jobs without what they were submitted with.
var bareJobs = listOf[farm.Job]{
	list: list{rows: jobColumns + jobTables},
	row:  jobRow,
}

const (
	jobColumns = `j.id, j.uuid, j.name, j.type, j.priority, j.status, j.activity, j.n_queued, j.n_active, j.n_completed,
    j.n_soft_failed, j.n_failed, j.n_canceled, j.n_paused, j.steps_completed, j.steps_total, j.created_at, j.updated_at,
    j.delete_requested_at, j.revision, p.uuid, COALESCE(t.uuid, '')`
	jobTables = `
FROM jobs j JOIN projects p ON p.id = j.project_id LEFT JOIN tags t ON t.id = j.tag_id`
)

// jobRow is a row of jobColumns.
func jobRow() rowOf[farm.Job] {
	var r struct {
		query.Job
		project, tag string
	}
	j := &r.Job
	return rowOf[farm.Job]{
		[]any{
			&j.ID, &j.Uuid, &j.Name, &j.Type, &j.Priority, &j.Status, &j.Activity, &j.NQueued, &j.NActive,
			&j.NCompleted, &j.NSoftFailed, &j.NFailed, &j.NCanceled, &j.NPaused, &j.StepsCompleted, &j.StepsTotal,
			&j.CreatedAt, &j.UpdatedAt, &j.DeleteRequestedAt, &j.Revision, &r.project, &r.tag,
		},
		func() (int64, farm.Job, error) { return j.ID, farmJob(*j, r.project, r.tag), nil },
	}
}

var taskLists = listOf[farm.Task]{
	part: partRows,
	list: list{
		from: "tasks t", id: "t.id", name: "t.name",
		sort: map[string]string{
			"index_in_job": "t.index_in_job", "name": "t.name", "type": "t.type", "status": "t.status",
			"priority": "t.priority", "updated": "t.updated_at",
		},
		rows: `t.id, t.uuid, t.index_in_job, t.name, t.type, t.status, t.priority, t.activity, t.steps_completed,
    t.steps_total, t.lost, t.generation, t.created_at, t.updated_at, t.touched_at, t.revision, j.uuid,
    COALESCE(w.uuid, ''), COALESCE(w.name, ''), COALESCE(w.address, '')
FROM tasks t JOIN jobs j ON j.id = t.job_id LEFT JOIN workers w ON w.id = t.worker_id`,
	},
	row: func() rowOf[farm.Task] {
		r := new(query.TaskByUUIDRow)
		t := &r.Task
		return rowOf[farm.Task]{
			[]any{
				&t.ID, &t.Uuid, &t.IndexInJob, &t.Name, &t.Type, &t.Status, &t.Priority, &t.Activity,
				&t.StepsCompleted, &t.StepsTotal, &t.Lost, &t.Generation, &t.CreatedAt, &t.UpdatedAt, &t.TouchedAt,
				&t.Revision, &r.JobUuid, &r.WorkerUuid, &r.WorkerName, &r.WorkerAddress,
			},
			func() (int64, farm.Task, error) { return t.ID, farmTask(*r), nil },
		}
	},
}

var workerLists = listOf[farm.Worker]{
	part: partRows,
	list: list{
		from: "workers w", where: []string{"w.deleted_at = 0"}, id: "w.id", name: "w.name",
		sort: map[string]string{"name": "w.name", "status": "w.status", "last_seen": "w.last_seen_at"},
		rows: `w.id, w.uuid, w.name, w.address, w.platform, w.software, w.status, w.status_requested, w.lazy_request,
    w.can_restart, w.session, w.last_seen_at, w.created_at, w.updated_at, w.revision FROM workers w`,
	},
	row: func() rowOf[farm.Worker] {
		w := new(query.Worker)
		return rowOf[farm.Worker]{
			[]any{
				&w.ID, &w.Uuid, &w.Name, &w.Address, &w.Platform, &w.Software, &w.Status, &w.StatusRequested,
				&w.LazyRequest, &w.CanRestart, &w.Session, &w.LastSeenAt, &w.CreatedAt, &w.UpdatedAt, &w.Revision,
			},
			func() (int64, farm.Worker, error) { return w.ID, farmWorker(*w), nil },
		}
	},
}

func jobQuery(l JobList) *pageQuery {
	q := jobLists.query(l.Page)
	q.statusIn("j.status", asStrings(l.StatusIn))
	return q
}

func taskQuery(l TaskList) *pageQuery {
	if len(l.OrderBy) == 0 {
		l.OrderBy = []string{"index_in_job"}
	}
	q := taskLists.query(l.Page)
	q.filter("t.job_id = (SELECT id FROM jobs WHERE uuid = " + q.arg(l.JobID) + ")")
	q.statusIn("t.status", asStrings(l.StatusIn))
	return q
}

func workerQuery(l WorkerList) *pageQuery {
	q := workerLists.query(l.Page)
	q.statusIn("w.status", asStrings(l.StatusIn))
	return q
}

// Jobs lists jobs; next is the cursor for the page behind, "" when this was the last.
func (s *Store) Jobs(ctx context.Context, l JobList) (jobs []ListedJob, next string, err error) {
	return jobLists.page(ctx, s, jobQuery(l))
}

// Tasks lists tasks of a job; next is the cursor for the page behind, "" when this was the last.
func (s *Store) Tasks(ctx context.Context, l TaskList) (tasks []farm.Task, next string, err error) {
	return taskLists.page(ctx, s, taskQuery(l))
}

// Workers lists workers that are not deleted, without their task types and tags; next is the cursor for the page behind.
func (s *Store) Workers(ctx context.Context, l WorkerList) (workers []farm.Worker, next string, err error) {
	return workerLists.page(ctx, s, workerQuery(l))
}

// JobParts is a whole list of jobs in parts of at most MaxPage. What is in the list, and in which order, is settled before
// the first part; each job is as it is when its part is read, and one that is deleted by then is left out. Between two
// parts the database is left alone, so that it does not matter how long the caller takes. An error ends the list.
func (s *Store) JobParts(ctx context.Context, l JobList) iter.Seq2[[]ListedJob, error] {
	return jobLists.parts(ctx, s, jobQuery(l))
}

// TaskParts is the same for the tasks of a job.
func (s *Store) TaskParts(ctx context.Context, l TaskList) iter.Seq2[[]farm.Task, error] {
	if l.isWhole() {
		return s.tasksInOrder(ctx, l.JobID)
	}
	return taskLists.parts(ctx, s, taskQuery(l))
}

// WorkerParts is the same for workers.
func (s *Store) WorkerParts(ctx context.Context, l WorkerList) iter.Seq2[[]farm.Worker, error] {
	return workerLists.parts(ctx, s, workerQuery(l))
}

func (l *listOf[T]) page(ctx context.Context, s *Store, q *pageQuery) (items []T, next string, err error) {
	ids, next, err := q.find(ctx, s)
	if err != nil {
		return nil, "", err
	}
	for part := range slices.Chunk(ids, l.part) {
		read, err := l.read(ctx, s, part)
		if err != nil {
			return nil, "", err
		}
		items = append(items, read...)
	}
	return items, next, nil
}

func (l *listOf[T]) parts(ctx context.Context, s *Store, q *pageQuery) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		ids, _, err := q.find(ctx, s)
		if err != nil {
			yield(nil, err)
			return
		}
		for part := range slices.Chunk(ids, l.part) {
			items, err := l.read(ctx, s, part)
			if !yield(items, err) || err != nil {
				return
			}
		}
	}
}

// read reads rows in the order of their ids here.
func (l *listOf[T]) read(ctx context.Context, s *Store, ids []int64) ([]T, error) {
	place := make(map[int64]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	among, list := s.among(l.id, ids)
	where := strings.Join(append(slices.Clone(l.where), among), " AND ")
	read := make([]T, len(ids))
	there := make([]bool, len(ids))
	err := eachRow(ctx, s, "SELECT "+l.rows+" WHERE "+where, []any{list}, l.row(), func(id int64, item T) {
		read[place[id]], there[place[id]] = item, true
	})
	items := read[:0]
	for i, item := range read {
		if there[i] {
			items = append(items, item)
		}
	}
	return items, err
}

// byUUID reads the rows that have these uuids, which are those of table's column uuid.
func (l *listOf[T]) byUUID(ctx context.Context, s *Store, column string, uuids []string, each func(T)) error {
	list, err := json.Marshal(uuids)
	if err != nil {
		return err
	}
	among := column + " IN (SELECT value FROM json_each($1))"
	if s.clock != nil { // PostgreSQL
		among = column + " IN (SELECT value FROM json_array_elements_text(CAST($1 AS JSON)))"
	}
	text := "SELECT " + l.rows + " WHERE " + strings.Join(append(slices.Clone(l.where), among), " AND ")
	return eachRow(ctx, s, text, []any{string(list)}, l.row(), func(_ int64, item T) { each(item) })
}

// JobsByID reads jobs, at most MaxPage and without what they were submitted with; those that are not there are left out.
func (s *Store) JobsByID(ctx context.Context, ids []string) (map[string]farm.Job, error) {
	jobs := make(map[string]farm.Job, len(ids))
	return jobs, bareJobs.byUUID(ctx, s, "j.uuid", ids, func(j farm.Job) { jobs[j.ID] = j })
}

// TasksByID is the same for tasks.
func (s *Store) TasksByID(ctx context.Context, ids []string) (map[string]farm.Task, error) {
	tasks := make(map[string]farm.Task, len(ids))
	return tasks, taskLists.byUUID(ctx, s, "t.uuid", ids, func(t farm.Task) { tasks[t.ID] = t })
}

// WorkersByID is the same for workers that are not deleted.
func (s *Store) WorkersByID(ctx context.Context, ids []string) (map[string]farm.Worker, error) {
	workers := make(map[string]farm.Worker, len(ids))
	return workers, workerLists.byUUID(ctx, s, "w.uuid", ids, func(w farm.Worker) { workers[w.ID] = w })
}

// among is the condition that a number is one of these, which are the one argument $1: the statement is always the same,
// and the SQLite driver's time grows with the square of the arguments.
func (s *Store) among(column string, ids []int64) (condition, argument string) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.FormatInt(id, 10)
	}
	list := strings.Join(texts, ",")
	if s.clock != nil { // PostgreSQL
		return column + " = ANY(CAST($1 AS BIGINT[]))", "{" + list + "}"
	}
	return column + " IN (SELECT value FROM json_each($1))", "[" + list + "]"
}
