// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
)

// stripes is the number of locks that all tasks share, so that no task leaves one behind.
const stripes = 64

// files keeps the logs below one folder. Names never lead out of it, neither by ".." nor by a link.
//
// The log of the newest attempt of a task is task-<id>.txt, as in Flamenco 3. When a newer attempt begins to log, it is
// renamed to task-<id>.<generation>.txt, and task-<id>.attempt says of which attempt the next task-<id>.txt is; without that
// file it is of the first one. A compressed log has .zst behind its name; where both are there, the text counts. Names that
// end in ~ are of files that are being written.
type files struct {
	root    *folders // to read
	disk    disk     // to change
	logs    openLogs
	maxSize int64
	locks   [stripes]sync.Mutex // one task is changed by one call at a time
	others  *shared             // the same between Managers that share the folder; nil = there are none
	codec
	hear     func(id farm.LogID, text string)
	finished func(logFile) // hears of logs that could be compressed
}

// disk is how files are changed; each call takes effect wholly or not at all.
type disk interface {
	OpenFile(name string, flag int, perm os.FileMode) (*os.File, error)
	MkdirAll(name string, perm os.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
	Chtimes(name string, accessed, modified time.Time) error
}

func newFiles(folder string, maxSize int64, c codec, hear func(farm.LogID, string), finished func(logFile)) (*files, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("tasklog: making the local storage: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("tasklog: opening the local storage: %w", err)
	}
	in := newFolders(root)
	return &files{
		root: in, disk: in, logs: openLogs{max: maxLogs(folder), byTask: map[string]*openLog{}},
		maxSize: maxSize, codec: c, hear: hear, finished: finished,
	}, nil
}

func (s *files) close() error {
	err := errors.Join(s.logs.close(), s.root.Close())
	if s.others != nil {
		return errors.Join(s.others.close(), err)
	}
	return err
}

// lock keeps everybody else from the logs of a task until unlock is called. All who wait for a Manager that keeps it give up at
// their time, not one after the other.
func (s *files) lock(taskID string) (unlock func(), err error) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(taskID)) // never fails
	n := int(hash.Sum32() % stripes)
	until := time.Now().Add(lockWait)
	s.locks[n].Lock()
	release, err := s.others.lock(n, until)
	if err != nil {
		s.locks[n].Unlock()
		return nil, err
	}
	return func() {
		release()
		s.locks[n].Unlock()
	}, nil
}

// newest is the generation of the attempt that task-<id>.txt belongs to: 1 also for what was logged before it.
func (s *files) newest(id farm.LogID) (int64, error) {
	text, err := s.root.ReadFile(markerPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("tasklog: %w", err)
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("tasklog: %s is damaged", markerPath(id))
	}
	return n, nil
}

// exists tells whether there is a regular file.
func (s *files) exists(name string) (bool, error) {
	info, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("tasklog: %w", err)
	}
	return info.Mode().IsRegular(), nil
}

// form is how a log is on the disk.
type form int

const (
	absent form = iota
	asText
	packed // and not as text too, which counts more
)

func (s *files) form(name string) (form, error) {
	if there, err := s.exists(name); there || err != nil {
		return asText, err
	}
	if there, err := s.exists(name + packedSuffix); there || err != nil {
		return packed, err
	}
	return absent, nil
}

// place is where the log of an attempt is, whether or not it is there. One that is newer than the newest has no place yet,
// and is said not to exist.
func (s *files) place(id farm.LogID) (string, form, error) {
	newest, err := s.newest(id)
	if err != nil {
		return "", absent, err
	}
	return s.placeOf(id, newest)
}

// placeOf is place for one who knows which attempt is the newest.
func (s *files) placeOf(id farm.LogID, newest int64) (name string, found form, err error) {
	name = Path(id.JobID, id.TaskID)
	switch {
	case id.Generation == Newest:
	case max(id.Generation, 1) > newest:
		return "", absent, fmt.Errorf("tasklog: attempt %d of task %s: %w", id.Generation, id.TaskID, farm.ErrNotExist)
	case max(id.Generation, 1) < newest:
		id.Generation = max(id.Generation, 1)
		name = attemptPath(id)
		found, err = s.form(name)
		return name, found, err
	}
	// A crash between the two steps of a rotation leaves the newest log under the name of an earlier one.
	if found, err = s.form(name); found != absent || err != nil {
		return name, found, err
	}
	id.Generation = newest
	earlier := attemptPath(id)
	if found, err = s.form(earlier); found != absent || err != nil {
		return earlier, found, err
	}
	return name, absent, nil
}

// has is whether the log of an attempt was begun.
func (s *files) has(id farm.LogID) (bool, error) {
	_, err := s.root.Lstat(Folder(id.JobID))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("tasklog: %w", err)
	}
	unlock, err := s.lock(id.TaskID) // else it could get another name meanwhile
	if err != nil {
		return false, err
	}
	defer unlock()
	_, found, err := s.place(id)
	if farm.IsNotExist(err) {
		return false, nil
	}
	return found != absent, err
}
