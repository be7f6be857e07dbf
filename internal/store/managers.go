// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// forgetManagersAfter is how long a Manager that is gone is remembered.
const forgetManagersAfter = 24 * time.Hour

// enterFarm gives a farm its id, unless it has one. Of a database that only one Manager can have open, all that were there
// before are gone, also those that could not say so.
func enterFarm(ctx context.Context, q *query.Queries, alone bool) error {
	if err := q.InsertFarm(ctx, uuid.NewString()); err != nil || !alone {
		return err
	}
	return q.ManagersAreGone(ctx)
}

// FarmID is the id of the farm: made with its database, and never changed.
func (s *Store) FarmID(ctx context.Context) (string, error) {
	row, err := s.reads.FarmState(ctx)
	return row.Uuid, wrap(err)
}

// Maintenance is the maintenance mode as it is in the database. Like DoApart it waits for nobody.
func (s *Store) Maintenance(ctx context.Context) (farm.Maintenance, error) {
	reads := s.reads
	if s.apart != nil {
		reads = query.New(s.keep)
	}
	row, err := reads.FarmState(ctx)
	return maintenance(row), wrap(err)
}

// Maintenance is the maintenance mode as the transaction sees it. It reads one row by its key.
func (tx *Tx) Maintenance() (farm.Maintenance, error) {
	row, err := tx.q.FarmState(tx.ctx)
	return maintenance(row), wrap(err)
}

// OutsideMaintenance is nil unless the farm is in maintenance; then it is the error that says so.
func (tx *Tx) OutsideMaintenance() error {
	m, err := tx.Maintenance()
	if err != nil {
		return err
	}
	return m.Refusal()
}

// SetMaintenance begins the maintenance or ends it, and returns what holds now. What is so already stays as it is.
func (tx *Tx) SetMaintenance(on bool, reason, who string) (farm.Maintenance, error) {
	now, err := tx.Maintenance()
	if err != nil || (now.On == on && (now.Reason == reason || !on)) {
		return now, err
	}
	row, err := tx.q.UpdateMaintenance(tx.ctx, query.UpdateMaintenanceParams{
		Maintenance: on, Reason: reason, Who: who, SinceAt: tx.stamp(),
	})
	if err != nil {
		return farm.Maintenance{}, wrap(err)
	}
	tx.Changed(farm.Change{Kind: farm.ChangeMaintenance})
	return maintenance(row), nil
}

// SaveManager stores what a Manager says of itself, and that it was seen now.
func (tx *Tx) SaveManager(m farm.ManagerState) error {
	urls, err := json.Marshal(m.URLs)
	if err != nil {
		return err
	}
	return tx.q.SaveManager(tx.ctx, query.SaveManagerParams{
		Uuid: m.ID, Name: m.Name, Urls: string(urls), Version: m.Version, Pid: int64(m.PID), State: string(m.State), Epoch: m.Epoch,
		StartedAt: micros.Of(m.Started), SeenAt: tx.stamp(),
	})
}

// ForgetManagers deletes the Managers that were last seen a day ago.
func (tx *Tx) ForgetManagers() error {
	return tx.q.ForgetManagers(tx.ctx, micros.Of(tx.now.Add(-forgetManagersAfter)))
}

// Managers lists the Managers of the farm, those that are gone too, by name.
func (s *Store) Managers(ctx context.Context) ([]farm.ManagerState, error) {
	now := s.Now()
	if s.clock != nil {
		var err error
		if now, err = s.clock.read(ctx, s.read); err != nil {
			return nil, wrap(err)
		}
	}
	managers, err := managersAt(ctx, s.reads, now)
	return managers, wrap(err)
}

func managersAt(ctx context.Context, q *query.Queries, now time.Time) ([]farm.ManagerState, error) {
	rows, err := q.Managers(ctx)
	if err != nil {
		return nil, err
	}
	managers := make([]farm.ManagerState, len(rows))
	for i, r := range rows {
		m := farm.ManagerState{
			ID: r.Uuid, Name: r.Name, Version: r.Version, PID: int(r.Pid), State: farm.ManagerStatus(r.State), Epoch: r.Epoch,
			Started: r.StartedAt.Time, Seen: r.SeenAt.Time,
		}
		if err := json.Unmarshal([]byte(r.Urls), &m.URLs); err != nil {
			return nil, fmt.Errorf("the addresses of manager %s: %w", m.ID, err)
		}
		if now.Sub(m.Seen) > farm.ManagerGoneAfter {
			m.State = farm.ManagerGone
		}
		managers[i] = m
	}
	return managers, nil
}

func maintenance(row query.FarmState) farm.Maintenance {
	return farm.Maintenance{On: row.Maintenance, Reason: row.Reason, Who: row.Who, Since: row.SinceAt.Time, Epoch: row.Epoch}
}
