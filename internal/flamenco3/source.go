// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // reads the old database

	"flamenco.farm/internal/farm"
)

// knownVersion is the schema version that this package was written for.
const knownVersion = 8

// maxValue is the largest value that is read, in bytes; a larger one counts as damaged.
const maxValue = 16 << 20

// source is a copy of an old database, which may be written to, indexed and thrown away.
type source struct {
	db       *sql.DB
	folder   string // of the copy
	columns  map[string][]string
	rowless  []string // tables without row ids
	version  int64
	warnings []string
}

// openSource copies the database, because even reading one may write beside it, and opens the copy.
func openSource(ctx context.Context, path, temporary string) (_ *source, err error) {
	folder, err := os.MkdirTemp(temporary, "flamenco-import-")
	if err != nil {
		return nil, err
	}
	s := &source{folder: folder, columns: map[string][]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	copied := filepath.Join(folder, "old.sqlite")
	if err := copyDatabase(path, copied); err != nil {
		return nil, err
	}
	uri := url.URL{Scheme: "file", Path: slashed(copied), RawQuery: url.Values{"_pragma": {
		"trusted_schema(OFF)", "cell_size_check(ON)", "temp_store(MEMORY)", "synchronous(OFF)",
	}}.Encode()}
	if s.db, err = sql.Open("sqlite", uri.String()); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	return s, s.inspect(ctx)
}

func slashed(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return path
}

func (s *source) close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}

// copyDatabase copies a database and its log, trying again when somebody wrote meanwhile.
func copyDatabase(from, to string) error {
	if info, err := os.Stat(from); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return farm.Errorf(farm.CodeInvalid, "it is not a file")
	}
	for range 3 {
		before := stateOf(from)
		for _, end := range []string{"", "-wal"} {
			if err := copyFile(from+end, to+end); err != nil && (end == "" || !errors.Is(err, fs.ErrNotExist)) {
				return err
			}
		}
		if stateOf(from) == before {
			return nil
		}
	}
	return farm.Errorf(farm.CodeConflict, "somebody is writing to it: stop the old Manager first")
}

