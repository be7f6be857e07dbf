// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// paramsPerInsert bounds the parameters of a statement: the SQLite driver's time grows with their square. 50,000 tasks with
// dependencies take 1.2 s with 140, 1.5 s with one row a statement, and 3.8 s with 1,200.
const paramsPerInsert = 140

// InsertJob stores a compiled job with all its tasks and returns its id.
func (tx *Tx) InsertJob(n farm.NewJob) (string, error) {
	if n.ID == "" {
		n.ID = uuid.NewString()
	}
	if n.InitialStatus == "" {
		n.InitialStatus = farm.JobQueued
	}
	steps := 0
	for _, t := range n.Tasks {
		steps += t.Steps()
	}
	id, tag, err := tx.insertJobRow(n, steps)
	if err != nil {
		return "", err
	}
	if err := tx.insertSpec(id, n.JobSpec); err != nil {
		return "", err
	}
	if err := tx.insertTasks(id, n.Tasks); err != nil {
		return "", err
	}
	if err := tx.insertReady(id, tag, n.Priority, n.InitialStatus.Runnable(), readyOf(n.Tasks)); err != nil {
		return "", err
	}
	tx.jobSubmitted(n, steps)
	if n.InitialStatus.Runnable() {
		tx.Changed(farm.Change{Kind: farm.ChangeWork, JobID: n.ID, TagID: n.TagID, TaskTypes: taskTypes(n.Tasks)})
	}
	return n.ID, tx.changedStatus("job", id, id, "", string(n.InitialStatus), Why{Who: "user", Reason: "submitted"})
}

func (tx *Tx) insertJobRow(n farm.NewJob, steps int) (id, tag int64, err error) {
	projectID := n.ProjectID
	if projectID == "" {
		projectID = farm.DefaultProject
	}
	project, err := tx.q.ProjectByUUID(tx.ctx, projectID)
	if err != nil {
		return 0, 0, missing(err, farm.CodeInvalid, "there is no project %s", projectID)
	}
	if n.TagID != "" {
		row, err := tx.q.TagByUUID(tx.ctx, n.TagID)
		if err != nil {
			return 0, 0, missing(err, farm.CodeInvalid, "worker_tag: there is no worker tag %s", n.TagID)
		}
		tag = row.ID
	}
	id, err = tx.q.InsertJob(tx.ctx, query.InsertJobParams{
		Uuid: n.ID, ProjectID: project.ID, Name: n.Name, Type: n.Type, Priority: int64(n.Priority),
		Status: string(n.InitialStatus), TagID: nullID(tag), NQueued: int64(len(n.Tasks)), StepsTotal: int64(steps),
		CreatedAt: tx.stamp(), UpdatedAt: tx.stamp(),
	})
	return id, tag, err
}

func (tx *Tx) insertSpec(job int64, spec farm.JobSpec) error {
	settings, err := jsonText(spec.Settings)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	metadata, err := jsonText(spec.Metadata)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	return tx.q.InsertJobSpec(tx.ctx, query.InsertJobSpecParams{
		JobID: job, Settings: settings, Metadata: metadata, ShamanCheckoutID: spec.ShamanCheckoutID,
		SubmitterPlatform: spec.SubmitterPlatform,
	})
}

func (tx *Tx) insertTasks(job int64, tasks []farm.NewTask) error {
	if err := checkDependencies(tasks); err != nil {
		return err
	}
	rows := make([]taskRow, len(tasks))
	for i, t := range tasks {
		open := len(distinct(t.Dependencies))
		rows[i] = taskRow{
			NewTask: t, status: farm.TaskQueued, open: open, ready: open == 0, stepsTotal: t.Steps(),
			created: tx.stamp(), updated: tx.stamp(),
		}
	}
	_, err := tx.insertTaskRows(job, rows)
	return err
}

