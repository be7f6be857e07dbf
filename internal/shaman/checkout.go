// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"flamenco.farm/internal/farm"
)

const (
	// namedMissing is how many of the missing files an error names.
	namedMissing = 5
	// rescueTries is how often a file is looked for that a collection moves to and fro.
	rescueTries = 10
)

// Checkout makes a folder of stored files, and says where below the jobs folder it is: wanted, or that with a few random
// characters behind it. The folder appears whole or not at all. The codes of errors are farm.CodeInvalid, farm.CodeMissing
// if a file is not stored, farm.CodeConflict if the name is taken, and farm.CodeStorage.
func (s *Store) Checkout(ctx context.Context, wanted string, files []File) (string, error) {
	if err := checkRequest(files); err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", farm.Errorf(farm.CodeInvalid, "a checkout needs files")
	}
	if err := errors.Join(CheckCheckoutName(wanted), checkTree(files)); err != nil {
		return "", err
	}
	store, err := s.open()
	if err != nil {
		return "", err
	}
	defer store.Close()
	jobs, err := s.openJobs()
	if err != nil {
		return "", err
	}
	defer jobs.Close()
	c := checkout{Store: s, store: store, jobs: jobs, wanted: wanted, files: files, making: makingPrefix + rand.Text()}
	return c.run(ctx)
}

// checkRequest checks what each request with files has to keep to.
func checkRequest(files []File) error {
	if len(files) > maxFiles {
		return farm.Errorf(farm.CodeTooLarge, "%d files are more than the %d that one request may name", len(files), maxFiles)
	}
	for _, f := range files {
		if err := checkFilePath(f.Path); err != nil {
			return err
		}
	}
	return nil
}

// checkout is a checkout that is being made.
type checkout struct {
	*Store
	store, jobs *os.Root
	wanted      string
	files       []File
	making      string // the hidden folder below the jobs folder in which it is made
}

func (c *checkout) run(ctx context.Context) (_ string, err error) {
	if err := c.hold(ctx); err != nil {
		return "", err
	}
	if err := c.jobs.Mkdir(c.making, folderMode); err != nil {
		return "", storageError(err)
	}
	placed := false
	defer func() {
		if placed {
			return
		}
		if gone := c.jobs.RemoveAll(c.making); gone != nil {
			c.log.Warn("Shaman: removing a checkout that failed", "folder", c.making, "error", gone)
		}
	}()
	if err := c.fill(ctx); err != nil {
		return "", err
	}
	name, err := c.place()
	placed = err == nil
	return name, err
}

// hold makes all files young, so that no collection takes them from here on, and refuses if some are missing.
func (c *checkout) hold(ctx context.Context) error {
	if c.remote != nil {
		return c.holdRemote(ctx)
	}
	missing, err := c.each(ctx, func(f File) (bool, error) {
		there, err := rescue(c.store, f.Key)
		if there {
			c.touch(c.store, f.Key)
		}
		return there, err
	})
	if err != nil {
		return err
	}
	return errMissing(missing, len(c.files))
}

// holdRemote is hold for files that are stored elsewhere, and gets those that are missing here.
func (c *checkout) holdRemote(ctx context.Context) error {
	keys := make([]Key, len(c.files))
	for i, f := range c.files {
		keys[i] = f.Key
	}
	stored, err := c.remote.ask(ctx, keys)
	if err != nil {
		return err
	}
	var missing []string
	for _, f := range c.files {
		if !stored[f.Key] {
			missing = append(missing, f.Path)
		}
	}
	if err := errMissing(missing, len(c.files)); err != nil {
		return err
	}
	return c.fetchAll(ctx)
}

// again reports whether the shared storage has a file, and gets it back or fetches it if it does not.
func (c *checkout) again(ctx context.Context, k Key) (bool, error) {
	there, err := rescue(c.store, k)
	if there || err != nil || c.remote == nil {
		return there, err
	}
	return c.fetch(ctx, k)
}

