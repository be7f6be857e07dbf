// SPDX-License-Identifier: GPL-3.0-or-later

package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Folder is what a look at a folder says.
type Folder struct {
	Path   string
	Usable bool
	Cause  string // why it cannot be used, or that it can
}

// CheckFolder tries whether a folder can be the shared storage. Nothing is left behind in it.
func (a *Assistant) CheckFolder(path string) Folder {
	path = strings.TrimSpace(path)
	if err := checkForm(path); err != nil {
		return Folder{Path: path, Cause: err.Error()}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.Base, path)
	}
	path = filepath.Clean(path)
	if err := a.checkFolder(path); err != nil {
		return Folder{Path: path, Cause: err.Error()}
	}
	return Folder{Path: path, Usable: true, Cause: "the folder can be used"}
}

// checkForm refuses what is no path of a folder on this machine, whatever the disk holds.
func checkForm(path string) error {
	switch {
	case path == "":
		return errors.New("no folder is given")
	case strings.HasPrefix(path, `\\`) || (filepath.Separator == '\\' && strings.HasPrefix(path, "//")):
		return errors.New("paths of the form " + `\\server\share` + " cannot be the shared storage: give the share a drive letter")
	case strings.ContainsRune(path, 0):
		return errors.New("the path holds a character that no path can hold")
	}
	return nil
}

func (a *Assistant) checkFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such folder; make it first")
	case err != nil:
		return fmt.Errorf("it cannot be looked at: %w", plain(err))
	case !info.IsDir():
		return errors.New("it is a file, not a folder")
	}
	if own, err := os.Stat(a.Install); err == nil && os.SameFile(own, info) {
		return errors.New("it is the folder of the Manager's own program; choose one for the files of jobs only")
	}
	return tryWriting(path)
}

// probe is more than ASCII: a file system that spoils names or texts is better found now.
const probe = "Flamenco: ĄŽ ßé 漢字 ✓"

// tryWriting writes a small file, reads it back and removes it.
func tryWriting(folder string) (err error) {
	f, err := os.CreateTemp(folder, ".flamenco-žß漢-*.txt")
	if err != nil {
		return fmt.Errorf("the Manager cannot write to it: %w", plain(err))
	}
	defer func() {
		if removeErr := os.Remove(f.Name()); removeErr != nil && err == nil {
			err = fmt.Errorf("the Manager can write to it, but not remove what it wrote: %w", plain(removeErr))
		}
	}()
	_, err = f.WriteString(probe)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("the Manager cannot write to it: %w", err)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		return fmt.Errorf("what the Manager writes to it cannot be read: %w", plain(err))
	}
	if string(text) != probe {
		return errors.New("what the Manager writes to it comes back as something else")
	}
	return nil
}

// plain is err without the path, which the answer has anyway.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
