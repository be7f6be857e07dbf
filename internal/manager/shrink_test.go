// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"log/slog"
	"testing"

	"flamenco.farm/internal/store"
)

// sound is a database in which so much is unused.
type sound struct{ unused, size, vacuums int64 }

func (s *sound) Check(context.Context, store.Progress) error            { return nil }
func (s *sound) Unused(context.Context) (unused, size int64, err error) { return s.unused, s.size, nil }
func (s *sound) Vacuum(context.Context, store.Progress) error           { s.vacuums++; return nil }

func TestADatabaseShrinksWhenMuchOfItIsUnused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		db   sound
		want int64
	}{
		{sound{unused: 1 << 20, size: 2 << 20}, 0},
		{sound{unused: 100 << 20, size: 1 << 30}, 0},
		{sound{unused: 300 << 20, size: 1 << 30}, 1},
	} {
		care := &databaseCare{db: &c.db, log: slog.New(slog.DiscardHandler)}
		care.once(t.Context())
		if c.db.vacuums != c.want {
			t.Errorf("%+v", c.db)
		}
	}
}
