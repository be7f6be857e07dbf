// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync"
)

// lockFolder holds the files by whose locks Managers that share a folder keep out of each other's way.
const lockFolder = "task-locks"

// packing is the lock behind those of tasks: whoever compresses has it, as that writes without the lock of the task.
const packing = stripes

// shared is the locks of a folder that several processes use. The system frees those of a process that dies.
type shared struct {
	files [stripes + 1]*os.File
	pack  sync.Mutex // a file's lock holds back other processes only
}

func newShared(root *os.Root) (*shared, error) {
	if err := root.Mkdir(lockFolder, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("tasklog: %w", err)
	}
	s := &shared{}
	for n := range s.files {
		file, err := root.OpenFile(path.Join(lockFolder, strconv.Itoa(n)), os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("tasklog: %w", err), s.close())
		}
		s.files[n] = file
	}
	unlock, err := s.lock(packing)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; where several Managers share a local storage it needs locks, or use files: s3", err), s.close())
	}
	unlock()
	return s, nil
}

// lock waits for a lock. Only one goroutine may ask for that of a task at a time. A nil one has nobody to wait for.
func (s *shared) lock(n int) (unlock func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	if n == packing {
		s.pack.Lock()
	}
	if err := lockFile(s.files[n]); err != nil {
		if n == packing {
			s.pack.Unlock()
		}
		return nil, fmt.Errorf("tasklog: locking %s: %w", s.files[n].Name(), err)
	}
	return func() {
		_ = unlockFile(s.files[n]) // it ends with the file at the latest
		if n == packing {
			s.pack.Unlock()
		}
	}, nil
}

func (s *shared) close() (err error) {
	for _, file := range s.files {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}
