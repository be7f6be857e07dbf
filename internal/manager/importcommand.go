// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/google/uuid"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/store"
)

// importFarmFlags is "import".
func importFarmFlags(flags *flag.FlagSet) func(context.Context, *admin) error {
	erase := flags.String("erase", "", "do not ask, and erase what the farm with this `ID` has")
	return func(ctx context.Context, a *admin) error {
		if len(a.args) != 1 {
			return errors.New("give the name of one file that export has written, or - to read it from the standard input")
		}
		return a.importFrom(ctx, a.args[0], *erase)
	}
}

func (a *admin) importFrom(ctx context.Context, name, erase string) (err error) {
	from := io.NopCloser(a.in)
	if name != "-" {
		if from, err = os.Open(name); err != nil {
			return err
		}
		if erase, err = a.askToErase(ctx, erase); err != nil {
			return err
		}
	}
	defer from.Close() //nolint:errcheck // it was only read
	if a.managerAnswers(ctx) {
		return a.importByTheManager(ctx, from, erase)
	}
	bus := &event.Bus{}
	db, err := store.Open(ctx, store.Options{
		Database: a.config.Database, Durability: store.Durability(a.config.Durability), Log: a.log, OnCommit: bus.Publish,
	})
	if errors.Is(err, store.ErrInUse) {
		return a.importByTheManager(ctx, from, erase)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := makeSharedStorage(a.config.SharedStorage); err != nil { // no Manager may have been here before
		return err
	}
	params := map[string]any{"erase": erase}
	if name != "-" {
		if params["file"], err = filepath.Abs(name); err != nil {
			return err
		}
	} else if params["upload"], err = a.spoolImport(from); err != nil {
		return err
	}
	return a.asManager(ctx, db, bus, func(operations *operation.Service) error {
		return a.runHere(ctx, operations, kindImportFarm, params)
	})
}

// askToErase asks before something is lost, and returns the id of the farm if it may be. Without somebody to ask it
// returns what it was given, and the operation decides.
func (a *admin) askToErase(ctx context.Context, erase string) (string, error) {
	if erase != "" || !a.terminal || databaseIsThere(a.config.Database) != nil {
		return erase, nil
	}
	db, err := store.OpenForReading(ctx, store.Options{Database: a.config.Database, Log: a.log})
	if err != nil {
		return "", err
	}
	defer db.Close() //nolint:errcheck // it was only read
	contents, err := db.FarmContents(ctx)
	if err != nil || contents == "" {
		return "", err
	}
	if err := a.confirm(false, fmt.Sprintf("This erases the farm in %s: %s.", store.NameOf(a.config.Database), contents)); err != nil {
		return "", err
	}
	return db.FarmID(ctx)
}

// spoolImport stores what comes in, so that an operation can read it.
func (a *admin) spoolImport(from io.Reader) (id string, err error) {
	local, err := os.OpenRoot(a.config.LocalStorage)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, local.Close()) }()
	id = uuid.NewString()
	name := path.Join(uploadFolder, id)
	if err := (farmImports{local: local, folder: a.config.LocalStorage}).store(name, from); err != nil {
		return "", errors.Join(err, removeIfThere(local, name))
	}
	return id, nil
}

// importByTheManager sends the export to the Manager that runs.
func (a *admin) importByTheManager(ctx context.Context, from io.Reader, erase string) error {
	c, token, err := a.ownManager()
	if err != nil {
		return err
	}
	started, err := c.ImportFarm(ctx, token, erase, from)
	if err != nil {
		return err
	}
	return a.follow(ctx, c, started.ID)
}
