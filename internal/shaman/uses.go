// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// forgetUsed calls used for every candidate that a link below the jobs folder leads to. That a folder cannot be read is
// an error: what is in it might be used.
//
// Checkouts that are being made come first. A folder that is renamed while its parent is read may be missed; the second
// look then finds it under its final name.
func (c *collection) forgetUsed(ctx context.Context, used func(Key) error) error {
	w := &useWalk{collection: c, used: used, visited: map[string]bool{c.jobs: true}}
	entries, err := os.ReadDir(c.jobs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), makingPrefix) {
			w.folders = append(w.folders, filepath.Join(c.jobs, e.Name()))
		}
	}
	if err := w.walkAll(ctx); err != nil {
		return err
	}
	w.folders = append(w.folders, c.jobs)
	return w.walkAll(ctx)
}

// useWalk looks through folders for links to stored files.
type useWalk struct {
	*collection
	used    func(Key) error
	folders []string // still to be walked, with all links resolved
	visited map[string]bool
	links   int64
}

func (w *useWalk) walkAll(ctx context.Context) error {
	for len(w.folders) > 0 {
		folder := w.folders[0]
		w.folders = w.folders[1:]
		err := filepath.WalkDir(folder, func(name string, e fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, fs.ErrNotExist) && name != w.jobs:
				return nil // erased, or renamed, which is what the second look is for
			case err != nil:
				return err
			case e.IsDir() || e.Type().IsRegular():
				return nil
			}
			return w.link(name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// link looks at something that is neither file nor folder. The end of its text is enough to know a stored file: the
// storage may be known under several paths.
func (w *useWalk) link(name string) error {
	if w.links++; w.links%1000 == 0 {
		w.Progress(w.links, 0, lookingAtLinks)
	}
	text, err := os.Readlink(name)
	if err != nil {
		return nil // a pipe, or gone
	}
	if k, ok := blobKey(filepath.ToSlash(text)); ok {
		return w.use(k)
	}
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil // it leads nowhere
	}
	return w.oddLink(real)
}

func (w *useWalk) use(k Key) error {
	if _, found := w.found[k]; !found {
		return nil
	}
	return w.used(k)
}

// oddLink is for a link that somebody else made: into the store in another way, or to another folder of the storage that
// may hold links.
func (w *useWalk) oddLink(target string) error {
	store, err := filepath.EvalSymlinks(w.store)
	if err != nil {
		return err
	}
	if inside(target, store) {
		below := filepath.ToSlash(target)
		if k, ok := blobKey(below); ok {
			return w.use(k)
		}
		for k := range w.found {
			if inside(filepath.Join(store, filepath.FromSlash(k.blob())), target) {
				if err := w.used(k); err != nil {
					return err
				}
			}
		}
		return nil
	}
	info, err := os.Stat(target)
	if err == nil && info.IsDir() && inside(target, w.shared) && !inside(target, w.jobs) && !w.visited[target] {
		w.visited[target] = true
		w.folders = append(w.folders, target)
	}
	return nil
}
