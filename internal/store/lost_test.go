// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
)

// endProcess ends the process of the server that serves a transaction, and waits until it is gone.
func endProcess(ctx context.Context, tx *Tx, other *sql.DB) error {
	var pid int
	if err := tx.db.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return err
	}
	_, err := other.ExecContext(ctx, "SELECT pg_terminate_backend($1, 10000)", pid)
	return err
}

func TestATransactionWhoseConnectionIsLostRunsAgain(t *testing.T) {
	t.Parallel()
	s, other := openOnPostgres(t)
	ask := func(tx *Tx) error {
		var one int
		return tx.db.QueryRowContext(t.Context(), "SELECT 1").Scan(&one)
	}
	nothing := func(*Tx) error { return nil }
	cases := map[string]struct{ before, after func(*Tx) error }{
		"before a question": {nothing, ask},
		"before the second of two questions, the first of which nobody missed": {nothing, func(tx *Tx) error {
			_ = ask(tx)
			return ask(tx)
		}},
		"before a change":                 {nothing, addTag("changed")},
		"between a change and a question": {addTag("asked"), ask},
		"between a change and its COMMIT": {addTag("committed"), nothing},
	}
	for name, c := range cases {
		runs := 0
		err := s.Do(t.Context(), func(tx *Tx) error {
			runs++
			if err := c.before(tx); err != nil {
				return err
			}
			if runs == 1 {
				if err := endProcess(t.Context(), tx, other); err != nil {
					return fmt.Errorf("ending it: %w", err)
				}
			}
			return c.after(tx)
		})
		if err != nil || runs != 2 {
			t.Errorf("%s: %d runs, %v", name, runs, err)
		}
	}
	wantTags(t, s, "asked", "changed", "committed")
}
