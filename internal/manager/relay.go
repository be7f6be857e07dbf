// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"log/slog"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/tasklog"
)

// relayRoom is how much news of other Managers may wait; what has no room is not told, and clients read it when they look.
const relayRoom = 1024

// relay tells the clients of this Manager what others did to logs and pictures. Their text is in no event: it is read from
// where all Managers keep it, and only if somebody wants to know.
type relay struct {
	bus      *event.Bus
	logs     *tasklog.Store
	previews *preview.Service
	log      *slog.Logger
	news     chan farm.Change
}

func newRelay(bus *event.Bus, logs *tasklog.Store, log *slog.Logger) *relay {
	return &relay{bus: bus, logs: logs, log: log, news: make(chan farm.Change, relayRoom)}
}

// hear takes what another Manager committed. It never blocks.
func (r *relay) hear(changes []farm.Change) {
	r.bus.Publish(changes)
	for _, c := range changes {
		if !r.concerns(c) {
			continue
		}
		select {
		case r.news <- c:
		default: // nobody waits for the slowest reader
		}
	}
}

func (r *relay) concerns(c farm.Change) bool {
	switch {
	case c.Kind == farm.ChangeTask && c.Log != nil:
		return r.bus.Hears(farm.Change{Kind: farm.ChangeTaskLog, JobID: c.JobID, TaskID: c.TaskID})
	case c.Kind == farm.ChangeLastRendered:
		return r.bus.Hears(c)
	}
	return false
}

// run tells until ctx ends.
func (r *relay) run(ctx context.Context) error {
	for {
		select {
		case c := <-r.news:
			if c.Kind == farm.ChangeLastRendered {
				picture := pictured(c.JobID, r.previews.Of(c.JobID))
				picture.Remote = true // so the broker hears of it once
				r.bus.Announce(picture)
				continue
			}
			r.tellLog(c)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *relay) tellLog(c farm.Change) {
	id := farm.LogID{JobID: c.JobID, TaskID: c.TaskID, Generation: c.Log.Generation}
	text, err := r.logs.Added(id, c.Log.From, c.Log.To)
	if err != nil {
		if !farm.IsNotExist(err) {
			r.log.Warn("cannot read what another Manager added to a task log", "task", c.TaskID, "error", err)
		}
		return
	}
	if text == "" { // the log was too long, and is without it by now
		return
	}
	r.bus.Announce(farm.Change{Kind: farm.ChangeTaskLog, JobID: c.JobID, TaskID: c.TaskID, Now: farm.TaskLog(text)})
}