// errMissing names the first missing files, nil if there are none.
func errMissing(missing []string, of int) error {
	if len(missing) == 0 {
		return nil
	}
	named, more := missing, ""
	if len(missing) > namedMissing {
		named, more = missing[:namedMissing], " …"
	}
	for i, name := range named {
		named[i] = fmt.Sprintf("%.200q", name)
	}
	return farm.Errorf(farm.CodeMissing, "%d of %d files are not stored: %s%s", len(missing), of, strings.Join(named, ", "), more)
}

// each does the same for all files, several at a time, because a network file system takes a while to answer. It returns
// the paths of those for which do says no, in order.
func (c *checkout) each(ctx context.Context, do func(File) (bool, error)) ([]string, error) {
	no := make([]bool, len(c.files))
	err := parallel(ctx, len(c.files), func(i int) error {
		yes, err := do(c.files[i])
		no[i] = !yes
		return err
	})
	if err != nil {
		return nil, err
	}
	var paths []string
	for i, f := range c.files {
		if no[i] {
			paths = append(paths, f.Path)
		}
	}
	return paths, nil
}

// rescue reports whether the store has a file, and gets it back from a collection that is about to delete it.
func rescue(store *os.Root, k Key) (bool, error) {
	for range rescueTries {
		if _, there, err := present(store, k); there || err != nil {
			return there, wrapStorage(err)
		}
		runs, err := readDir(store, collectingFolder)
		if err != nil {
			return false, storageError(err)
		}
		moved := false
		for _, run := range runs {
			if putBack(store, path.Join(collectingFolder, run.Name()), k) == nil {
				moved = true
			}
		}
		if moved {
			continue
		}
		// The collection itself may have put it back after the first look.
		if _, there, err := present(store, k); there || err != nil {
			return there, wrapStorage(err)
		}
		if len(runs) == 0 {
			return false, nil
		}
	}
	return false, nil
}

func wrapStorage(err error) error {
	if err == nil {
		return nil
	}
	return storageError(err)
}

// fill makes the folders and lays the files into them. Only a link needs the stored file afterwards, so after making one
// it looks whether that is still there: a collection looks for links only after it has taken the file away.
func (c *checkout) fill(ctx context.Context) error {
	root, err := c.jobs.OpenRoot(c.making)
	if err != nil {
		return storageError(err)
	}
	defer root.Close() // before it is renamed: Windows insists
	for _, folder := range folders(c.files) {
		if err := root.Mkdir(folder, folderMode); err != nil {
			return explain(err, folder)
		}
	}
	way := &layer{ways: c.ways, to: root, checkout: c}
	missing, err := c.each(ctx, func(f File) (bool, error) { return c.add(ctx, way, f) })
	if err != nil {
		return err
	}
	return errMissing(missing, len(c.files))
}

// add lays one file into the folder, and reports whether the store has it.
func (c *checkout) add(ctx context.Context, way *layer, f File) (bool, error) {
	for range rescueTries {
		err := way.lay(f)
		there, failed := c.again(ctx, f.Key)
		switch {
		case failed != nil:
			return false, failed
		case !there:
			return false, nil
		case err == nil:
			return true, nil
		case !errors.Is(err, fs.ErrNotExist): // which says that the file was away for a moment
			return false, explain(err, f.Path)
		}
	}
	return false, nil
}

// folders is every folder that the files need, those above first.
func folders(files []File) []string {
	seen := make(map[string]bool)
	var all []string
	for _, f := range files {
		for folder := range parents(f.Path) {
			if seen[folder] {
				break
			}
			seen[folder] = true
			all = append(all, folder)
		}
	}
	slices.Sort(all) // a folder sorts before what is in it
	return all
}

// explain says whose fault it is that something in the checkout cannot be made.
func explain(err error, name string) error {
	if errors.Is(err, fs.ErrExist) {
		return farm.Errorf(farm.CodeInvalid, "the path %.200q is the same as another one for the shared storage, which takes upper and lower case for the same", name)
	}
	return storageError(err)
}

// atOnce is how many files are looked at or linked at the same time.
const atOnce = 16

// parallel calls do for 0 to n-1 until one fails or ctx ends, and waits for all calls.
func parallel(ctx context.Context, n int, do func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for first := range min(atOnce, n) {
		workers.Go(func() {
			for i := first; i < n && ctx.Err() == nil; i += atOnce {
				if err := do(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
