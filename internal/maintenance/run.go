// SPDX-License-Identifier: GPL-3.0-or-later

package maintenance

import (
	"context"
	"slices"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// forgetEvery is how often Managers are forgotten that are gone for long.
const forgetEvery = time.Hour

// Run keeps the mode as the database has it, and writes down that this Manager is there, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	changed := k.bus.Subscribe(func(c farm.Change) bool { return c.Kind == farm.ChangeMaintenance })
	defer changed.Close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var b beats
	failing := false
	for {
		err := k.look(ctx, &b)
		switch {
		case ctx.Err() != nil:
		case err != nil && !failing: // the next few hundred times will not say more
			k.log.Error("cannot read the maintenance mode or say that this Manager is there, will try again", "error", err)
		case err == nil && failing:
			k.log.Info("the maintenance mode can be read again")
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-changed.C:
		case <-k.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// beats is what was last written down, and when.
type beats struct {
	last     farm.ManagerState
	at       time.Time
	forgotAt time.Time
}

func (b *beats) due(self farm.ManagerState, now time.Time) bool {
	return now.Sub(b.at) >= farm.ManagerBeat || self.State != b.last.State || self.Epoch != b.last.Epoch || !slices.Equal(self.URLs, b.last.URLs)
}

// look keeps the mode that the database has. It writes only when there is something to say: on a farm of one machine that
// spares the disk.
func (k *Keeper) look(ctx context.Context, b *beats) error {
	mode, err := k.store.Maintenance(ctx)
	if err != nil {
		return err
	}
	k.apply(mode)
	now, self := time.Now(), k.description()
	if !b.due(self, now) {
		return nil
	}
	forget := now.Sub(b.forgotAt) >= forgetEvery
	err = k.store.DoApart(ctx, func(tx *store.Tx) error {
		self = k.description() // not an older one than what was written meanwhile
		if err := tx.SaveManager(self); err != nil || !forget {
			return err
		}
		return tx.ForgetManagers()
	})
	if err != nil {
		return err
	}
	b.last, b.at = self, now
	if forget {
		b.forgotAt = now
	}
	return nil
}

// Wait returns once all Managers that are there keep a mode, or a newer one. told hears each time whom it waits for.
func Wait(ctx context.Context, db *store.Store, mode farm.Maintenance, told func([]farm.ManagerState)) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		managers, err := db.Managers(ctx)
		if err != nil {
			return err
		}
		awaited := mode.Awaits(managers)
		if len(awaited) == 0 {
			return nil
		}
		told(awaited)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
