// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"flamenco.farm/internal/farm"
)

// entry is what a copy must have in common with its original.
type entry struct {
	mode    fs.FileMode
	size    int64 // of a file
	changed time.Time
	target  string // of a link
}

// moveByCopy moves to another file system: it copies beside the destination, renames, and removes the source only then.
// A source that changes meanwhile, or that holds what cannot be copied, stays as it is.
func moveByCopy(ctx context.Context, src, dest string) error {
	before, err := inventory(src)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp(filepath.Dir(dest), partPattern)
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	part := filepath.Join(folder, filepath.Base(dest))
	if err := copyTree(ctx, src, part, before); err != nil {
		return err
	}
	after, err := inventory(src)
	if err != nil {
		return err
	}
	if !maps.Equal(before, after) {
		return farm.Errorf(farm.CodeConflict, "%q changed while it was copied; it was left where it is", src)
	}
	if err := renameExclusively(part, dest); err != nil {
		return err
	}
	if err := os.RemoveAll(src); err != nil {
		return farm.Errorf(farm.CodeStorage, "%q was copied to %q, but could not be removed: %v", src, dest, err)
	}
	return nil
}

// inventory lists what is to be moved, by path below src.
func inventory(src string) (map[string]entry, error) {
	found := map[string]entry{}
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{mode: info.Mode(), changed: info.ModTime()}
		switch {
		case info.IsDir():
		case info.Mode().IsRegular():
			e.size = info.Size()
		case info.Mode()&fs.ModeSymlink != 0:
			if e.target, err = os.Readlink(path); err != nil {
				return err
			}
		default:
			return farm.Errorf(farm.CodeInvalid, "%q is neither file, folder nor link and cannot be moved to another file system", path)
		}
		below, err := filepath.Rel(src, path)
		found[below] = e
		return err
	})
	return found, err
}

// copyTree copies what the inventory lists.
func copyTree(ctx context.Context, src, dest string, entries map[string]entry) error {
	paths := slices.Sorted(maps.Keys(entries)) // a folder comes before what is in it
	for _, below := range paths {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := copyEntry(ctx, filepath.Join(src, below), filepath.Join(dest, below), entries[below]); err != nil {
			return err
		}
	}
	// Folders last: what is put into them changes their time, and may not be allowed by their mode.
	slices.Reverse(paths)
	for _, below := range paths {
		e, path := entries[below], filepath.Join(dest, below)
		if !e.mode.IsDir() {
			continue
		}
		if err := errors.Join(os.Chmod(path, e.mode.Perm()), os.Chtimes(path, e.changed, e.changed)); err != nil {
			return err
		}
	}
	return nil
}

func copyEntry(ctx context.Context, src, dest string, e entry) error {
	switch {
	case e.mode.IsDir():
		return os.Mkdir(dest, 0o700)
	case e.mode&fs.ModeSymlink != 0:
		return os.Symlink(e.target, dest)
	}
	file, err := os.OpenFile(dest, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := fill(ctx, file, src, e.mode.Perm()); err != nil {
		_ = file.Close()
		return fmt.Errorf("%q: %w", src, err)
	}
	return os.Chtimes(dest, e.changed, e.changed)
}
