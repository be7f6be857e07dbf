// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/volume"
)

// unfinished ends the name of a copy that is being written; what a crash left of one is removed by the next.
const unfinished = ".tmp"

// spareSpace is what has to stay free on a disk beside a copy.
const spareSpace = 64 << 20

// copyBefore writes a copy of the database that has everything committed so far, whole or not at all.
func copyBefore(ctx context.Context, db *sql.DB, path string, version int64) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if err := NeedSpace(filepath.Dir(path), databaseSize(path)); err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s%s%d.%s", path, copyMark, version, time.Now().UTC().Format("20060102T150405"))
	temporary := path + copyMark + "copy" + unfinished
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO $1", temporary)
	if err == nil {
		err = finish(temporary, name, info.Mode().Perm())
	}
	if err != nil {
		return "", errors.Join(wrap(err), ignoreMissing(os.Remove(temporary)))
	}
	return name, nil
}

// finish makes sure that a file is on the disk before it gets its name.
func finish(temporary, name string, mode os.FileMode) error {
	file, err := os.OpenFile(temporary, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// databaseSize is how many bytes a database has at most, what is still in its log included.
func databaseSize(path string) (size int64) {
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size
}

// NeedSpace is an error of code farm.CodeStorage unless so many bytes, and some to spare, are free.
func NeedSpace(folder string, bytes int64) error {
	free, err := volume.Free(folder)
	if err != nil {
		return fmt.Errorf("asking how much space is free in %s: %w", folder, err)
	}
	if free >= 0 && free < bytes+spareSpace {
		return farm.Errorf(farm.CodeStorage, "%s has %d MiB left and %d MiB are needed", folder, free>>20, (bytes+spareSpace)>>20)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
