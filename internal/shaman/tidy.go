// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// walkSums calls do for each folder of a sum.
func walkSums(ctx context.Context, root *os.Root, in string, do func(folder string, entries []fs.DirEntry) error) error {
	firsts, err := readDir(root, in)
	if err != nil {
		return err
	}
	for _, first := range firsts {
		if len(first.Name()) != 2 || !first.IsDir() {
			continue
		}
		above := path.Join(in, first.Name())
		rests, err := readDir(root, above)
		if err != nil {
			return err
		}
		for _, rest := range rests {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !rest.IsDir() {
				continue
			}
			folder := path.Join(above, rest.Name())
			entries, err := readDir(root, folder)
			if err == nil {
				err = do(folder, entries)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", folder, err)
			}
		}
	}
	return nil
}

// tidy removes what uploads and checkouts have left that a crash ended long ago.
func (s *Store) tidy(ctx context.Context) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	defer root.Close()
	err = walkSums(ctx, root, uploadingFolder, func(folder string, entries []fs.DirEntry) error {
		for _, e := range entries {
			removeOld(root, path.Join(folder, e.Name()))
		}
		removeEmpty(root, folder)
		return nil
	})
	if err != nil {
		return storageError(err)
	}
	return s.tidyJobs(ctx)
}

func removeOld(root *os.Root, name string) {
	if !strings.HasSuffix(name, tmpSuffix) {
		return
	}
	if info, err := root.Lstat(name); err == nil && info.Mode().IsRegular() && age(info) > leftoverAge {
		root.Remove(name)
	}
}

// removeEmpty removes the folder of a sum and the one above it, each only if it is empty.
func removeEmpty(root *os.Root, folder string) {
	if root.Remove(folder) == nil {
		root.Remove(path.Dir(folder))
	}
}

func (s *Store) tidyJobs(ctx context.Context) error {
	jobs, err := s.openJobs()
	if err != nil {
		return err
	}
	defer jobs.Close()
	entries, err := readDir(jobs, ".")
	if err != nil {
		return storageError(err)
	}
	var failures []error
	for _, e := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !strings.HasPrefix(e.Name(), makingPrefix) {
			continue
		}
		if info, err := jobs.Lstat(e.Name()); err == nil && age(info) > leftoverAge {
			failures = append(failures, jobs.RemoveAll(e.Name()))
		}
	}
	if err := errors.Join(failures...); err != nil {
		return storageError(err)
	}
	return nil
}
