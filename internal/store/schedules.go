// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// SleepSchedule is when a worker sleeps, inside a transaction.
type SleepSchedule struct {
	farm.SleepSchedule
	// Held is what a person asked of the worker since the last edge of the schedule, "" = nothing. It counts until NextCheck.
	Held farm.WorkerStatus
	// NextCheck is the next edge of the schedule, zero = there is none.
	NextCheck time.Time
}

// sleepWindow is how a window is stored.
type sleepWindow struct {
	Days  string `json:"days,omitempty"`
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`
}

// SleepSchedule is when a worker sleeps; farm.ErrNotExist if it has no schedule.
func (s *Store) SleepSchedule(ctx context.Context, workerID string) (farm.SleepSchedule, error) {
	row, err := s.reads.SleepScheduleByUUID(ctx, workerID)
	if err != nil {
		return farm.SleepSchedule{}, wrap(err)
	}
	windows, err := readWindows(row.Windows)
	return farm.SleepSchedule{Active: row.IsActive, Windows: windows}, err
}

// SleepSchedule loads when a worker sleeps; farm.ErrNotExist if it has no schedule.
func (tx *Tx) SleepSchedule(w *Worker) (*SleepSchedule, error) {
	row, err := tx.q.SleepSchedule(tx.ctx, w.id)
	if err != nil {
		return nil, wrap(err)
	}
	windows, err := readWindows(row.Windows)
	return &SleepSchedule{
		SleepSchedule: farm.SleepSchedule{Active: row.IsActive, Windows: windows},
		Held:          farm.WorkerStatus(row.HeldStatus), NextCheck: row.NextCheckAt.Time,
	}, err
}

// SaveSleepSchedule gives a worker a schedule in place of the one it had.
func (tx *Tx) SaveSleepSchedule(w *Worker, s SleepSchedule) error {
	windows := make([]sleepWindow, len(s.Windows))
	for i, v := range s.Windows {
		windows[i] = sleepWindow(v)
	}
	text, err := json.Marshal(windows)
	if err != nil {
		return fmt.Errorf("storing a sleep schedule: %w", err)
	}
	tx.Changed(farm.Change{Kind: farm.ChangeSchedule, WorkerID: w.ID})
	return tx.q.SaveSleepSchedule(tx.ctx, query.SaveSleepScheduleParams{
		WorkerID: w.id, IsActive: s.Active, Windows: string(text), HeldStatus: string(s.Held), NextCheckAt: micros.Of(s.NextCheck),
	})
}

// MoveSleepSchedule sets the next edge of a schedule, and whether a request of a person is still held, unless its next
// edge is not the one that it was any more: then another Manager was quicker, and moved is false.
func (tx *Tx) MoveSleepSchedule(w *Worker, was, next time.Time, held farm.WorkerStatus) (moved bool, err error) {
	n, err := tx.q.MoveSleepSchedule(tx.ctx, query.MoveSleepScheduleParams{
		WorkerID: w.id, HeldStatus: string(held), NextCheckAt: micros.Of(next), Was: stored(was),
	})
	return n == 1, err
}

// HoldSleepSchedule keeps the schedule of a worker, if there is one, from changing its status before the next edge.
func (tx *Tx) HoldSleepSchedule(w *Worker, asked farm.WorkerStatus) error {
	return tx.q.HoldSleepSchedule(tx.ctx, query.HoldSleepScheduleParams{WorkerID: w.id, HeldStatus: string(asked)})
}

// DeleteSleepSchedule takes the schedule from a worker.
func (tx *Tx) DeleteSleepSchedule(w *Worker) error { return tx.q.DeleteSleepSchedule(tx.ctx, w.id) }

// StatusBefore is the status that a worker had before the present one, and who changed it: worker:<id>, user or manager.
// Both are empty if it never changed.
func (tx *Tx) StatusBefore(w *Worker) (before farm.WorkerStatus, who string, err error) {
	row, err := tx.q.WorkerStatusBefore(tx.ctx, w.id)
	if err = wrap(err); farm.IsNotExist(err) {
		return "", "", nil
	}
	return farm.WorkerStatus(row.FromStatus), row.Who, err
}

// DueSleepSchedules lists the ids of workers whose schedule has an edge up to a moment, earliest first.
func (s *Store) DueSleepSchedules(ctx context.Context, now time.Time, limit int) ([]string, error) {
	ids, err := s.reads.DueSleepSchedules(ctx, query.DueSleepSchedulesParams{NextCheckAt: micros.Of(now), N: int64(limit)})
	return ids, wrap(err)
}

// ActiveSleepSchedules lists the ids of all workers that follow a schedule.
func (s *Store) ActiveSleepSchedules(ctx context.Context) ([]string, error) {
	ids, err := s.reads.ActiveSleepSchedules(ctx)
	return ids, wrap(err)
}

// NextSleepCheck is the earliest edge of all schedules; zero if there is none.
func (s *Store) NextSleepCheck(ctx context.Context) (time.Time, error) {
	next, err := s.reads.NextSleepCheck(ctx)
	if err = wrap(err); farm.IsNotExist(err) {
		return time.Time{}, nil
	}
	return next.Time, err
}

// stored is a time as the number that its column holds.
func stored(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func readWindows(text string) ([]farm.SleepWindow, error) {
	var windows []sleepWindow
	if err := json.Unmarshal([]byte(text), &windows); err != nil {
		return nil, fmt.Errorf("a stored sleep schedule: %w", err)
	}
	list := make([]farm.SleepWindow, len(windows))
	for i, w := range windows {
		list[i] = farm.SleepWindow(w)
	}
	return list, nil
}
