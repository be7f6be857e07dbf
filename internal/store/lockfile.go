// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"flamenco.farm/internal/volume"
)

// lockFile keeps a second Manager off the same database. The kernel frees it at any death of its owner.
type lockFile struct{ file *os.File }

func lockDatabase(database string) (*lockFile, error) {
	folder := filepath.Dir(database)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	if kind := volume.Network(folder); kind != "" {
		return nil, fmt.Errorf("%s is on a network file system (%s), where SQLite is not safe; keep the database on a local disk", folder, kind)
	}
	path := database + ".lock"
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := tryLock(file); err != nil {
		owner, _ := os.ReadFile(path) // only for the message
		file.Close()
		return nil, fmt.Errorf("%w (%s): %w", ErrInUse, strings.TrimSpace(string(owner)), err)
	}
	host, _ := os.Hostname() // only for the message
	line := fmt.Sprintf("process %d on %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if err := file.Truncate(0); err == nil {
		_, err = file.WriteAt([]byte(line), 0)
		if err == nil {
			return &lockFile{file}, nil
		}
	}
	file.Close()
	return nil, fmt.Errorf("writing lock file %s: %w", path, err)
}

// release unlocks before it closes: a process that is being started just now still has the file open for a moment.
func (l *lockFile) release() error { return errors.Join(unlock(l.file), l.file.Close()) }
