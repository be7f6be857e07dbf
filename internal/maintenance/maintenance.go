// SPDX-License-Identifier: GPL-3.0-or-later

// Package maintenance owns what one Manager knows of the others, and the maintenance mode that all of them keep: it writes
// down that this Manager is there, notices within a second when the mode changes, and counts what is under way that must
// be over before this Manager may say that it keeps it. It must not know what is forbidden during the maintenance: those
// who do it ask.
package maintenance

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// lookEvery is how often the database is asked for the mode: it has to be seen within a second.
const lookEvery = 500 * time.Millisecond

// MaxReason is how long the reason of a maintenance may be, in bytes.
const MaxReason = 1000

// Options is what a Keeper is made of.
type Options struct {
	Store *store.Store
	Bus   *event.Bus // hears what the store commits; is told when this Manager keeps another mode
	Log   *slog.Logger
	// Self is this Manager: ID, Name, Version, PID and Started.
	Self farm.ManagerState
}

// Keeper keeps the maintenance mode in one Manager.
type Keeper struct {
	store *store.Store
	bus   *event.Bus
	log   *slog.Logger
	wake  chan struct{} // there is something to look at, or to write down

	mu     sync.Mutex
	self   farm.ManagerState // as it is to be written down; but for Epoch
	mode   farm.Maintenance  // what this Manager goes by
	inside int               // changes under way
	kept   int64             // the newest epoch that everything under way goes by
}

// New makes a Keeper; it starts nothing.
func New(opts Options) *Keeper {
	opts.Self.State = farm.ManagerStarting
	return &Keeper{store: opts.Store, bus: opts.Bus, log: opts.Log, self: opts.Self, wake: make(chan struct{}, 1)}
}

// ID is what this Manager is called among the others.
func (k *Keeper) ID() string { return k.self.ID }

// Register writes down that this Manager is there, and finds out which mode it has to keep: before it does anything else.
func (k *Keeper) Register(ctx context.Context) error {
	var mode farm.Maintenance
	err := k.store.Do(ctx, func(tx *store.Tx) (err error) {
		if mode, err = tx.Maintenance(); err != nil {
			return err
		}
		if err := tx.ForgetManagers(); err != nil {
			return err
		}
		self := k.description()
		self.Epoch = mode.Epoch // nothing is under way yet
		return tx.SaveManager(self)
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mode, k.kept = mode, mode.Epoch
	if mode.On {
		k.log.Warn("the farm is in maintenance: no tasks are handed out and no jobs are taken", "reason", mode.Reason, "since", mode.Since)
	}
	return nil
}

// Leave writes down that this Manager is gone.
func (k *Keeper) Leave(ctx context.Context) error {
	k.set(func(self *farm.ManagerState) { self.State = farm.ManagerGone })
	return k.write(ctx)
}

// Listens says that this Manager answers at addresses from now on.
func (k *Keeper) Listens(urls []string) {
	k.set(func(self *farm.ManagerState) { self.URLs, self.State = urls, farm.ManagerRunning })
}

// Drains says that this Manager takes nothing new any more.
func (k *Keeper) Drains() {
	k.set(func(self *farm.ManagerState) { self.State = farm.ManagerDraining })
}

func (k *Keeper) set(change func(*farm.ManagerState)) {
	k.mu.Lock()
	change(&k.self)
	k.mu.Unlock()
	k.Refresh()
}

// Refresh looks at the database soon, because somebody says that the mode has changed. It does not block.
func (k *Keeper) Refresh() {
	select {
	case k.wake <- struct{}{}:
	default: // it has not looked yet
	}
}

// Mode is the maintenance mode that this Manager goes by.
func (k *Keeper) Mode() farm.Maintenance {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mode
}

// Enter begins something that must not happen during the maintenance; leave is to be called when it is over. During the
// maintenance there is an error of farm.CodeMaintenance instead. A transaction that has to be sure asks its own
// store.Tx.Maintenance as well: this Manager may not have heard yet.
func (k *Keeper) Enter() (leave func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.mode.Refusal(); err != nil {
		return nil, err
	}
	k.inside++
	return k.leave, nil
}

func (k *Keeper) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inside--
	if k.settle() {
		k.Refresh()
	}
}

// settle notes that the mode is kept once nothing is under way that it forbids, and reports whether that is news.
func (k *Keeper) settle() bool {
	if k.mode.Epoch <= k.kept || (k.mode.On && k.inside > 0) {
		return false
	}
	k.kept = k.mode.Epoch
	return true
}

// Switch begins the maintenance of the farm or ends it, and returns what holds now. This Manager keeps it at once.
func (k *Keeper) Switch(ctx context.Context, on bool, reason, who string) (mode farm.Maintenance, err error) {
	if mode, err = Switch(ctx, k.store, on, reason, who); err != nil {
		return mode, err
	}
	k.apply(mode)
	if err := k.write(ctx); err != nil {
		k.log.Warn("cannot write down that this Manager keeps the maintenance mode, will try again", "error", err)
	}
	return mode, nil
}

// write writes down how this Manager stands.
func (k *Keeper) write(ctx context.Context) error {
	return k.store.DoApart(ctx, func(tx *store.Tx) error { return tx.SaveManager(k.description()) })
}

// Switch changes the mode in the database alone, for a program that is no Manager.
func Switch(ctx context.Context, db *store.Store, on bool, reason, who string) (mode farm.Maintenance, err error) {
	if len(reason) > MaxReason {
		return mode, farm.Errorf(farm.CodeInvalid, "reason: longer than %d bytes", MaxReason)
	}
	err = db.Do(ctx, func(tx *store.Tx) error {
		mode, err = tx.SetMaintenance(on, reason, who)
		return err
	})
	return mode, err
}

// apply keeps a mode from now on, and wakes those who wait for it.
func (k *Keeper) apply(mode farm.Maintenance) {
	k.mu.Lock()
	was := k.mode
	if mode.Epoch <= was.Epoch {
		k.mu.Unlock()
		return
	}
	k.mode = mode
	k.settle()
	k.mu.Unlock()
	k.Refresh()
	changes := []farm.Change{{Kind: farm.ChangeMaintenance}}
	switch {
	case mode.On:
		k.log.Warn("the farm is in maintenance: no tasks are handed out and no jobs are taken; what runs goes on", "reason", mode.Reason, "who", mode.Who)
	case was.On:
		k.log.Info("the maintenance is over: the farm takes work", "who", mode.Who)
	}
	if !mode.On {
		changes = append(changes, farm.Change{Kind: farm.ChangeWork})
	}
	k.bus.Publish(changes)
}

func (k *Keeper) description() farm.ManagerState {
	k.mu.Lock()
	defer k.mu.Unlock()
	self := k.self
	self.Epoch = k.kept
	return self
}