// taskRow is a task and what is stored beside what it was submitted with.
type taskRow struct {
	farm.NewTask
	status                    farm.TaskStatus
	activity                  string
	open                      int // dependencies that are not completed
	ready                     bool
	worker                    sql.NullInt64
	stepsCompleted            int
	stepsTotal                int
	assignment                string
	generation                int64
	logSize                   int64
	created, updated, touched micros.Time
}

// insertTaskRows writes tasks, commands and dependencies, many rows at once, and returns the ids of the rows.
func (tx *Tx) insertTaskRows(job int64, tasks []taskRow) ([]int64, error) {
	rows := newBulk(tx, "tasks", `uuid, job_id, index_in_job, name, type, status, priority, activity, open_deps, ready, has_dependants, worker_id,
        slot, assignment, generation, on_disconnect, last_sequence, log_size, steps_completed, steps_total, lost, created_at,
        updated_at, touched_at, revision`)
	needed := dependants(tasks)
	for i, t := range tasks {
		if t.ID == "" {
			// In the order of the tasks: those of a job are beside each other in the index, which PostgreSQL writes with every status.
			id, err := uuid.NewV7()
			if err != nil {
				return nil, err
			}
			t.ID = id.String()
		}
		if t.OnDisconnect == "" {
			t.OnDisconnect = farm.DefaultOnDisconnect(t.Type)
		}
		err := rows.add(t.ID, job, i+1, t.Name, t.Type, string(t.status), t.Priority, t.activity, t.open, t.ready, needed[i], t.worker, 0,
			t.assignment, t.generation, string(t.OnDisconnect), 0, t.logSize, t.stepsCompleted, t.stepsTotal, 0, t.created, t.updated, t.touched, 1)
		if err != nil {
			return nil, err
		}
	}
	if err := rows.flush(); err != nil {
		return nil, err
	}
	ids, err := tx.taskIDs(job, len(tasks))
	if err != nil {
		return nil, err
	}
	specs := newBulk(tx, "task_specs", "task_id, commands")
	deps := newBulk(tx, "task_dependencies", "task_id, dependency_id")
	for i, t := range tasks {
		commands, err := jsonText(t.Commands)
		if err != nil {
			return nil, fmt.Errorf("commands of task %q: %w", t.Name, err)
		}
		if err := specs.add(ids[i], commands); err != nil {
			return nil, err
		}
		for _, d := range distinct(t.Dependencies) {
			if err := deps.add(ids[i], ids[d]); err != nil {
				return nil, err
			}
		}
	}
	return ids, errors.Join(specs.flush(), deps.flush())
}

// dependants says which tasks others depend on.
func dependants(tasks []taskRow) []bool {
	needed := make([]bool, len(tasks))
	for _, t := range tasks {
		for _, d := range t.Dependencies {
			needed[d] = true
		}
	}
	return needed
}

// taskIDs lists the row ids of the tasks of a job by their index.
func (tx *Tx) taskIDs(job int64, n int) ([]int64, error) {
	ids, err := tx.q.TaskIDs(tx.ctx, job)
	if err == nil && len(ids) != n {
		return nil, fmt.Errorf("%d tasks stored instead of %d", len(ids), n)
	}
	return ids, err
}

// readyOf counts, for each type, the tasks that can be handed out as they are submitted.
func readyOf(tasks []farm.NewTask) map[string]int {
	ready := map[string]int{}
	for _, t := range tasks {
		ready[t.Type] += b2i(len(t.Dependencies) == 0)
	}
	return ready
}

