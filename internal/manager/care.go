// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"flamenco.farm/internal/store"
)

// longestCheck is how long a check of the database may take where the period is shorter.
const longestCheck = 10 * time.Minute

// A sound database is made smaller when more of it is unused than this many bytes, and than a quarter.
const muchUnused = 64 << 20

// caredFor is what a databaseCare cares for.
type caredFor interface {
	Check(context.Context, store.Progress) error
	Unused(context.Context) (unused, size int64, err error)
	Vacuum(context.Context, store.Progress) error
}

// databaseCare checks the database after the start and from time to time. While it is damaged the farm takes no new work;
// what runs goes on.
type databaseCare struct {
	db      caredFor
	period  time.Duration // 0 = never
	log     *slog.Logger
	suspend func(reason string)
	resume  func()
	damaged bool
}

// Run checks until ctx ends.
func (c *databaseCare) Run(ctx context.Context) error {
	if c.period == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(c.period)
	defer tick.Stop()
	for {
		c.once(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *databaseCare) once(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, max(c.period, longestCheck))
	defer cancel()
	start := time.Now()
	err := c.db.Check(limited, nil)
	var damage *store.CheckError
	switch {
	case ctx.Err() != nil:
	case errors.As(err, &damage):
		c.damaged = true
		c.log.Error("the database is damaged: no tasks are handed out and no jobs are taken; what runs goes on",
			"problems", damage.Problems, "more", damage.More)
		c.suspend(damage.Error())
	case err != nil:
		c.log.Warn("the database could not be checked", "error", err)
	case c.damaged:
		c.damaged = false
		c.log.Info("the database is sound again: the farm takes work")
		c.resume()
	default:
		c.log.Debug("the database is sound", "took", time.Since(start))
		c.shrink(ctx)
	}
}

// shrink gives space back to the disk that deleted jobs left.
func (c *databaseCare) shrink(ctx context.Context) {
	unused, size, err := c.db.Unused(ctx)
	if err == nil {
		if unused < muchUnused || unused < size/4 {
			return
		}
		err = c.db.Vacuum(ctx, nil)
	}
	switch {
	case err == nil:
		c.log.Info("space that the database did not use any more was given back", "bytes", unused)
	case errors.Is(err, store.ErrNeedsWholeVacuum):
		c.log.Info("much of the database is unused", "bytes", unused, "advice", err.Error())
	case ctx.Err() == nil:
		c.log.Warn("space that the database does not use cannot be given back", "error", err)
	}
}
