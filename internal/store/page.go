// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"flamenco.farm/internal/farm"
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

// pageQuery is one SELECT under construction. Sorting columns come from an allow-list, values are always arguments.
type pageQuery struct {
	list  *list
	page  Page
	where []string
	args  []any
	err   error
}

type sortKey struct {
	field, column string
	descending    bool
}

func (l *list) query(p Page) *pageQuery {
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

// find returns the ids of the rows in their order. With a limit it asks for one more, to know whether there is a page
// behind; the sort keys of the last row that is shown become the cursor.
func (q *pageQuery) find(ctx context.Context, s *Store) (ids []int64, next string, err error) {
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
		return nil, "", err
	}
	err = s.withRows(ctx, q.text(keys), q.args, func(rows answers) error {
		ids, next, err = q.collect(rows, keys)
		return err
	})
	return ids, next, wrap(err)
}

// collect takes the ids from the rows, and the cursor if there is a row behind the page.
func (q *pageQuery) collect(rows answers, keys []sortKey) (ids []int64, next string, err error) {
	dest := []any{new(int64)}
	if q.page.Limit > 0 {
		dest = cursorOf(keys)
	}
	id := dest[len(dest)-1].(*int64)
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, "", err
		}
		if len(ids) == q.page.Limit && len(ids) > 0 {
			return ids, next, nil // there is one more
		}
		if ids = append(ids, *id); len(ids) == q.page.Limit {
			if next, err = encodeCursor(append([]any{orderBy(keys)}, dest...)); err != nil {
				return nil, "", err
			}
		}
	}
	return ids, "", nil
}

// cursorOf has room for the sort keys of a row, of which the last is its id.
func cursorOf(keys []sortKey) []any {
	cursor := make([]any, len(keys))
	for i := range cursor {
		cursor[i] = new(any)
	}
	cursor[len(keys)-1] = new(int64)
	return cursor
}

// text is the query: of a whole list only the ids are wanted, of a page the sort keys as well.
func (q *pageQuery) text(keys []sortKey) string {
	columns := []string{q.list.id}
	if q.page.Limit > 0 {
		columns = nil
		for _, k := range keys {
			columns = append(columns, k.column)
		}
	}
	var sql strings.Builder
	sql.WriteString("SELECT " + strings.Join(columns, ", ") + " FROM " + q.list.from)
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
	// The first key alone bounds the part of an index that has to be read.
	bound := " >= "
	if keys[0].descending {
		bound = " <= "
	}
	q.filter(keys[0].column + bound + marks[0])
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