// stateOf changes with every write to a database.
func stateOf(path string) (state string) {
	for _, end := range []string{"", "-wal"} {
		if info, err := os.Stat(path + end); err == nil {
			state += fmt.Sprintf("%d %d;", info.Size(), info.ModTime().UnixNano())
		}
	}
	return state
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// inspect looks which tables and columns there are and makes ready for reading job by job.
func (s *source) inspect(ctx context.Context) error {
	tables, err := s.texts(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' LIMIT 1000`)
	if err != nil {
		return farm.Errorf(farm.CodeInvalid, "it is no SQLite database, or damaged: %s", err)
	}
	if s.rowless, err = s.texts(ctx, "SELECT name FROM pragma_table_list WHERE wr LIMIT 1000"); err != nil {
		return err
	}
	for _, table := range tables {
		if s.columns[table], err = s.texts(ctx, "SELECT name FROM pragma_table_info($1) LIMIT 1000", table); err != nil {
			return err
		}
	}
	for _, table := range []string{"jobs", "tasks", "workers"} {
		if !s.has(table, "uuid") {
			return farm.Errorf(farm.CodeInvalid, "it is not the database of a Flamenco 3 Manager: it has no table %s with ids", table)
		}
	}
	if slices.Contains(s.columns["jobs"], "n_queued") {
		return farm.Errorf(farm.CodeInvalid, "it is the database of this Flamenco, not of Flamenco 3")
	}
	if err := s.readVersion(ctx); err != nil {
		return err
	}
	if sound, err := s.texts(ctx, "PRAGMA quick_check(1)"); err != nil || !slices.Equal(sound, []string{"ok"}) {
		s.warnings = append(s.warnings, fmt.Sprintf("the file is damaged, what can be read is imported (%s)", strings.Join(sound, "; ")))
	}
	return s.index(ctx)
}

func (s *source) has(table, column string) bool { return slices.Contains(s.columns[table], column) }

func (s *source) readVersion(ctx context.Context) error {
	if s.has("goose_db_version", "version_id") && s.has("goose_db_version", "is_applied") {
		err := s.db.QueryRowContext(ctx, `SELECT COALESCE(max(CAST(version_id AS INTEGER)), 0) FROM goose_db_version WHERE is_applied`).Scan(&s.version)
		if err != nil {
			return err
		}
	}
	switch {
	case s.version == 0:
		s.warnings = append(s.warnings, "the database does not say which version it has; what is known is imported")
	case s.version > knownVersion:
		s.warnings = append(s.warnings, fmt.Sprintf("the database has version %d, newer than the %d that is known; what is known is imported", s.version, knownVersion))
	case s.version < knownVersion:
		s.warnings = append(s.warnings, fmt.Sprintf("the database has version %d, older than %d; what it has is imported", s.version, knownVersion))
	}
	return nil
}

// index makes the copy quick to read by job, and keeps it from being written from then on.
func (s *source) index(ctx context.Context) error {
	for _, i := range [][2]string{
		{"tasks", "job_id"},
		{"task_dependencies", "task_id"},
		{"task_failures", "task_id"},
		{"job_blocks", "job_id"},
		{"worker_tag_membership", "worker_id"},
		{"sleep_schedules", "worker_id"},
	} {
		if !s.has(i[0], i[1]) {
			continue
		}
		if _, err := s.db.ExecContext(ctx, fmt.Sprintf(`CREATE INDEX "import %s" ON %q (%q)`, i[0], i[0], i[1])); err != nil {
			return fmt.Errorf("reading table %s: %w", i[0], err)
		}
	}
	_, err := s.db.ExecContext(ctx, "PRAGMA query_only = ON")
	return err
}

func (s *source) texts(ctx context.Context, query string, args ...any) (found []string, err error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return found, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}

// rows reads columns of a table; those that an older file does not have are NULL. A table that is not there is empty.
func (s *source) rows(ctx context.Context, table string, columns []string, rest string, args ...any) ([]*row, error) {
	if s.columns[table] == nil {
		return nil, nil
	}
	selected := []string{"rowid"}
	if slices.Contains(s.rowless, table) {
		selected[0] = "0"
	}
	for _, c := range columns {
		if !s.has(table, c) {
			selected = append(selected, "NULL")
			continue
		}
		selected = append(selected, fmt.Sprintf("CASE WHEN octet_length(%q) > %d THEN x'00' ELSE %q END", c, maxValue, c))
	}
	found, err := s.db.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %q %s", strings.Join(selected, ", "), table, rest), args...)
	if err != nil {
		return nil, fmt.Errorf("reading table %s: %w", table, err)
	}
	defer found.Close()
	var all []*row
	for found.Next() {
		r := &row{columns: columns, values: make([]any, len(columns))}
		into := []any{&r.rowid}
		for i := range r.values {
			into = append(into, &r.values[i])
		}
		if err := found.Scan(into...); err != nil {
			return nil, fmt.Errorf("reading table %s: %w", table, err)
		}
		all = append(all, r)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("reading table %s: %w", table, err)
	}
	return all, nil
}

// each reads a table in pages, so that no table has to fit into memory.
func (s *source) each(ctx context.Context, table string, columns []string, page int, do func(*row) error) error {
	for after := int64(-1 << 63); ; {
		rows, err := s.rows(ctx, table, columns, fmt.Sprintf("WHERE rowid > $1 ORDER BY rowid LIMIT %d", page), after)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			after = r.rowid
			if err := do(r); err != nil {
				return err
			}
		}
	}
}

// count is the number of rows of a table.
func (s *source) count(ctx context.Context, table string) (n int, err error) {
	if s.columns[table] == nil {
		return 0, nil
	}
	err = s.db.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %q", table)).Scan(&n)
	return n, err
}
