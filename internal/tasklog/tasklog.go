// SPDX-License-Identifier: GPL-3.0-or-later

// Package tasklog owns the logs of tasks: one text file for each attempt, under the Manager's local storage. It appends,
// never twice the same chunk, limits how long a log gets, compresses those that are finished, and reads them, compressed or
// not. It must not know what the lines mean nor who may see them.
package tasklog

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"flamenco.farm/internal/farm"
)

// Newest stands for the generation of the newest attempt that has a log.
const Newest = -1

// idLength is the length of a UUID in text.
const idLength = 36

// stripes is the number of locks that all tasks share, so that no task leaves one behind.
const stripes = 64

// Store keeps the logs below one folder. Names never lead out of it, neither by ".." nor by a link.
//
// The log of the newest attempt of a task is task-<id>.txt, as in Flamenco 3. When a newer attempt begins to log, it is
// renamed to task-<id>.<generation>.txt, and task-<id>.attempt says of which attempt the next task-<id>.txt is; without that
// file it is of the first one. A compressed log has .zst behind its name; where both are there, the text counts. Names that
// end in ~ are of files that are being written.
type Store struct {
	root    *os.Root // to read
	disk    disk     // to change
	maxSize int64
	seed    maphash.Seed
	locks   [stripes]sync.Mutex // one task is changed by one call at a time
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	queue   *queue // of logs that could be compressed
	hear    func(id farm.LogID, text string)
}

// disk is how a Store changes files; each call takes effect wholly or not at all.
type disk interface {
	OpenFile(name string, flag int, perm os.FileMode) (*os.File, error)
	MkdirAll(name string, perm os.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
	Chtimes(name string, accessed, modified time.Time) error
}

// New opens the folder, which it makes if it is missing. A log that is longer than maxSize bytes loses its middle; 0 = the
// default. Close frees the Store.
func New(folder string, maxSize int64) (*Store, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("tasklog: making the local storage: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("tasklog: opening the local storage: %w", err)
	}
	encoder, encoderErr := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(frameSize))
	decoder, decoderErr := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(frameSize))
	if err := errors.Join(encoderErr, decoderErr); err != nil {
		root.Close()
		return nil, fmt.Errorf("tasklog: %w", err)
	}
	if maxSize == 0 {
		maxSize = DefaultMaxSize
	}
	return &Store{root: root, disk: root, maxSize: maxSize, seed: maphash.MakeSeed(), encoder: encoder, decoder: decoder, queue: newQueue(), hear: func(farm.LogID, string) {}}, nil
}

// OnAppend lets hear know, in order and exactly once, what is appended to each log. It must not block, and is to be set
// before anything is written.
func (s *Store) OnAppend(hear func(id farm.LogID, text string)) { s.hear = hear }

// Close frees the folder; nothing may be called after it.
func (s *Store) Close() error {
	s.decoder.Close()
	return errors.Join(s.encoder.Close(), s.root.Close())
}

// Folder is where the files of a job are inside the folder. The level of first characters keeps folders short to list.
func Folder(jobID string) string {
	return path.Join("job-"+jobID[:min(4, len(jobID))], jobID)
}

// Path is where the log of the newest attempt of a task is inside the folder, with slashes on every platform. There it can
// be read even if it is compressed.
func Path(jobID, taskID string) string {
	return path.Join(Folder(jobID), "task-"+taskID+".txt")
}

// attemptPath is where the log of an attempt is that is not the newest any more.
func attemptPath(id farm.LogID) string {
	return path.Join(Folder(id.JobID), fmt.Sprintf("task-%s.%d.txt", id.TaskID, id.Generation))
}

// markerPath is the file that says of which attempt the newest log is.
func markerPath(id farm.LogID) string {
	return path.Join(Folder(id.JobID), "task-"+id.TaskID+".attempt")
}

const (
	packedSuffix    = ".zst"
	temporarySuffix = "~"
)

// ParsePath tells whose log has a path inside the folder; false if none can.
func ParsePath(name string) (farm.LogID, bool) {
	folder, file := path.Split(name)
	text, isLog := strings.CutPrefix(file, "task-")
	text, isText := strings.CutSuffix(text, ".txt")
	if !isLog || !isText {
		return farm.LogID{}, false
	}
	id := farm.LogID{JobID: path.Base(folder), Generation: Newest}
	var generation string
	var earlier bool
	id.TaskID, generation, earlier = strings.Cut(text, ".")
	if earlier {
		n, err := strconv.ParseInt(generation, 10, 64)
		if err != nil || n < 0 {
			return farm.LogID{}, false
		}
		id.Generation = n
	}
	if checkIDs(id.JobID, id.TaskID) != nil || (name != Path(id.JobID, id.TaskID) && name != attemptPath(id)) {
		return farm.LogID{}, false
	}
	return id, true
}

func (s *Store) lock(taskID string) *sync.Mutex {
	return &s.locks[maphash.String(s.seed, taskID)%stripes]
}

// newest is the generation of the attempt that task-<id>.txt belongs to: 1 also for what was logged before it.
func (s *Store) newest(id farm.LogID) (int64, error) {
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
func (s *Store) exists(name string) (bool, error) {
	info, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("tasklog: %w", err)
	}
	return info.Mode().IsRegular(), nil
}

// anyOf is whether a log is there, as text or compressed.
func (s *Store) anyOf(name string) (bool, error) {
	there, err := s.exists(name)
	if there || err != nil {
		return there, err
	}
	return s.exists(name + packedSuffix)
}

// place is where the log of an attempt is, whether or not it is there. One that is newer than the newest has no place yet,
// and is said not to exist.
func (s *Store) place(id farm.LogID) (string, error) {
	newest, err := s.newest(id)
	if err != nil {
		return "", err
	}
	name := Path(id.JobID, id.TaskID)
	switch {
	case id.Generation == Newest:
	case max(id.Generation, 1) > newest:
		return "", fmt.Errorf("tasklog: attempt %d of task %s: %w", id.Generation, id.TaskID, farm.ErrNotExist)
	case max(id.Generation, 1) < newest:
		id.Generation = max(id.Generation, 1)
		return attemptPath(id), nil
	}
	// A crash between the two steps of a rotation leaves the newest log under the name of an earlier one.
	if there, err := s.anyOf(name); there || err != nil {
		return name, err
	}
	id.Generation = newest
	if there, err := s.anyOf(attemptPath(id)); there || err != nil {
		return attemptPath(id), err
	}
	return name, nil
}

func storageError(err error) error {
	return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "the log of the task cannot be written"), err)
}

// checkIDs refuses what is no UUID, so that the names of files are what they seem.
func checkIDs(ids ...string) error {
	for _, id := range ids {
		if len(id) != idLength || strings.Trim(id, "0123456789abcdefABCDEF-") != "" {
			return farm.Errorf(farm.CodeInvalid, "%q is not a valid ID", id)
		}
	}
	return nil
}
