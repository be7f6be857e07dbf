// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
)

// TailSize is the most that Tail returns, in bytes.
const TailSize = 2048

// Log is a log that is open for reading, compressed or not. It does not change what it is when a newer attempt begins.
type Log struct {
	io.ReaderAt
	Size     int64 // in bytes, as text
	Modified time.Time
	path     string // without what says that it is compressed
	file     *os.File
	packed   bool
}

// Close ends the reading. Nothing that was read can be lost by it any more.
func (l *Log) Close() { _ = l.file.Close() }

// Compressed is the log as it is stored, in Zstandard; false if it is not compressed.
func (l *Log) Compressed() (io.ReadSeeker, bool) { return l.file, l.packed }

// Open opens the log of an attempt, or with generation Newest that of the newest; farm.ErrNotExist if it has none.
func (s *Store) Open(id farm.LogID) (*Log, error) {
	if err := checkIDs(id.JobID, id.TaskID); err != nil {
		return nil, err
	}
	lock := s.lock(id.TaskID)
	lock.Lock() // else a newer attempt could take the name meanwhile
	defer lock.Unlock()
	name, err := s.place(id)
	if err != nil {
		return nil, err
	}
	for _, found := range []string{name, name + packedSuffix} {
		log, err := s.open(found)
		if !errors.Is(err, fs.ErrNotExist) {
			return log, err
		}
	}
	return nil, fmt.Errorf("tasklog: task %s has no log: %w", id.TaskID, farm.ErrNotExist)
}

func (s *Store) open(name string) (*Log, error) {
	if regular, err := s.exists(name); err != nil {
		return nil, err
	} else if !regular { // to open a named pipe would wait for its writer for ever
		return nil, fs.ErrNotExist
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("tasklog: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("tasklog: %w", err)
	}
	log := &Log{
		ReaderAt: f, Size: info.Size(), Modified: info.ModTime(), path: strings.TrimSuffix(name, packedSuffix), file: f,
	}
	if !isPacked(name) {
		return log, nil
	}
	text, err := openPacked(s.decoder, f, info.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("tasklog: %s: %w", name, err)
	}
	log.ReaderAt, log.Size, log.packed = text, text.size, true
	return log, nil
}

// Info is where a log is and how long it is.
type Info struct {
	ID   farm.LogID
	Path string // inside the folder; there it can be read even if it is compressed
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
