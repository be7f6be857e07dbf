// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"errors"
	"os"
	"path"
	"sync"
	"time"
)

// folders keeps the folders of the jobs open that were used last: every name below the storage is otherwise walked from
// its top with each call, a folder at a time, so that none of them leads out of it.
type folders struct {
	top *os.Root

	mu    sync.Mutex
	open  map[string]*folder
	clock int64
}

// folder is an open one. It is closed when nobody uses it and others were used since, or when it was deleted.
type folder struct {
	root  *os.Root
	self  *os.File
	users int
	used  int64
}

func newFolders(top *os.Root) *folders { return &folders{top: top, open: map[string]*folder{}} }

func (c *folders) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := []error{c.top.Close()}
	for _, f := range c.open {
		errs = append(errs, f.close())
	}
	clear(c.open)
	return errors.Join(errs...)
}

func (f *folder) close() error { return errors.Join(f.self.Close(), f.root.Close()) }

// in runs do with the folder that a name is in and the rest of the name; with the top and the whole name if the folder
// is not there.
func (c *folders) in(name string, do func(root *os.Root, name string) error) error {
	at, base := path.Split(name)
	f := c.take(path.Clean(at))
	if f == nil {
		return do(c.top, name)
	}
	defer c.giveBack(f)
	return do(f.root, base)
}

func (c *folders) take(name string) *folder {
	if maxFolders == 0 || name == "." {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	f := c.open[name]
	if f != nil && isDeleted(f.self) {
		c.drop(name, f)
		f = nil
	}
	if f == nil {
		if f = openFolder(c.top, name); f == nil {
			return nil
		}
		c.open[name] = f
		c.makeRoom()
	}
	f.users, f.used = f.users+1, c.clock
	return f
}

func openFolder(top *os.Root, name string) *folder {
	root, err := top.OpenRoot(name)
	if err != nil {
		return nil
	}
	self, err := root.Open(".")
	if err != nil {
		_ = root.Close()
		return nil
	}
	return &folder{root: root, self: self}
}

// drop forgets a folder; whoever uses it still closes it.
func (c *folders) drop(name string, f *folder) {
	delete(c.open, name)
	if f.users == 0 {
		_ = f.close() // it was only read
	}
	f.used = -1
}

// makeRoom closes the folder that was not used for longest.
func (c *folders) makeRoom() {
	if len(c.open) <= maxFolders {
		return
	}
	var oldest string
	for name, f := range c.open {
		if f.users == 0 && f.used > 0 && (oldest == "" || f.used < c.open[oldest].used) {
			oldest = name
		}
	}
	if oldest != "" {
		c.drop(oldest, c.open[oldest])
	}
}

func (c *folders) giveBack(f *folder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.users--; f.users == 0 && f.used < 0 {
		_ = f.close()
	}
}

func (c *folders) Open(name string) (f *os.File, err error) {
	err = c.in(name, func(root *os.Root, name string) error { f, err = root.Open(name); return err })
	return f, err
}

func (c *folders) OpenFile(name string, flag int, perm os.FileMode) (f *os.File, err error) {
	err = c.in(name, func(root *os.Root, name string) error { f, err = root.OpenFile(name, flag, perm); return err })
	return f, err
}

func (c *folders) Lstat(name string) (info os.FileInfo, err error) {
	err = c.in(name, func(root *os.Root, name string) error { info, err = root.Lstat(name); return err })
	return info, err
}

func (c *folders) ReadFile(name string) (data []byte, err error) {
	err = c.in(name, func(root *os.Root, name string) error { data, err = root.ReadFile(name); return err })
	return data, err
}

func (c *folders) MkdirAll(name string, perm os.FileMode) error { return c.top.MkdirAll(name, perm) }

func (c *folders) Rename(from, to string) error {
	if path.Dir(from) != path.Dir(to) {
		return c.top.Rename(from, to)
	}
	return c.in(from, func(root *os.Root, name string) error {
		if name == from {
			return root.Rename(from, to)
		}
		return root.Rename(name, path.Base(to))
	})
}

func (c *folders) Remove(name string) error {
	return c.in(name, func(root *os.Root, name string) error { return root.Remove(name) })
}

func (c *folders) Chtimes(name string, accessed, modified time.Time) error {
	return c.in(name, func(root *os.Root, name string) error { return root.Chtimes(name, accessed, modified) })
}
