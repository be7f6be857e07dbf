// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/maintenance"
	"flamenco.farm/internal/store"
)

// maintenanceOnFlags is "maintenance on".
func maintenanceOnFlags(flags *flag.FlagSet) func(context.Context, *admin) error {
	reason := flags.String("reason", "", "tell everybody `WHY`")
	wait := flags.Bool("wait", false, "end once every Manager keeps it and has nothing under way that it forbids")
	return func(ctx context.Context, a *admin) error { return a.setMaintenance(ctx, true, *reason, *wait) }
}

// maintenanceOffFlags is "maintenance off".
func maintenanceOffFlags(flags *flag.FlagSet) func(context.Context, *admin) error {
	wait := flags.Bool("wait", false, "end once every Manager takes work again")
	return func(ctx context.Context, a *admin) error { return a.setMaintenance(ctx, false, "", *wait) }
}

// maintenanceStatusFlags is "maintenance status".
func maintenanceStatusFlags(*flag.FlagSet) func(context.Context, *admin) error {
	return func(ctx context.Context, a *admin) error {
		return a.readingDatabase(ctx, func(db *store.Store) error { return printMaintenance(ctx, a.out, db) })
	}
}

// setMaintenance changes the mode: by the Manager that runs, or in the database itself when there is none.
func (a *admin) setMaintenance(ctx context.Context, on bool, reason string, wait bool) error {
	if err := a.noArguments(); err != nil {
		return err
	}
	if err := databaseIsThere(a.config.Database); err != nil {
		return err
	}
	var mode farm.Maintenance
	db, err := store.Open(ctx, store.Options{
		Database: a.config.Database, Durability: store.Durability(a.config.Durability), Log: a.log,
		Beside: store.IsPostgres(a.config.Database), // Managers may have it open that know another schema
	})
	switch {
	case errors.Is(err, store.ErrInUse):
		if err := a.askForMaintenance(ctx, on, reason); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		_, err := maintenance.Switch(ctx, db, on, reason, "user")
		if err := errors.Join(err, db.Close()); err != nil {
			return err
		}
	}
	return a.readingDatabase(ctx, func(db *store.Store) error {
		if mode, err = db.Maintenance(ctx); err != nil {
			return err
		}
		if wait {
			if err := maintenance.Wait(ctx, db, mode, awaiting(a.out)); err != nil {
				return err
			}
		}
		return printMaintenance(ctx, a.out, db)
	})
}

// askForMaintenance has the Manager change the mode that has the database open.
func (a *admin) askForMaintenance(ctx context.Context, on bool, reason string) error {
	c, token, err := a.ownManager()
	if err == nil {
		_, err = c.SetMaintenance(ctx, token, on, reason)
	}
	return err
}

// readingDatabase works with the database, which a Manager may have open.
func (a *admin) readingDatabase(ctx context.Context, do func(*store.Store) error) error {
	if err := a.noArguments(); err != nil {
		return err
	}
	db, err := store.OpenForReading(ctx, store.Options{Database: a.config.Database, Log: a.log})
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

// awaiting says once whom it waits for, and again when that changes.
func awaiting(out io.Writer) func([]farm.ManagerState) {
	last := ""
	return func(managers []farm.ManagerState) {
		names := make([]string, len(managers))
		for i, m := range managers {
			names[i] = fmt.Sprintf("%s (%d)", m.Name, m.PID)
		}
		if text := strings.Join(names, ", "); text != last {
			last = text
			fmt.Fprintln(out, "Waiting for", text)
		}
	}
}

func printMaintenance(ctx context.Context, out io.Writer, db *store.Store) error {
	mode, err := db.Maintenance(ctx)
	if err != nil {
		return err
	}
	managers, err := db.Managers(ctx)
	if err != nil {
		return err
	}
	var text strings.Builder
	if mode.On {
		fmt.Fprintf(&text, "The farm is in maintenance since %s", mode.Since.Local().Format(time.DateTime))
		if mode.Reason != "" {
			fmt.Fprintf(&text, ": %s", mode.Reason)
		}
		text.WriteString("\n")
	} else {
		text.WriteString("The farm is not in maintenance.\n")
	}
	for _, m := range managers {
		fmt.Fprintf(&text, "Manager %s (process %d, version %s): %s, last seen %s", m.Name, m.PID, m.Version, m.State, m.Seen.Local().Format(time.DateTime))
		if len(mode.Awaits([]farm.ManagerState{m})) > 0 {
			text.WriteString(", has not applied the change yet")
		}
		text.WriteString("\n")
	}
	_, err = io.WriteString(out, text.String())
	return err
}
