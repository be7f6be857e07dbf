// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"

	"flamenco.farm/internal/farm"
)

// CollectOptions says what a collection of garbage does.
type CollectOptions struct {
	MaxAge   time.Duration                            // unused files stay this long after they were used or asked for
	DryRun   bool                                     // change nothing, only report
	Progress func(done, total int64, activity string) // hears how far it is, total 0 = not known; nil = nobody wants to know
}

// Report is what a collection found, and did or would have done.
type Report struct {
	Files        int64 // stored files
	Bytes        int64
	Old          int64 // of these, older than the maximum age
	Deleted      int64 // of these, used by no checkout
	DeletedBytes int64
	Failed       int64 // of the old ones, not used but not to be deleted: open on Windows, or not the Manager's
}

// activities of a collection, for whoever watches it.
const (
	lookingAtFiles = "looking at stored files"
	lookingAtLinks = "looking at checkouts"
	deletingFiles  = "deleting unused files"
)

// Collect deletes stored files that are old and in no checkout, what crashes left behind, and empty folders of the store.
//
// A file is deleted in three steps, because checkouts are made meanwhile, in this process or another: it is moved aside;
// then all checkouts are looked through again; then it is deleted, or put back if it is used or was touched. A checkout
// first touches a file, then links to it, then looks whether it is there and takes it back if it was moved aside. So
// either it finds the file gone in time to get it back, or its link was there before the second look. Killed at any
// point, a collection leaves files aside at worst: Recover puts them back.
//
// With files in a blob.Store these are the copies in the shared storage; what is stored is collected after them, and is
// what the report is about.
func (s *Store) Collect(ctx context.Context, opts CollectOptions) (Report, error) {
	c := &collection{Store: s, CollectOptions: opts, found: make(map[Key]*candidate)}
	if c.Progress == nil {
		c.Progress = func(int64, int64, string) {}
	}
	if !opts.DryRun {
		if err := errors.Join(s.Recover(), s.tidy(ctx)); err != nil {
			return c.report, err
		}
	}
	root, err := s.open()
	if err != nil {
		return c.report, err
	}
	defer root.Close()
	c.root = root
	err = c.run(ctx)
	if err == nil && s.remote != nil {
		err = c.collectRemote(ctx, s.remote)
	}
	if err != nil && ctx.Err() == nil && farm.CodeOf(err) == "" {
		err = storageError(err)
	}
	return c.report, err
}

// collection is one run.
type collection struct {
	*Store
	CollectOptions
	root   *os.Root
	found  map[Key]*candidate // old files that no link is known to lead to
	report Report
}

// candidate is a stored file that may be deleted.
type candidate struct {
	modified time.Time
	aside    bool
}

func (c *collection) run(ctx context.Context) error {
	if err := c.scan(ctx); err != nil {
		return err
	}
	c.report.Old = int64(len(c.found))
	if len(c.found) == 0 {
		return nil
	}
	if err := c.forgetUsed(ctx, func(k Key) error { delete(c.found, k); return nil }); err != nil {
		return err
	}
	if c.DryRun {
		for k := range c.found {
			c.report.Deleted++
			c.report.DeletedBytes += k.size
		}
		return nil
	}
	return c.delete(ctx)
}

// scan finds the files that are old enough, and removes empty folders.
func (c *collection) scan(ctx context.Context) error {
	return walkSums(ctx, c.root, storedFolder, func(folder string, entries []fs.DirEntry) error {
		if len(entries) == 0 && !c.DryRun {
			removeEmpty(c.root, folder)
		}
		for _, e := range entries {
			name := path.Join(folder, e.Name())
			k, ok := blobKey(name)
			if !ok || !e.Type().IsRegular() {
				continue
			}
			info, err := c.root.Lstat(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			c.consider(k, info)
		}
		c.Progress(c.report.Files, 0, lookingAtFiles)
		return nil
	})
}

func (c *collection) consider(k Key, info fs.FileInfo) {
	c.report.Files++
	c.report.Bytes += info.Size()
	if age(info) > c.MaxAge && names(c.root, k.blob(), info) == 1 {
		c.found[k] = &candidate{modified: info.ModTime()}
	}
}

// delete moves the files aside and deletes those that still are unused then.
func (c *collection) delete(ctx context.Context) (err error) {
	run := path.Join(collectingFolder, rand.Text())
	if err := retry(func() error { return c.root.MkdirAll(run, folderMode) }); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, c.putAllBack(run))
		c.root.Remove(run)
		c.root.Remove(collectingFolder) // unless another collection needs it
	}()
	for k, file := range c.found {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.moveAside(run, k, file); err != nil {
			return err
		}
	}
	if len(c.found) == 0 {
		return nil
	}
	if err := c.forgetUsed(ctx, func(k Key) error { return c.keep(run, k) }); err != nil {
		return err
	}
	total := int64(len(c.found))
	for k, file := range c.found {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.deleteOne(run, k, file); err != nil {
			return err
		}
		c.Progress(c.report.Deleted, total, deletingFiles)
	}
	return nil
}

