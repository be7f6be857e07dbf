// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
)

// schemaColumn is a column as the database has it.
type schemaColumn struct {
	name, kind string
	null       bool
	key        int // its place in the primary key, 0 = none
}

func schemaColumns(t *testing.T, db *sql.DB, table string) (columns []schemaColumn) {
	t.Helper()
	rows, err := db.Query("SELECT name, type, \"notnull\", pk FROM pragma_table_info($1) ORDER BY cid", table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c schemaColumn
		var notNull bool
		if err := rows.Scan(&c.name, &c.kind, &notNull, &c.key); err != nil {
			t.Fatal(err)
		}
		c.null = !notNull && c.key == 0
		columns = append(columns, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return columns
}

func TestAnExportCarriesEveryTableAndColumn(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	names, err := texts(t.Context(), s.read, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", maxTables)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]table{}
	for _, table := range exportedTables() {
		tables[table.name] = table
		if !slices.Contains(names, table.name) {
			t.Errorf("table %s is exported and is not there", table.name)
		}
	}
	for _, name := range names {
		table, exported := tables[name]
		if _, left := notExported[name]; left == exported {
			t.Errorf("table %s has to be in one of exported and notExported", name)
		}
		if exported {
			wantSameColumns(t, table, schemaColumns(t, s.read, name))
		}
	}
}

func wantSameColumns(t *testing.T, table table, columns []schemaColumn) {
	t.Helper()
	kinds := map[columnKind][]string{
		kindInteger: {"INTEGER", "BIGINT"}, kindBool: {"BOOLEAN"}, kindText: {"TEXT"}, kindJSON: {"TEXT"}, kindUUID: {"TEXT"},
	}
	var key []schemaColumn
	for i, c := range columns {
		switch {
		case i >= len(table.columns) || table.columns[i].name != c.name:
			t.Errorf("column %s of table %s is not exported, or in another order", c.name, table.name)
			return
		case !slices.Contains(kinds[table.columns[i].kind], c.kind) || table.columns[i].null != c.null:
			t.Errorf("column %s of table %s is %s, NULL %v, and exported as %+v", c.name, table.name, c.kind, c.null, table.columns[i])
		}
		if c.key > 0 {
			key = append(key, c)
		}
	}
	if len(table.columns) != len(columns) {
		t.Errorf("table %s is exported with columns that are not there", table.name)
	}
	slices.SortFunc(key, func(a, b schemaColumn) int { return a.key - b.key })
	if !slices.EqualFunc(key, table.key, func(a schemaColumn, b column) bool { return a.name == b.name }) {
		t.Errorf("the primary key of table %s is %v, its export has %v", table.name, key, table.key)
	}
}

func TestTablesAreImportedAfterThoseThatTheyReferTo(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	place := map[string]int{}
	for i, table := range exportedTables() {
		place[table.name] = i + 1
	}
	names, err := texts(t.Context(), s.read, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", maxTables)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		parents, err := texts(t.Context(), s.read, `SELECT DISTINCT "table" FROM pragma_foreign_key_list($1)`, maxTables, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, parent := range parents {
			switch {
			case place[name] == 0 && place[parent] > 0:
				t.Errorf("table %s stays when %s is replaced, to which it refers", name, parent)
			case place[name] > 0 && place[parent] >= place[name]:
				t.Errorf("table %s is imported before %s, to which it refers", name, parent)
			}
		}
	}
}

func TestWhatIsCopiedFromTheStageIsCopiedAsItIs(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	// SELECT * is the same order of columns on both sides only if both were made by the same migrations.
	if text := exportedTables()[0].insert("x", 2); !strings.HasSuffix(text, "VALUES ($1, $2, $3, $4), ($5, $6, $7, $8)") {
		t.Error(text)
	}
	if found := number(t, s.read, "SELECT count(*) FROM projects"); found != 1 {
		t.Errorf("a new farm has %d projects", found)
	}
}
