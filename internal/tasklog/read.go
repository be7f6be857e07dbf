// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"flamenco.farm/internal/farm"
)

// TailSize is the most that Tail returns, in bytes.
const TailSize = 2048

// Log is a log that is open for reading, compressed or not. It does not change what it is when a newer attempt begins.
type Log struct {
	io.ReaderAt
	Size       int64 // in bytes, as text
	Modified   time.Time
	path       string        // without what says that it is compressed
	compressed io.ReadSeeker // nil = it is not
	close      func() error
}

// Close ends the reading. Nothing that was read can be lost by it any more.
func (l *Log) Close() { _ = l.close() }

// Compressed is the log as it is stored, in Zstandard; false if it is not compressed.
func (l *Log) Compressed() (io.ReadSeeker, bool) { return l.compressed, l.compressed != nil }

// Open opens the log of an attempt, or with generation Newest that of the newest; farm.ErrNotExist if it has none.
func (s *Store) Open(id farm.LogID) (*Log, error) {
	if err := checkIDs(id.JobID, id.TaskID); err != nil {
		return nil, err
	}
	log, err := s.place.open(id)
	if s.older != nil && farm.IsNotExist(err) {
		return s.older.open(id)
	}
	return log, err
}

// Info is where a log is and how long it is.
type Info struct {
	ID   farm.LogID
	Path string // as if it were a text file in a folder of all jobs; see ParsePath
	Size int64  // in bytes, as text
}

// Stat looks for the log of an attempt, or with generation Newest that of the newest; farm.ErrNotExist if it has none.
func (s *Store) Stat(id farm.LogID) (Info, error) {
	log, err := s.Open(id)
	if err != nil {
		return Info{}, err
	}
	defer log.Close()
	return Info{ID: id, Path: log.path, Size: log.Size}, nil
}

// StatAll is Stat for some attempts of a task. Those that have no log are left out.
func (s *Store) StatAll(jobID, taskID string, generations []int64) (map[int64]Info, error) {
	if err := checkIDs(jobID, taskID); err != nil {
		return nil, err
	}
	found, err := s.place.stat(jobID, taskID, generations)
	if s.older == nil || err != nil || len(found) == len(generations) {
		return found, err
	}
	older, err := s.older.stat(jobID, taskID, generations)
	for generation, info := range older {
		if _, newer := found[generation]; !newer {
			found[generation] = info
		}
	}
	return found, err
}

// Tail is the end of the newest log of a task, at most TailSize bytes and then only whole lines; farm.ErrNotExist if it
// has none.
func (s *Store) Tail(jobID, taskID string) (string, error) {
	text, start, _, err := s.Part(farm.LogID{JobID: jobID, TaskID: taskID, Generation: Newest}, -TailSize, TailSize)
	if err != nil {
		return "", err
	}
	if start > 0 {
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	return string(text), nil
}

// Part is a part of a log: at most length bytes from an offset on, which counts from the end if it is negative. start is
// where the part begins and size how long the log is; farm.ErrNotExist if there is none.
func (s *Store) Part(id farm.LogID, offset, length int64) (text []byte, start, size int64, err error) {
	log, err := s.Open(id)
	if err != nil {
		return nil, 0, 0, err
	}
	defer log.Close()
	if offset < 0 {
		offset += log.Size
	}
	start = min(max(offset, 0), log.Size)
	text, err = io.ReadAll(io.NewSectionReader(log, start, min(length, log.Size-start)))
	if err != nil {
		return nil, 0, 0, fmt.Errorf("tasklog: reading: %w", err)
	}
	return text, start, log.Size, nil
}

// Added is what was appended to a log from one place to another. Places are sizes as AppendChunk returns them: they count
// what the log lost for its length, and of that nothing is returned.
func (s *Store) Added(id farm.LogID, from, to int64) (string, error) {
	log, err := s.Open(id)
	if err != nil {
		return "", err
	}
	defer log.Close()
	e, err := extentOf(log, log.Size, s.maxSize)
	if err != nil {
		return "", fmt.Errorf("tasklog: reading: %w", err)
	}
	begin, end := e.physical(max(from, 0)), min(e.physical(to), log.Size)
	if begin >= end {
		return "", nil
	}
	text, err := io.ReadAll(io.NewSectionReader(log, begin, end-begin))
	if err != nil {
		return "", fmt.Errorf("tasklog: reading: %w", err)
	}
	return string(text), nil
}