// moveAside moves a file to where nobody uses it, unless it is used by now.
func (c *collection) moveAside(run string, k Key, file *candidate) error {
	if !c.unchanged(k.blob(), file) {
		delete(c.found, k)
		return nil
	}
	aside := path.Join(run, k.String())
	if err := c.root.Rename(k.blob(), aside); err != nil {
		c.failed(k, err)
		return nil
	}
	file.aside = true
	if !c.unchanged(aside, file) { // a checkout was made just then: its files are back at once
		return c.keep(run, k)
	}
	return nil
}

// unchanged reports whether nobody has touched the file since it was found, or linked to it.
func (c *collection) unchanged(name string, file *candidate) bool {
	info, err := c.root.Lstat(name)
	return err == nil && info.ModTime().Equal(file.modified) && names(c.root, name, info) == 1
}

// keep forgets that a file may be deleted, and puts it back.
func (c *collection) keep(run string, k Key) error {
	delete(c.found, k)
	return ignoreMissing(putBack(c.root, run, k))
}

func (c *collection) deleteOne(run string, k Key, file *candidate) error {
	aside := path.Join(run, k.String())
	if !c.unchanged(aside, file) {
		return c.keep(run, k)
	}
	if err := c.root.Remove(aside); err != nil {
		c.failed(k, err)
		return c.keep(run, k)
	}
	delete(c.found, k)
	c.report.Deleted++
	c.report.DeletedBytes += k.size
	removeEmpty(c.root, k.folder(storedFolder))
	return nil
}

// failed forgets a file that cannot be deleted; others can. One that is gone was got back by somebody.
func (c *collection) failed(k Key, err error) {
	delete(c.found, k)
	if !errors.Is(err, fs.ErrNotExist) {
		c.report.Failed++
		c.log.Debug("Shaman: deleting a file that is not used", "file", k.String(), "error", err)
	}
}

func (c *collection) putAllBack(run string) error {
	var failures []error
	for k, file := range c.found {
		if file.aside {
			failures = append(failures, ignoreMissing(putBack(c.root, run, k)))
		}
	}
	return errors.Join(failures...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// putBack makes a file that was moved aside a stored one again. Should it have been uploaded again meanwhile, either of
// the two may stay.
func putBack(root *os.Root, run string, k Key) error {
	aside := path.Join(run, k.String())
	if _, err := root.Lstat(aside); err != nil {
		return err
	}
	err := retry(func() error {
		if err := root.MkdirAll(k.folder(storedFolder), folderMode); err != nil {
			return err
		}
		return root.Rename(aside, k.blob())
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// Windows does not replace a file that is open.
		if _, there, look := present(root, k); look == nil && there {
			return root.Remove(aside)
		}
	}
	return err
}

// Recover puts back what a collection moved aside and could not finish. While one is running that does no harm: it
// deletes less.
func (s *Store) Recover() error {
	root, err := s.open()
	if err != nil {
		return err
	}
	defer root.Close()
	runs, err := readDir(root, collectingFolder)
	if err != nil {
		return storageError(err)
	}
	var failures []error
	for _, run := range runs {
		folder := path.Join(collectingFolder, run.Name())
		files, err := readDir(root, folder)
		failures = append(failures, err)
		for _, f := range files {
			if k, ok := parseKey(f.Name()); ok {
				failures = append(failures, ignoreMissing(putBack(root, folder, k)))
			}
		}
		root.Remove(folder)
	}
	root.Remove(collectingFolder)
	if err := errors.Join(failures...); err != nil {
		return storageError(err)
	}
	return nil
}
