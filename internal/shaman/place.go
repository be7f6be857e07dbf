// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"

	"flamenco.farm/internal/farm"
)

// takenTries is how many other names are tried when the wanted one is taken.
const takenTries = 10

// errTaken is that there is something under a name already.
var errTaken = errors.New("the name is taken")

// place gives the finished folder its name.
func (c *checkout) place() (string, error) {
	for try := range 1 + takenTries {
		name := c.wanted
		if try > 0 {
			name += "-" + c.chars()
		}
		switch err := c.moveTo(name); {
		case err == nil:
			return name, nil
		case errors.Is(err, errTaken):
			continue
		default:
			return "", storageError(err)
		}
	}
	return "", farm.Errorf(farm.CodeConflict, "the checkout path %.200q is taken, and so are the %d other names that were tried", c.wanted, takenTries)
}

// moveTo renames the folder to a name that is free. The folders above it may go meanwhile, when the last checkout in them
// is erased.
func (c *checkout) moveTo(name string) error {
	made := map[string]bool{}
	err := retry(func() error {
		if err := c.makeParents(name, made); err != nil {
			return err
		}
		if err := absent(c.jobs, name); err != nil {
			return err
		}
		err := c.jobs.Rename(c.making, name)
		if err != nil && errors.Is(absent(c.jobs, name), errTaken) {
			return errTaken // in between; a folder with something in it is never replaced
		}
		return err
	})
	if err != nil {
		for folder := range parents(name) {
			if made[folder] {
				c.jobs.Remove(folder) // unless somebody else uses it now
			}
		}
		return err
	}
	// The rename is behind everything else in the file system's journal. It has happened: nobody is told otherwise.
	if err := syncFolder(c.jobs, path.Dir(name)); err != nil {
		c.log.Warn("Shaman: a checkout may not survive a power cut", "checkout", name, "error", err)
	}
	return nil
}

// makeParents makes the folders above name. A file or a link in their place belongs to somebody else.
func (c *checkout) makeParents(name string, made map[string]bool) error {
	above := slices.Collect(parents(name))
	slices.Reverse(above)
	for _, folder := range above {
		err := c.jobs.Mkdir(folder, folderMode)
		if err == nil {
			made[folder] = true
			continue
		}
		info, look := c.jobs.Lstat(folder)
		switch {
		case look != nil:
			return err
		case !info.IsDir():
			return errTaken
		}
	}
	return nil
}

// absent is errTaken if there is something of that name.
func absent(root *os.Root, name string) error {
	switch _, err := root.Lstat(name); {
	case err == nil:
		return errTaken
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// randomChars is what makes a taken name unique.
func randomChars() string {
	const chars = "abcdefghijklmnopqrstuvwxyz0123456789"
	var text [4]byte
	for i := range text {
		text[i] = chars[rand.IntN(len(chars))]
	}
	return string(text[:])
}
