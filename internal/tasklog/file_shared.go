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
	"time"

	"flamenco.farm/internal/farm"
)

// lockFolder holds the files by whose locks Managers that share a folder keep out of each other's way.
const lockFolder = "task-locks"

// packing is the lock behind those of tasks: whoever compresses has it, as that writes without the lock of the task.
const packing = stripes

const (
	// lockWait is how long a lock of a task may be another Manager's: it has it for a moment, unless it is frozen.
	lockWait = 5 * time.Second
	// packWait is the same for packing, which takes as long as a log is long.
	packWait = time.Minute
	// A lock is tried again after pauses that grow from the first to the longest.
	firstPause   = time.Millisecond
	longestPause = 50 * time.Millisecond
)

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
	locked, err := s.try(packing) // that another Manager has it shows too that there are locks
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; a local storage that several Managers may share needs locks", err), s.close())
	}
	if locked {
		s.unlock(packing)
	}
	return s, nil
}

// lock waits for a lock until some time, then it is an error of code farm.CodeStorage. Only one goroutine may ask for that of a
// task at a time. A nil one has nobody to wait for.
func (s *shared) lock(n int, until time.Time) (unlock func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	if n == packing {
		s.pack.Lock()
	}
	if err := s.wait(n, until); err != nil {
		if n == packing {
			s.pack.Unlock()
		}
		return nil, err
	}
	return func() {
		s.unlock(n)
		if n == packing {
			s.pack.Unlock()
		}
	}, nil
}

// lockPacking waits for the lock of packing.
func (s *shared) lockPacking() (unlock func(), err error) {
	return s.lock(packing, time.Now().Add(packWait))
}

// wait tries to get a lock until some time, at least once.
func (s *shared) wait(n int, until time.Time) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		locked, err := s.try(n)
		if locked || err != nil {
			return err
		}
		left := time.Until(until)
		if left <= 0 {
			return farm.Errorf(farm.CodeStorage, "the task log cannot be used: another Manager keeps %s locked", s.files[n].Name())
		}
		timer := time.NewTimer(min(pause, left))
		<-timer.C
	}
}

func (s *shared) try(n int) (bool, error) {
	locked, err := tryLockFile(s.files[n])
	if err != nil {
		return false, fmt.Errorf("tasklog: locking %s: %w", s.files[n].Name(), err)
	}
	return locked, nil
}

func (s *shared) unlock(n int) { _ = unlockFile(s.files[n]) } // it ends with the file at the latest

func (s *shared) close() (err error) {
	for _, file := range s.files {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}
