// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// exported are the tables of an export, each after those that it refers to, with the columns of the primary key and all
// columns: name:type, where no type is a whole number, and a ? at the end allows NULL. A migration that adds a table
// names it here or in notExported; one that adds a column names it here.
var exported = []tableSpec{
	{"projects", "id", "id uuid:uuid name:text created_at"},
	{"tags", "id", "id uuid:uuid name:text description:text created_at"},
	{
		"workers", "id",
		"id uuid:uuid secret:text name:text address:text platform:text software:text status:text status_requested:text " +
			"lazy_request:bool can_restart:bool session:text last_seen_at created_at updated_at deleted_at revision",
	},
	{"worker_task_types", "worker_id task_type", "worker_id task_type:text position"},
	{"worker_tags", "worker_id tag_id", "worker_id tag_id"},
	{"sleep_schedules", "worker_id", "worker_id is_active:bool windows:json held_status:text next_check_at"},
	{
		"jobs", "id",
		"id uuid:uuid project_id name:text type:text priority status:text activity:text tag_id? requeue_completed:bool " +
			"n_queued n_active n_completed n_soft_failed n_failed n_canceled n_paused steps_completed steps_total " +
			"created_at updated_at delete_requested_at logs_state ended_at revision",
	},
	{"job_specs", "job_id", "job_id settings:json metadata:json shaman_checkout_id:text submitter_platform:text"},
	{"last_rendered", "job_id", "job_id rendered_at"},
	{"job_ready", "job_id task_type", "job_id task_type:text tag_id? priority runnable:bool ready_count"},
	{"job_blocks", "job_id worker_id task_type", "job_id worker_id task_type:text created_at"},
	{
		"tasks", "id",
		"id uuid:uuid job_id index_in_job name:text type:text status:text priority activity:text open_deps ready:bool " +
			"has_dependants:bool worker_id? slot assignment:text generation on_disconnect:text last_sequence log_size steps_completed steps_total " +
			"lost created_at updated_at touched_at revision",
	},
	{"task_specs", "task_id", "task_id commands:json"},
	{"task_dependencies", "task_id dependency_id", "task_id dependency_id"},
	{"task_failures", "task_id worker_id", "task_id worker_id job_id created_at"},
	{
		"attempts", "id",
		"id task_id generation assignment:text worker_id session:text slot started_at ended_at outcome:text reason:text exit_code?",
	},
	{"attempt_steps", "attempt_id command_index", "attempt_id command_index command:text started_at ended_at exit_code?"},
	{
		"status_changes", "id",
		"id what:text object_id job_id? from_status:text to_status:text changed_at who:text reason:text",
	},
}

// notExported are the other tables, and why they stay behind. An import leaves them alone.
var notExported = map[string]string{
	"goose_db_version": "the schema is the target's own",
	"operations":       "what this Manager does or has done, with logs in its local storage; an import is one itself",
	"locks":            "held by operations",
	"managers":         "who runs now",
	"farm_state":       "the state of the running farm, such as its maintenance mode",
	"events":           "on their way to those who listen now",
}

type tableSpec struct{ name, key, columns string }

// table is a table of an export.
type table struct {
	name    string
	columns []column
	key     []column
}

type column struct {
	name string
	kind columnKind
	null bool
}

type columnKind string

const (
	kindInteger columnKind = ""
	kindBool    columnKind = "bool"
	kindText    columnKind = "text"
	kindJSON    columnKind = "json" // text that has to be JSON
	kindUUID    columnKind = "uuid" // text that has to be a UUID, because files are named after it
)

// exportedTables reads the specifications.
func exportedTables() []table {
	tables := make([]table, len(exported))
	for i, spec := range exported {
		t := table{name: spec.name}
		for _, word := range strings.Fields(spec.columns) {
			word, null := strings.CutSuffix(word, "?")
			name, kind, _ := strings.Cut(word, ":")
			t.columns = append(t.columns, column{name, columnKind(kind), null})
		}
		for _, name := range strings.Fields(spec.key) {
			for _, c := range t.columns {
				if c.name == name {
					t.key = append(t.key, c)
				}
			}
		}
		tables[i] = t
	}
	return tables
}

func (t table) columnNames() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// selectAll is the query of all rows in the order of the primary key. collation is how the engine names the one that
// compares bytes, so that the order is the same everywhere.
func (t table) selectAll(collation string) string {
	order := make([]string, len(t.key))
	for i, c := range t.key {
		order[i] = c.name
		if c.kind != kindInteger {
			order[i] += " COLLATE " + collation
		}
	}
	return fmt.Sprintf("SELECT %s FROM %s ORDER BY %s", strings.Join(t.columnNames(), ", "), t.name, strings.Join(order, ", "))
}

// insert is the statement that inserts so many rows into the table, which may have another name.
func (t table) insert(name string, rows int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "INSERT INTO %s (%s) VALUES ", name, strings.Join(t.columnNames(), ", "))
	for n := range rows * len(t.columns) {
		switch {
		case n%len(t.columns) != 0:
			text.WriteString(", ")
		case n > 0:
			text.WriteString("), (")
		default:
			text.WriteString("(")
		}
		fmt.Fprintf(&text, "$%d", n+1)
	}
	text.WriteString(")")
	return text.String()
}

// check says what is wrong with a value for the column, "" if nothing.
func (c column) check(value any) string {
	switch v := value.(type) {
	case nil:
		if c.null {
			return ""
		}
	case int64:
		if c.kind == kindInteger {
			return ""
		}
	case bool:
		if c.kind == kindBool {
			return ""
		}
	case string:
		return c.checkText(v)
	}
	return fmt.Sprintf("%T cannot be a value of it", value)
}

func (c column) checkText(text string) string {
	switch {
	case c.kind == kindText,
		c.kind == kindJSON && json.Valid([]byte(text)),
		c.kind == kindUUID && len(text) == 36 && uuid.Validate(text) == nil:
		return ""
	case c.kind == kindJSON:
		return "it is not JSON"
	case c.kind == kindUUID:
		return "it is not a UUID"
	}
	return "a text cannot be a value of it"
}
