// SPDX-License-Identifier: GPL-3.0-or-later

// Package flamenco3 owns the way from Flamenco 3 to this program: it reads the database and the files of a Flamenco 3
// Manager, which it never changes, and brings its farm over. It must not know how either Manager works, nor trust a byte
// of what it reads.
package flamenco3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// Source is a farm of Flamenco 3.
type Source struct {
	Database string // path of its SQLite file
	Storage  string // its local storage, which holds logs and images; "" or not there = it has none
}

// Target is the farm that gets it all.
type Target struct {
	Store   *store.Store // nil, for dry runs only = a farm that has nothing yet
	Storage *os.Root     // its local storage; nil, for dry runs only
	// Do runs a transaction on the Store; nil = as the Store itself does it.
	Do func(ctx context.Context, fn func(*store.Tx) error) error
	// LogName is where the log of a task that ran elsewhere belongs, below Storage.
	LogName func(jobID, taskID string) string
	// Schedule stores a sleep schedule; nil = there is no place for them.
	Schedule func(tx *store.Tx, s SleepSchedule) error
	// Rendered notes that a job has images of what was rendered last, and the newest of the farm; nil = nobody keeps that.
	Rendered func(tx *store.Tx, jobID string) error
}

// Options says how to import.
type Options struct {
	DryRun bool // read and check everything, write nothing
	// Progress hears how many jobs are done; it must not block. nil = nobody listens.
	Progress func(done, total int)
	// Temporary is a folder for a copy of the database; "" = that of the system.
	Temporary string
}

// SleepSchedule is when a worker sleeps, as Flamenco 3 writes it.
type SleepSchedule struct {
	WorkerID string
	Active   bool
	Days     string // "mo tu we", "" = every day
	Start    string // "HH:MM", "" = midnight
	End      string
}

// importer is one run.
type importer struct {
	from   Source
	to     Target
	opts   Options
	old    *source
	files  *os.Root // the old local storage, nil = none
	report Report

	tags    map[int64]string    // ids of tags by their rows in the old database, of those that are in the new one
	workers map[int64]string    // the same of workers
	seen    map[string]struct{} // ids of workers, jobs and tasks: each may come once

	lastRow      int64  // the old row of the job that rendered last
	lastRendered string // its id, if it was brought over
}

// imported is what the history says of everything that is brought over.
var imported = store.ByManager("imported from Flamenco 3")

// Import brings over what is not there yet. It may end at any moment: what is there then is whole, and another run
// brings the rest. The report says what became of everything, also when an error ended the run.
func Import(ctx context.Context, from Source, to Target, opts Options) (Report, error) {
	im := &importer{
		from: from, to: to, opts: opts, tags: map[int64]string{}, workers: map[int64]string{}, seen: map[string]struct{}{},
		report: Report{DryRun: opts.DryRun},
	}
	err := im.run(ctx)
	if err != nil {
		err = fmt.Errorf("importing %s: %w", from.Database, err)
	}
	return im.report, err
}

func (im *importer) run(ctx context.Context) (err error) {
	if im.old, err = openSource(ctx, im.from.Database, im.opts.Temporary); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, im.old.close()) }()
	if err := im.openFiles(); err != nil {
		return err
	}
	if im.files != nil {
		defer func() { err = errors.Join(err, im.files.Close()) }()
	}
	im.report.Version = im.old.version
	im.report.Warnings = append(im.report.Warnings, im.old.warnings...)
	for _, step := range []func(context.Context) error{im.importTags, im.importWorkers, im.importJobs, im.noteLastRendered} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (im *importer) openFiles() (err error) {
	if im.from.Storage == "" {
		return nil
	}
	im.files, err = os.OpenRoot(im.from.Storage)
	if errors.Is(err, fs.ErrNotExist) {
		im.report.Warnings = append(im.report.Warnings, "there is no local storage "+im.from.Storage+": no logs and images are imported")
		return nil
	}
	return err
}

// known asks the new farm for something; without a database it knows nothing.
func (im *importer) known(ask func(*store.Store) error) (bool, error) {
	if im.to.Store == nil {
		return false, nil
	}
	err := ask(im.to.Store)
	if farm.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

// write runs a transaction on the new farm, unless nothing is to be written. It returns what is wrong with the thing that
// is to be stored apart from errors that end the run.
func (im *importer) write(ctx context.Context, fn func(*store.Tx) error) (problem string, err error) {
	if im.opts.DryRun {
		return "", nil
	}
	do := im.to.Do
	if do == nil {
		do = im.to.Store.DoAlone
	}
	err = do(ctx, fn)
	switch farm.CodeOf(err) {
	case farm.CodeInvalid, farm.CodeConflict:
		return err.Error(), nil
	}
	return "", err
}
