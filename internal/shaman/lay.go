// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// way is one in which a file gets into a checkout.
type way struct {
	name string
	lay  func(c *checkout, to *os.Root, f File) error
}

// ways are what there is, the best first.
//
// A symbolic link shares the stored file and says so: a collection finds it. Windows allows it only to some users, and
// some file systems never. A hard link shares it as well; a collection counts the names of a file. A copy needs the
// stored file no more.
type ways []way

func allWays() ways {
	return ways{{"symbolic links", symlink}, {"hard links", hardLink}, {"copies", copyFile}}
}

// layer lays the files of one checkout. A way that does not work for one file is not tried for the next ones.
type layer struct {
	ways     ways
	to       *os.Root // the folder that is being made
	checkout *checkout
	best     atomic.Int32
}

func (l *layer) lay(f File) error {
	var failures []error
	for i := int(l.best.Load()); i < len(l.ways); i++ {
		err := l.ways[i].lay(l.checkout, l.to, f)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist):
			return err // the way itself is good
		}
		failures = append(failures, err)
		if i+1 < len(l.ways) && l.best.CompareAndSwap(int32(i), int32(i+1)) {
			l.checkout.log.Warn("Shaman: a checkout does without what is not possible here", "wanted", l.ways[i].name, "instead", l.ways[i+1].name, "error", err)
		}
	}
	return errors.Join(failures...)
}

// symlink makes a link that is relative, as Workers may see the storage elsewhere. It is right under the checkout's final
// name, not where it is being made.
func symlink(c *checkout, to *os.Root, f File) error {
	up := strings.Count(c.wanted, "/") + 1 + strings.Count(f.Path, "/")
	target := strings.Repeat("../", up) + path.Join(c.links, f.Key.blob())
	return to.Symlink(filepath.FromSlash(target), f.Path)
}

// hardLink goes through the shared folder: a root links only below itself.
func hardLink(c *checkout, _ *os.Root, f File) error {
	shared, err := openRoot(c.shared)
	if err != nil {
		return err
	}
	defer shared.Close()
	return shared.Link(path.Join(storeFolder, f.Key.blob()), path.Join(jobsFolder, c.making, f.Path))
}

func copyFile(c *checkout, to *os.Root, f File) error {
	from, err := c.store.Open(f.Key.blob())
	if err != nil {
		return err
	}
	defer from.Close()
	dest, err := to.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(dest, from)
	return errors.Join(err, dest.Sync(), dest.Close())
}
