// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"flamenco.farm/internal/farm"
)

// ValidCheckout checks that name is the path of a checkout that exists; if not, the error has the code farm.CodeInvalid.
func (s *Store) ValidCheckout(name string) error {
	if err := CheckCheckoutName(name); err != nil {
		return err
	}
	jobs, err := s.openJobs()
	if err != nil {
		return err
	}
	defer jobs.Close()
	switch there, err := isCheckout(jobs, name); {
	case err != nil:
		return err
	case !there:
		return farm.Errorf(farm.CodeInvalid, "there is no checkout %.200q", name)
	}
	return nil
}

// Erase removes a checkout, and the folder above it if that is empty now. One that is not there, or is so in part after
// an Erase that was cut off, is no error. The stored files stay until they are collected as garbage.
func (s *Store) Erase(name string) error {
	if err := CheckCheckoutName(name); err != nil {
		return err
	}
	jobs, err := s.openJobs()
	if err != nil {
		return err
	}
	defer jobs.Close()
	there, err := isCheckout(jobs, name)
	if err != nil {
		return err
	}
	if there {
		if err := jobs.RemoveAll(name); err != nil {
			return storageError(err)
		}
	}
	if above := path.Dir(name); above != "." {
		jobs.Remove(above) // which succeeds only for one that is empty
	}
	return nil
}

// isCheckout reports whether there is a folder of that name that is reached through folders only: a link on the way may
// lead to what belongs to somebody else.
func isCheckout(jobs *os.Root, name string) (bool, error) {
	for folder := range withParents(name) {
		info, err := jobs.Lstat(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return false, nil
		case err != nil:
			return false, storageError(err)
		case !info.IsDir():
			return false, farm.Errorf(farm.CodeInvalid, "the checkout path %.200q does not lead to a folder", name)
		}
	}
	return true, nil
}

// withParents walks the folders above name from the top, and then name itself.
func withParents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := 0; i < len(name); i++ {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
		yield(name)
	}
}
