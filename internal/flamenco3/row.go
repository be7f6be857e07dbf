// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a name or a text for people may hold; longer ones are cut.
const (
	maxName = 1 << 10
	maxText = 64 << 10
)

// row is one row of an old table. SQLite keeps any type in any column, so every value is looked at; what is wrong with
// them is collected.
type row struct {
	rowid   int64
	columns []string
	values  []any
	wrong   []string
}

func (r *row) value(column string) any {
	i := slices.Index(r.columns, column)
	if i < 0 {
		panic("flamenco3: no such column was read: " + column) // a mistake in this package
	}
	return r.values[i]
}

func (r *row) bad(column, format string, args ...any) {
	r.wrong = append(r.wrong, column+" "+fmt.Sprintf(format, args...))
}

// problems is what was wrong with the values read so far, "" = nothing.
func (r *row) problems() string { return strings.Join(r.wrong, ", ") }

// text is a text of any length that is read at all.
func (r *row) text(column string) string {
	switch v := r.value(column).(type) {
	case nil:
		return ""
	case string:
		return storable(v)
	case []byte:
		if len(v) == 1 && v[0] == 0 {
			r.bad(column, "is too large")
			return ""
		}
		return storable(string(v))
	case int64:
		return strconv.FormatInt(v, 10)
	default:
		r.bad(column, "is not a text")
		return ""
	}
}

// storable is a text as every database stores it: PostgreSQL has no NUL.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// short is a text of at most so many bytes.
func (r *row) short(column string, limit int) string {
	text := r.text(column)
	if len(text) <= limit {
		return text
	}
	r.bad(column, "is too long and was cut")
	return strings.ToValidUTF8(text[:limit], "")
}

// number is a whole number between two bounds.
func (r *row) number(column string, low, high int) int {
	var n int64
	switch v := r.value(column).(type) {
	case nil:
		return max(low, 0)
	case int64:
		n = v
	case bool:
		if v {
			n = 1
		}
	default:
		r.bad(column, "is not a number")
		return max(low, 0)
	}
	if n < int64(low) || n > int64(high) {
		r.bad(column, "is %d, which is out of range", n)
	}
	return int(min(max(n, int64(low)), int64(high)))
}

func (r *row) flag(column string) bool { return r.number(column, 0, 1) == 1 }

// reference is the row that a column names, 0 for none.
func (r *row) reference(column string) int64 {
	switch v := r.value(column).(type) {
	case nil:
		return 0
	case int64:
		return v
	default:
		r.bad(column, "is not a row")
		return math.MinInt64
	}
}

var timeFormats = []string{
	"2006-01-02 15:04:05.999999999-07:00",
	"2006-01-02T15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999 -0700 MST",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02",
}

// time is a time, the zero one for none.
func (r *row) time(column string) time.Time {
	var t time.Time
	switch v := r.value(column).(type) {
	case nil:
		return t
	case time.Time:
		t = v
	case int64:
		t = time.Unix(v, 0)
	case string:
		if v == "" {
			return t
		}
		text, _, _ := strings.Cut(v, " m=") // of a clock that Go prints too
		var err error
		for _, format := range timeFormats {
			if t, err = time.Parse(format, text); err == nil {
				break
			}
		}
		if err != nil {
			r.bad(column, "is not a time")
			return time.Time{}
		}
		if t.Year() <= 1 {
			return time.Time{}
		}
	default:
		r.bad(column, "is not a time")
		return t
	}
	if t.Year() < 1970 || t.Year() > 9999 {
		r.bad(column, "is not a time of this age")
		return time.Time{}
	}
	return t.UTC()
}

// key is what other tables call the row.
func (r *row) key() int64 {
	if id, ok := r.value("id").(int64); ok {
		return id
	}
	return r.rowid
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// id is the uuid of a row; ok is false when it has none.
func (r *row) id() (id string, ok bool) {
	id = strings.ToLower(r.text("uuid"))
	return id, uuidForm.MatchString(id)
}

// name is how a report calls a row.
func (r *row) name(kind string) string {
	if id, ok := r.id(); ok {
		return kind + " " + id
	}
	return fmt.Sprintf("%s in row %d", kind, r.rowid)
}
