// SPDX-License-Identifier: GPL-3.0-or-later

// Package farmstatus keeps one word for all jobs and workers together, and tells when it changes. It must not know who
// asks for it.
package farmstatus

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
)

const (
	// every is how often the farm is looked at although nothing is known to have changed.
	every = 30 * time.Second
	// settle is how long a change waits for others that come with it.
	settle = 50 * time.Millisecond
)

// Counts is what the word is made of.
type Counts interface {
	JobCounts(ctx context.Context) (map[farm.JobStatus]int, error)
	WorkerCounts(ctx context.Context) (map[farm.WorkerStatus]int, error)
	Maintenance(ctx context.Context) (farm.Maintenance, error)
}

// Keeper keeps the status of a farm.
type Keeper struct {
	counts Counts
	bus    *event.Bus
	log    *slog.Logger
	again  chan struct{}

	mu     sync.Mutex
	report farm.StatusReport
	broken string // why the Manager cannot work
}

// New makes a Keeper of a farm that is starting.
func New(counts Counts, bus *event.Bus, log *slog.Logger) *Keeper {
	return &Keeper{counts: counts, bus: bus, log: log, report: farm.StatusReport{Status: farm.StatusStarting}, again: make(chan struct{}, 1)}
}

// Report is the status of the farm as it was last found.
func (k *Keeper) Report() farm.StatusReport {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.report
}

// SetInoperative says why the Manager itself cannot work, and with "" that it can again.
func (k *Keeper) SetInoperative(reason string) {
	k.mu.Lock()
	changed := k.broken != reason
	k.broken = reason
	k.mu.Unlock()
	if !changed {
		return
	}
	if reason != "" {
		k.set(farm.StatusInoperative, nil)
	}
	select {
	case k.again <- struct{}{}:
	default: // it looks again anyway
	}
}

// Run looks at the farm when a job or a worker takes another status, and every half a minute.
func (k *Keeper) Run(ctx context.Context) error {
	moved := k.bus.Subscribe(func(c farm.Change) bool {
		return c.Moved || c.Kind == farm.ChangeJobDeleted || c.Kind == farm.ChangeRefresh || c.Kind == farm.ChangeMaintenance
	})
	defer moved.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := k.look(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("cannot find out the status of the farm", "error", err)
		}
		select {
		case <-moved.C:
			if err := pause(ctx); err != nil {
				return err
			}
		case <-k.again:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *Keeper) look(ctx context.Context) error {
	jobs, err := k.counts.JobCounts(ctx)
	if err != nil {
		return err
	}
	workers, err := k.counts.WorkerCounts(ctx)
	if err != nil {
		return err
	}
	mode, err := k.counts.Maintenance(ctx)
	if err != nil {
		return err
	}
	k.set(Of(jobs, workers), mode.Refusal())
	return nil
}

// set takes a status; closed is why nothing is handed out although the Manager can work.
func (k *Keeper) set(s farm.Status, closed error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	report := farm.StatusReport{Status: s}
	if k.broken != "" {
		report = farm.StatusReport{Status: farm.StatusInoperative, Problems: []string{k.broken}}
	}
	if closed != nil {
		report.Problems = append(report.Problems, closed.Error())
	}
	if report.Status == k.report.Status && slices.Equal(report.Problems, k.report.Problems) {
		return
	}
	k.report = report
	k.bus.Announce(farm.Change{Kind: farm.ChangeStatus, Now: report})
}

// Of is the status of a farm with so many jobs and workers of each status.
func Of(jobs map[farm.JobStatus]int, workers map[farm.WorkerStatus]int) farm.Status {
	reachable := 0
	for status, n := range workers {
		if status != farm.WorkerOffline && status != farm.WorkerError {
			reachable += n
		}
	}
	awake := workers[farm.WorkerAwake] > 0
	switch {
	case reachable == 0:
		return farm.StatusInoperative
	case jobs[farm.JobActive] > 0 && awake:
		return farm.StatusActive
	case jobs[farm.JobActive]+jobs[farm.JobQueued] > 0:
		return farm.StatusWaiting
	case !awake && workers[farm.WorkerAsleep] > 0:
		return farm.StatusAsleep
	}
	return farm.StatusIdle
}
