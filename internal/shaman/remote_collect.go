// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"context"
	"crypto/rand"
	"fmt"
	"path"
	"strings"
	"time"
)

const (
	// batch is how many files a collection deletes at once; who relies on an old file may have to wait for that.
	batch = 200
	// batchTime is how long after it began the files of a batch may still be deleted.
	batchTime = time.Minute
)

// remoteCollection deletes old files from the blob.Store.
type remoteCollection struct {
	*collection
	remote *remote
	old    map[Key]remoteFile
}

// collectRemote deletes what is old in the blob.Store and in no checkout. The files of the shared storage have been collected
// before it.
func (c *collection) collectRemote(ctx context.Context, r *remote) error {
	rc := &remoteCollection{collection: c, remote: r, old: map[Key]remoteFile{}}
	c.report = Report{Failed: c.report.Failed} // what counts is what is stored for good
	c.found = map[Key]*candidate{}
	if err := rc.forgetCrashed(ctx); err != nil {
		return err
	}
	if err := rc.scan(ctx); err != nil || len(rc.old) == 0 {
		return err
	}
	for k := range rc.old {
		c.found[k] = &candidate{}
		if info, err := c.root.Lstat(k.blob()); err == nil && names(c.root, k.blob(), info) > 1 { // hard links
			delete(c.found, k)
		}
	}
	if err := c.forgetUsed(ctx, func(k Key) error { delete(c.found, k); return nil }); err != nil {
		return err
	}
	return rc.deleteAll(ctx)
}

// forgetCrashed removes what collections that were killed have left.
func (c *remoteCollection) forgetCrashed(ctx context.Context) error {
	for info, err := range c.remote.blobs.List(ctx, deletingFolder) {
		if err == nil && !c.DryRun && time.Since(info.Modified) > deletingAge {
			err = c.remote.blobs.Delete(ctx, info.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scan finds the files that are old enough. A mark whose file is gone goes the same way.
func (c *remoteCollection) scan(ctx context.Context) error {
	n := 0
	files := map[Key]remoteFile{} // those of one sum, which come one after the other
	var last Key
	consider := func() {
		for k, f := range files {
			if f.stored {
				c.report.Files++
				c.report.Bytes += k.size
			}
			if time.Since(f.at) <= c.MaxAge {
				continue
			}
			if c.old[k] = f; f.stored {
				c.report.Old++
			}
		}
		clear(files)
	}
	for info, err := range c.remote.blobs.List(ctx, remoteFolder) {
		if err != nil {
			return err
		}
		k, _, ok := parseRemote(info.Name)
		if !ok {
			continue
		}
		if k.sum != last.sum {
			consider()
		}
		last = k
		note(files, info)
		if n++; n%pageSize == 0 {
			c.Progress(c.report.Files, 0, lookingAtFiles)
		}
	}
	consider()
	return nil
}

func (c *remoteCollection) deleteAll(ctx context.Context) error {
	keys := make([]Key, 0, len(c.found))
	for k := range c.found {
		keys = append(keys, k)
	}
	if c.DryRun {
		c.count(keys, c.old)
		return nil
	}
	for done := 0; done < len(keys); done += batch {
		if err := c.deleteBatch(ctx, keys[done:min(done+batch, len(keys))]); err != nil {
			return err
		}
		c.Progress(c.report.Deleted, int64(len(keys)), deletingFiles)
	}
	return nil
}

func (c *remoteCollection) count(keys []Key, files map[Key]remoteFile) {
	for _, k := range keys {
		if files[k].stored {
			c.report.Deleted++
			c.report.DeletedBytes += k.size
		}
	}
}

// deleteBatch says that it deletes, looks once more, and deletes.
func (c *remoteCollection) deleteBatch(ctx context.Context, keys []Key) (err error) {
	name := path.Join(deletingFolder, rand.Text())
	began := time.Now()
	var named strings.Builder
	for _, k := range keys {
		named.WriteString(k.String() + "\n")
	}
	if _, err := c.remote.blobs.Create(ctx, name, strings.NewReader(named.String())); err != nil {
		return err
	}
	now, err := c.remote.look(ctx, keys)
	if err != nil {
		return c.leave(ctx, name, err)
	}
	var unused []Key
	var objects []string
	for _, k := range keys {
		if f, there := now[k]; there && f.stored == c.old[k].stored && f.mark == c.old[k].mark && f.at.Equal(c.old[k].at) {
			unused = append(unused, k)
			objects = append(objects, k.remoteBlob(), k.remoteUsed())
		}
	}
	if time.Since(began) > batchTime { // nobody waits for us any more
		return c.leave(ctx, name, fmt.Errorf("shaman: looking at %d files took %s, which is too long to delete them", len(keys), time.Since(began)))
	}
	if len(objects) > 0 {
		ctx, cancel := context.WithTimeout(ctx, batchTime)
		defer cancel()
		if err := c.remote.blobs.Delete(ctx, objects...); err != nil {
			return err // it may still be under way, so that others wait until the batch is old
		}
	}
	c.count(unused, now)
	return c.leave(ctx, name, nil)
}

// leave says that a batch is done with.
func (c *remoteCollection) leave(ctx context.Context, name string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTime)
	defer cancel()
	if gone := c.remote.blobs.Delete(ctx, name); err == nil {
		err = gone
	}
	return err
}
