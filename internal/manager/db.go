// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flamenco3"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/tasklog"
)

// CheckDatabase is "db check": it reads the whole database, also beside a running Manager, and lists what is wrong with it.
func CheckDatabase(ctx context.Context, cfg config.Config, _ *slog.Logger, out io.Writer) error {
	fmt.Fprintf(out, "Checking %s\n", store.NameOf(cfg.Database))
	err := store.CheckFile(ctx, cfg.Database, nil)
	var damage *store.CheckError
	if errors.As(err, &damage) {
		for _, problem := range damage.Problems {
			fmt.Fprintln(out, "-", problem)
		}
		if damage.More {
			fmt.Fprintln(out, "- and more")
		}
		return errors.New("the database is damaged")
	}
	if err == nil {
		fmt.Fprintln(out, "The database is sound.")
	}
	return err
}

// MigrateDatabase is "db migrate": it brings the schema up to date, as a start of the Manager does, after making a copy.
func MigrateDatabase(ctx context.Context, cfg config.Config, log *slog.Logger, out io.Writer) error {
	if err := databaseIsThere(cfg.Database); err != nil {
		return err
	}
	db, err := openStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The schema of %s is up to date.\n", store.NameOf(cfg.Database))
	return err
}

// VacuumDatabase is "db vacuum": it writes the database anew, as small as it can be.
func VacuumDatabase(ctx context.Context, cfg config.Config, _ *slog.Logger, out io.Writer) error {
	fmt.Fprintf(out, "Writing %s anew\n", store.NameOf(cfg.Database))
	before, after, err := store.VacuumFile(ctx, cfg.Database)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "It had %.1f MiB and has %.1f MiB now.\n", mebibytes(before), mebibytes(after))
	return err
}

// databaseIsThere keeps a subcommand from making a database for nothing.
func databaseIsThere(database string) error {
	if store.IsPostgres(database) {
		return nil // whether it is there is seen when it is opened
	}
	if _, err := os.Stat(database); err != nil {
		return fmt.Errorf("there is no database: %w", err)
	}
	return nil
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func openStore(ctx context.Context, cfg config.Config, log *slog.Logger) (*store.Store, error) {
	return store.Open(ctx, store.Options{Database: cfg.Database, Durability: store.Durability(cfg.Durability), Log: log})
}

// ImportFlamenco3 is "import-flamenco3": it brings the farm of a Flamenco 3 Manager over and prints what became of it.
func ImportFlamenco3(ctx context.Context, cfg config.Config, log *slog.Logger, out io.Writer, from flamenco3.Source, dryRun bool) (err error) {
	if _, err := os.Stat(from.Database); err != nil { // before a new farm is made for nothing
		return fmt.Errorf("there is no database to import: %w", err)
	}
	target := flamenco3.Target{LogName: tasklog.Path, Schedule: importSchedule, Rendered: importRendered}
	open := openTarget
	if dryRun {
		open = lookAtTarget
	}
	if err := open(ctx, cfg, log, &target); err != nil {
		return err
	}
	if target.Store != nil {
		defer func() { err = errors.Join(err, target.Store.Close()) }()
	}
	if target.Storage != nil {
		defer func() { err = errors.Join(err, target.Storage.Close()) }()
	}
	report, err := flamenco3.Import(ctx, from, target, flamenco3.Options{DryRun: dryRun, Progress: everyTenth(out)})
	fmt.Fprintln(out)
	return errors.Join(err, report.Print(out))
}

// importSchedule stores a sleep schedule. When it has its next edge is found out at the next start of a Manager.
func importSchedule(tx *store.Tx, s flamenco3.SleepSchedule) error {
	w, err := tx.AnyWorker(s.WorkerID)
	if err != nil {
		return err
	}
	return tx.SaveSleepSchedule(w, store.SleepSchedule{SleepSchedule: farm.SleepSchedule{
		Active: s.Active, Windows: []farm.SleepWindow{{Days: s.Days, Start: s.Start, End: s.End}},
	}})
}

// importRendered notes that a job has pictures, unless it is to be deleted: then they go with it.
func importRendered(tx *store.Tx, jobID string) error {
	if err := tx.SetLastRendered(jobID); !farm.IsNotExist(err) {
		return err
	}
	return nil
}

// openTarget opens the farm that gets everything, which no Manager may use meanwhile.
func openTarget(ctx context.Context, cfg config.Config, log *slog.Logger, target *flamenco3.Target) (err error) {
	if target.Store, err = openStore(ctx, cfg, log); err != nil {
		return err
	}
	if err = os.MkdirAll(cfg.LocalStorage, 0o750); err == nil {
		target.Storage, err = os.OpenRoot(cfg.LocalStorage)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("opening the local storage: %w", err), target.Store.Close())
	}
	return nil
}

// lookAtTarget opens what there is of the farm, to read only. Nothing is made.
func lookAtTarget(ctx context.Context, cfg config.Config, log *slog.Logger, target *flamenco3.Target) error {
	err := databaseIsThere(cfg.Database)
	if err == nil {
		target.Store, err = store.OpenForReading(ctx, store.Options{Database: cfg.Database, Log: log})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	storage, err := os.OpenRoot(cfg.LocalStorage)
	switch {
	case err == nil:
		target.Storage = storage
	case !errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("opening the local storage: %w", err)
		if target.Store != nil {
			err = errors.Join(err, target.Store.Close())
		}
		return err
	}
	return nil
}

// everyTenth tells of progress ten times.
func everyTenth(out io.Writer) func(done, total int) {
	next := 1
	return func(done, total int) {
		if done*10 < next*total {
			return
		}
		fmt.Fprintf(out, "%d of %d jobs\n", done, total)
		next = done*10/total + 1
	}
}
