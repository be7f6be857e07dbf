// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/maintenance"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/version"
)

// newKeeper makes the part that tells the other Managers of this one, and keeps the maintenance mode with them.
func newKeeper(db *store.Store, bus *event.Bus, log *slog.Logger) *maintenance.Keeper {
	name, err := os.Hostname()
	if err != nil {
		log.Warn("this machine does not know its name", "error", err)
		name = "unknown"
	}
	return maintenance.New(maintenance.Options{
		Store: db, Bus: bus, Log: log,
		Self: farm.ManagerState{ID: uuid.NewString(), Name: name, Version: version.String(), PID: os.Getpid(), Started: time.Now()},
	})
}
