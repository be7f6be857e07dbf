// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// Exports that were sent are looked through every so often. Spared is what was written to so lately that it may still be on
// its way, perhaps to another Manager with the same local storage: no operation names it before it has come.
const (
	importSweepEvery = time.Hour
	importOnItsWay   = time.Hour
)

// importSweep removes exports that were sent to be imported and that no operation will: it was canceled before it began, or
// its Manager was killed.
type importSweep struct {
	db    *store.Store
	local *os.Root
	log   *slog.Logger
}

// run removes them until ctx ends.
func (s importSweep) run(ctx context.Context) error {
	tick := time.NewTicker(importSweepEvery)
	defer tick.Stop()
	for {
		if err := s.once(ctx, time.Now().Add(-importOnItsWay)); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot remove exports that were left by an import, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// once removes what was last written to before a moment. An operation is looked for after that: later none can name it.
func (s importSweep) once(ctx context.Context, before time.Time) error {
	entries, err := fs.ReadDir(s.local.FS(), uploadFolder)
	if err != nil || len(entries) == 0 {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	var old []string
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(before) {
			old = append(old, e.Name())
		}
	}
	wanted, err := s.wanted(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range old {
		if !wanted[name] {
			errs = append(errs, removeIfThere(s.local, path.Join(uploadFolder, name)))
		}
	}
	return errors.Join(errs...)
}

// wanted is what operations name that wait or run.
func (s importSweep) wanted(ctx context.Context) (map[string]bool, error) {
	wanted := map[string]bool{}
	open := store.OperationList{
		Page: store.Page{Limit: 100}, Kind: kindImportFarm, StatusIn: []farm.OperationStatus{farm.OperationQueued, farm.OperationRunning},
	}
	for {
		operations, next, err := s.db.Operations(ctx, open)
		if err != nil {
			return nil, err
		}
		for _, o := range operations {
			if p, err := readImportFarmParams(o.Params); err == nil {
				wanted[p.Upload] = true
			}
		}
		if next == "" {
			return wanted, nil
		}
		open.After = next
	}
}
