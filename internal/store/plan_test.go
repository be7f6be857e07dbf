// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tables that grow for as long as the farm runs. A statement that reads all rows of one gets slower every day.
var growing = []string{"jobs", "job_specs", "tasks", "task_specs", "task_dependencies", "task_failures", "attempts", "attempt_steps", "status_changes", "last_rendered", "job_ready"}

// What may go through all entries of an index: those of active tasks and of jobs that are to be deleted are few, jobs by
// status are counted for metrics, as are jobs that can hand out tasks, and of pictures only the first is read.
var mayScan = []string{
	"SCAN t USING INDEX tasks_one_per_slot", "SCAN tasks USING INDEX tasks_one_per_slot",
	"SCAN jobs USING COVERING INDEX jobs_by_status", "SCAN jobs USING INDEX jobs_to_delete", "SCAN j USING INDEX jobs_to_delete", "SCAN d USING INDEX jobs_to_delete",
	"SCAN r USING COVERING INDEX last_rendered_newest", "SCAN job_ready USING INDEX job_ready_to_claim", "SCAN r USING INDEX job_ready_to_claim",
}

func TestNoStatementReadsATableThatGrowsFromEndToEnd(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	alias := regexp.MustCompile(`(?:FROM|JOIN|UPDATE|INTO) (\w+)(?: (?:AS )?(\w+))?`)
	for name, text := range statements(t) {
		tables := map[string]string{}
		for _, m := range alias.FindAllStringSubmatch(text, -1) {
			tables[m[1]] = m[1]
			if m[2] != "" {
				tables[m[2]] = m[1]
			}
		}
		for _, step := range plan(t, s, name, text) {
			words := strings.Fields(step)
			if words[0] == "SCAN" && slices.Contains(growing, tables[words[1]]) && !slices.Contains(mayScan, step) {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
}

func TestAClaimWalksItsIndexes(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	for text, index := range map[string]string{jobsToClaimSQLite: "job_ready_to_claim", taskToClaimSQLite: "tasks_to_claim"} {
		steps := plan(t, s, index, text)
		if !strings.Contains(steps[0], "USING INDEX "+index) || slices.Contains(steps, "USE TEMP B-TREE FOR ORDER BY") {
			t.Errorf("%s: %q", index, steps)
		}
	}
}

func TestWhatWaitsIsFoundByIndex(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	all := statements(t)
	for name, index := range map[string]string{
		"jobsByLogsState": "jobs_by_logs_state", "firstByLogsState": "jobs_by_logs_state", "dueSleepSchedules": "sleep_schedules_by_next_check",
		"nextSleepCheck": "sleep_schedules_by_next_check",
	} {
		if steps := plan(t, s, name, all[name]); !strings.Contains(steps[0], "INDEX "+index) {
			t.Errorf("%s: %q", name, steps)
		}
	}
}

// statements are all of the store, by name: those that sqlc read, and those that are written out in Go.
func statements(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{
		"jobsToClaim": jobsToClaimSQLite, "taskToClaim": taskToClaimSQLite, "sliceReopenDependants": sliceReopenDependants,
		"sliceForgetDependencies": sliceForgetDependencies, "tasksBehind": tasksBehind,
	}
	files, err := filepath.Glob("query/*.sql.gen.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?s)const (\\w+) = `(.*?)`").FindAllStringSubmatch(string(text), -1) {
			all[m[1]] = m[2]
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d statements", len(all))
	}
	return all
}

func plan(t *testing.T, s *Store, name, text string) (steps []string) {
	t.Helper()
	rows, err := s.read.Query("EXPLAIN QUERY PLAN "+text, make([]any, parameters(text))...)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return steps
}

// parameters is how many a statement has.
func parameters(text string) (n int) {
	for _, m := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(text, -1) {
		i, _ := strconv.Atoi(m[1])
		n = max(n, i)
	}
	return n
}
