// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"path/filepath"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/flamenco3"
	"flamenco.farm/internal/store"
)

// databaseFlags makes a subcommand without flags of what cares for the database.
func databaseFlags(do func(context.Context, config.Config, *slog.Logger, io.Writer) error) func(*flag.FlagSet) func(context.Context, *admin) error {
	return func(*flag.FlagSet) func(context.Context, *admin) error {
		return func(ctx context.Context, a *admin) error {
			if err := a.noArguments(); err != nil {
				return err
			}
			return do(ctx, a.config, a.log, a.out)
		}
	}
}

// importFlags is "import-flamenco3".
func importFlags(flags *flag.FlagSet) func(context.Context, *admin) error {
	dryRun := flags.Bool("dry-run", false, "read and check everything, write nothing")
	storage := flags.String("storage", "", "the old Manager's local storage is `DIR`; flamenco-manager-storage beside PATH unless given")
	return func(ctx context.Context, a *admin) error {
		if len(a.args) != 1 {
			return errors.New("give the path of one database")
		}
		from := flamenco3.Source{Database: a.args[0], Storage: *storage}
		if from.Storage == "" {
			from.Storage = filepath.Join(filepath.Dir(from.Database), "flamenco-manager-storage")
		}
		if !*dryRun && a.managerAnswers(ctx) {
			return a.importByManager(ctx, from)
		}
		err := ImportFlamenco3(ctx, a.config, a.log, a.out, from, *dryRun)
		if errors.Is(err, store.ErrInUse) {
			return a.importByManager(ctx, from)
		}
		return err
	}
}

// importByManager has the Manager that runs import a farm.
func (a *admin) importByManager(ctx context.Context, from flamenco3.Source) error {
	params := map[string]any{}
	for name, path := range map[string]string{"database": from.Database, "storage": from.Storage} {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		params[name] = absolute
	}
	return a.runByManager(ctx, kindImport, params)
}

// vacuumFlags is "db vacuum". While a Manager runs, it gives back the space that is unused, a little at a time.
func vacuumFlags(*flag.FlagSet) func(context.Context, *admin) error {
	return func(ctx context.Context, a *admin) error {
		if err := a.noArguments(); err != nil {
			return err
		}
		err := VacuumDatabase(ctx, a.config, a.log, a.out)
		if errors.Is(err, store.ErrInUse) {
			return a.runByManager(ctx, kindVacuum, nil)
		}
		return err
	}
}
