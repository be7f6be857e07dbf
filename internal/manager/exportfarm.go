// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"flamenco.farm/internal/export"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/version"
)

// exportFarm writes the farm as it is now, and returns how many rows it has. progress hears how many were written.
func exportFarm(ctx context.Context, db *store.Store, to io.Writer, progress func(rows int64)) (rows int64, err error) {
	id, err := db.FarmID(ctx)
	if err != nil {
		return 0, err
	}
	var w *export.Writer
	err = db.Export(ctx, func(info store.ExportInfo) (store.RowSink, error) {
		w, err = export.NewWriter(to, export.Header{
			Schema: info.Schema, Engine: info.Engine, Flamenco: version.Version, Exported: time.Now().UTC(), Farm: id,
		})
		return counting{w, progress}, err
	})
	if err != nil {
		return 0, err
	}
	return w.Rows(), w.Close()
}

// counting tells how far an export is, now and then.
type counting struct {
	*export.Writer
	tell func(rows int64)
}

const tellEvery = 100_000

// Row implements store.RowSink.
func (c counting) Row(values []any) error {
	if n := c.Rows(); n > 0 && n%tellEvery == 0 {
		c.tell(n)
	}
	return c.Writer.Row(values)
}

// exportFlags is "export".
func exportFlags(*flag.FlagSet) func(context.Context, *admin) error {
	return func(ctx context.Context, a *admin) error {
		if len(a.args) != 1 {
			return errors.New("give the name of the file to write, or - to write it to the standard output")
		}
		return a.exportTo(ctx, a.args[0])
	}
}

func (a *admin) exportTo(ctx context.Context, path string) (err error) {
	db, err := store.OpenForReading(ctx, store.Options{Database: a.config.Database, Log: a.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	p := func(rows int64) { fmt.Fprintf(a.errs, "%d rows\n", rows) }
	var rows int64
	write := func(to io.Writer) error {
		rows, err = exportFarm(ctx, db, to, p)
		return err
	}
	if path == "-" {
		err = write(a.out)
	} else {
		err = export.WriteFile(path, write)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.errs, "%d rows are exported. %s\n", rows, a.notInExport())
	return nil
}

// notInExport says what else there is to copy.
func (a *admin) notInExport() string {
	text := "It holds the hashes of the secrets of Workers: keep it where only you can read it.\n" +
		"Not in it are files: the logs of tasks and the pictures in " + a.config.LocalStorage
	if a.config.SharedStorage != "" {
		text += ", the uploaded files of jobs in " + a.config.SharedStorage
	}
	return text + ", the configuration, and what was rendered."
}
