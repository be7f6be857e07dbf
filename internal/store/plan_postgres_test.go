// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
)

// A connection that writes plans each statement once, for tables of any size and for whatever is in them.
func TestNoStatementThatWritesReadsATableThatGrowsFromEndToEndOnPostgreSQL(t *testing.T) {
	t.Parallel()
	s, _ := openOnPostgres(t)
	// One task on which all others depend: by the statistics every row is found by that, or none.
	job := farm.NewJob{Name: "skewed", Type: "test", Tasks: make([]farm.NewTask, 2000)}
	for i := range job.Tasks {
		job.Tasks[i] = farm.NewTask{Name: fmt.Sprint(i), Type: "misc"}
		if i > 0 {
			job.Tasks[i].Dependencies = []int{0}
		}
	}
	err := s.Do(t.Context(), func(tx *Tx) error {
		_, err := tx.InsertJob(job)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.Exec("ANALYZE"); err != nil {
		t.Fatal(err)
	}
	all := statements(t)
	for name, text := range map[string]string{
		"lockWorkerRows": lockWorkerRows, "lockJobRows": lockJobRows, "jobRowsOf": jobRowsOf, "taskRowsOf": taskRowsOf,
		"slotsOfWorkers": slotsOfWorkers, "walksOfWorkers": walksOfWorkers, "bestTaskRow": bestTaskRow, "taskRowOfUUID": taskRowOfUUID,
		"jobRowOfTask": jobRowOfTask, "jobRowByID": jobRowByID, "slotOfWorker": slotOfWorker, "walkOfWorker": walkOfWorker,
	} {
		all[name] = text
	}
	for name, text := range all {
		for _, table := range scannedOnPostgres(t, s, name, text) {
			if slices.Contains(growing, table) {
				t.Errorf("%s reads all of %s", name, table)
			}
		}
	}
}

// scannedOnPostgres lists the tables that the plan of a statement reads from end to end.
func scannedOnPostgres(t *testing.T, s *Store, name, text string) (tables []string) {
	t.Helper()
	conn, err := s.write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	execute := "EXPLAIN EXECUTE planned"
	if n := parameters(text); n > 0 {
		execute += "(" + strings.TrimSuffix(strings.Repeat("NULL,", n), ",") + ")"
	}
	if _, err := conn.ExecContext(t.Context(), "PREPARE planned AS "+text); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer func() { _, _ = conn.ExecContext(t.Context(), "DEALLOCATE planned") }()
	rows, err := conn.QueryContext(t.Context(), execute)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer rows.Close()
	scan := regexp.MustCompile(`Seq Scan on (\w+)`)
	for rows.Next() {
		var line sql.NullString
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		if m := scan.FindStringSubmatch(line.String); m != nil {
			tables = append(tables, m[1])
		}
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return tables
}
