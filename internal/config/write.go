// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// replaceFile writes text to path whole or not at all, for its owner only.
func replaceFile(path string, text []byte) (stamp, error) {
	// A link stays one: what it leads to is replaced.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	temporary, at, err := writeBeside(path, text)
	if err != nil {
		return stamp{}, err
	}
	if err := os.Rename(temporary, path); err != nil {
		return stamp{}, errors.Join(err, os.Remove(temporary))
	}
	return at, syncFolder(filepath.Dir(path))
}

// writeBeside writes text to a new file in the folder of path.
func writeBeside(path string, text []byte) (name string, at stamp, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", stamp{}, err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync())
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err != nil {
		return "", stamp{}, errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), stampOf(info), nil
}

// syncFolder makes a rename survive a power cut. Windows cannot sync a folder and needs no such thing.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
