// SPDX-License-Identifier: GPL-3.0-or-later

// Package micros is how the database keeps time: a BIGINT of microseconds since 1970 in UTC, where 0 is the zero time.
package micros

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// Time is a time.Time that is stored as microseconds.
type Time struct{ time.Time }

// Of makes a Time of t, cut to whole microseconds.
func Of(t time.Time) Time { return Time{t.UTC().Truncate(time.Microsecond)} }

// Value implements driver.Valuer.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return int64(0), nil
	}
	return t.UnixMicro(), nil
}

// Scan implements sql.Scanner.
func (t *Time) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T instead of an integer", src)
	}
	if n == 0 {
		t.Time = time.Time{}
		return nil
	}
	t.Time = time.UnixMicro(n).UTC()
	return nil
}