func (tx *Tx) insertReady(job, tag int64, priority int, runnable bool, ready map[string]int) error {
	for taskType, count := range ready {
		err := tx.q.InsertJobReady(tx.ctx, query.InsertJobReadyParams{
			JobID: job, TaskType: taskType, TagID: nullID(tag), Priority: int64(priority), Runnable: runnable,
			ReadyCount: int64(count),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkDependencies refuses dependencies on tasks that are not there, and of a task on itself.
func checkDependencies(tasks []farm.NewTask) error {
	for i, t := range tasks {
		for _, d := range t.Dependencies {
			if d < 0 || d >= len(tasks) || d == i {
				return farm.Errorf(farm.CodeInvalid, "task %q cannot depend on task %d of %d", t.Name, d+1, len(tasks))
			}
		}
	}
	return nil
}

// distinct is the dependencies of a task without those that a script named twice.
func distinct(deps []int) []int { return slices.Compact(slices.Sorted(slices.Values(deps))) }

func taskTypes(tasks []farm.NewTask) (types []string) {
	seen := map[string]bool{}
	for _, t := range tasks {
		if !seen[t.Type] {
			seen[t.Type] = true
			types = append(types, t.Type)
		}
	}
	return types
}

// missing turns "not there" into an error of the input that named it.
func missing(err error, code farm.Code, format string, args ...any) error {
	if err = wrap(err); farm.IsNotExist(err) {
		return farm.Errorf(code, format, args...)
	}
	return err
}

// jsonText is v as JSON; nil maps and lists become empty ones.
func jsonText(v any) (string, error) {
	data, err := json.Marshal(v)
	if string(data) == "null" {
		data = []byte("{}")
		if _, list := v.([]farm.Command); list {
			data = []byte("[]")
		}
	}
	return string(data), err
}

// rowsPerCopy bounds what is in memory of the rows that go to PostgreSQL.
const rowsPerCopy = 2000

// bulk collects rows of one table and inserts many at once: on SQLite with a statement that is parsed once, on PostgreSQL with
// COPY, unless they are few: that is two trips to the server more.
type bulk struct {
	tx      *Tx
	table   string
	columns []string
	args    []any
	few     int       // how many arguments a statement takes
	full    int       // how many are inserted at once
	whole   *sql.Stmt // inserts that many; nil until they have come, and on PostgreSQL
}

func newBulk(tx *Tx, table, columns string) *bulk {
	b := &bulk{tx: tx, table: table, columns: strings.FieldsFunc(columns, func(r rune) bool { return strings.ContainsRune(", \n", r) })}
	b.few = max(1, paramsPerInsert/len(b.columns)) * len(b.columns)
	if b.full = b.few; tx.pg != nil {
		b.full = rowsPerCopy * len(b.columns)
	}
	return b
}

func (b *bulk) add(row ...any) (err error) {
	b.args = append(b.args, row...)
	if len(b.args) < b.full {
		return nil
	}
	if b.tx.pg != nil {
		return b.flush()
	}
	if b.whole == nil {
		if b.whole, err = b.tx.db.(*sqliteConn).parsed(b.tx.ctx, b.insert()); err != nil { //nolint:forcetypeassert // the only other runner
			return err
		}
	}
	_, err = b.whole.ExecContext(b.tx.ctx, b.args...)
	b.args = b.args[:0]
	return err
}

// flush inserts what is left.
func (b *bulk) flush() (err error) {
	switch {
	case len(b.args) == 0:
	case len(b.args) > b.few: // on PostgreSQL
		err = b.tx.pg.pipe.copyIn(b.tx.ctx, b.table, b.columns, slices.Collect(slices.Chunk(b.args, len(b.columns))))
	default:
		_, err = b.tx.db.ExecContext(b.tx.ctx, b.insert(), slices.Clone(b.args)...)
	}
	b.args = b.args[:0]
	return err
}

// insert is the statement for the rows that were collected.
func (b *bulk) insert() string {
	var text strings.Builder
	fmt.Fprintf(&text, "INSERT INTO %s (%s) VALUES ", b.table, strings.Join(b.columns, ", "))
	for i := range b.args {
		switch {
		case i == 0:
			text.WriteByte('(')
		case i%len(b.columns) == 0:
			text.WriteString("),(")
		default:
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, "$%d", i+1)
	}
	text.WriteByte(')')
	return text.String()
}
