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

// append implements backend.
func (s *files) append(id farm.LogID, since int64, text string) (int64, error) {
	return s.change(id, func(f *os.File, e extent) (int64, error) {
		rest := text
		if since >= 0 {
			if start := e.physical(since); start < e.size {
				var err error
				if rest, err = missing(io.NewSectionReader(f, start, e.size-start), text); err != nil {
					return 0, err
				}
			}
		}
		return s.write(f, e.size, id, rest)
	})
}

// change opens a log for a change that nobody else may make meanwhile. do returns how many bytes it wrote.
func (s *files) change(id farm.LogID, do func(f *os.File, e extent) (int64, error)) (size int64, err error) {
	unlock, err := s.lock(id.TaskID)
	if err != nil {
		return 0, lockedOr(err)
	}
	defer unlock()

	log := s.logs.take(id)
	if log == nil {
		if log, err = s.openLog(id); err != nil {
			return 0, storageError(err)
		}
	}
	e, err := s.extentOf(log.File)
	if err != nil {
		log.Close()
		return 0, storageError(err)
	}
	written, err := do(log.File, e)
	if err != nil {
		return 0, storageError(errors.Join(err, log.Close()))
	}
	size = e.logical() + written
	tooLong := e.size+written > s.maxSize
	if tooLong {
		err = log.Close()
	} else {
		err = s.logs.put(id, log)
	}
	if err != nil { // some file systems say only now that there is no space
		return 0, storageError(err)
	}
	if tooLong {
		s.cut(log.name) // a log that could not be cut is longer than it should be; the next change tries again
	}
	return size, nil
}

// ended implements backend.
func (s *files) ended(id farm.LogID) {
	s.logs.forget(id.TaskID)
}

// closeUnused implements backend.
func (s *files) closeUnused(since time.Time) { s.logs.closeUnused(since) }

// openLog opens the log of an attempt, as text and under the name it has now.
func (s *files) openLog(id farm.LogID) (*openLog, error) {
	name, found, err := s.rotate(id)
	if err != nil {
		return nil, err
	}
	if found == packed {
		if err := s.unpackFor(name, id); err != nil {
			return nil, err
		}
	}
	f, err := s.openForChange(name, id.JobID)
	if err != nil {
		return nil, err
	}
	return &openLog{File: f, generation: max(id.Generation, 1), name: name}, nil
}

func (s *files) openForChange(name, jobID string) (*os.File, error) {
	f, err := s.disk.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := s.disk.MkdirAll(Folder(jobID), 0o750); err != nil {
		return nil, err
	}
	return s.disk.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
}

// rotate makes room for the log of an attempt that is newer than all that logged before, and returns where the log of the
// attempt is. Whatever step it ends at, by a crash or an error, the next call goes on from there: as long as the newest
// log is under either of its names, place finds it.
func (s *files) rotate(id farm.LogID) (string, form, error) {
	newest, err := s.newest(id)
	if err != nil {
		return "", absent, err
	}
	if max(id.Generation, 1) <= newest {
		return s.placeOf(id, newest)
	}
	name := Path(id.JobID, id.TaskID)
	earlier := attemptPath(farm.LogID{JobID: id.JobID, TaskID: id.TaskID, Generation: newest})
	if err := s.renameLog(name, earlier); err != nil {
		return "", absent, err
	}
	if err := s.writeMarker(id); err != nil {
		return "", absent, err
	}
	s.finished(logFile{name: earlier, id: id})
	return name, absent, nil
}

// renameLog gives a log another name, compressed or not; one that is not there needs none.
func (s *files) renameLog(from, to string) error {
	text, err := s.exists(from)
	if err != nil {
		return err
	}
	packed, err := s.exists(from + packedSuffix)
	if err != nil {
		return err
	}
	if text && packed { // left over by a crash: would it stay, it would seem to be of the next attempt
		if err := s.disk.Remove(from + packedSuffix); err != nil {
			return err
		}
	}
	switch {
	case text:
		return s.disk.Rename(from, to)
	case packed:
		return s.disk.Rename(from+packedSuffix, to+packedSuffix)
	}
	return nil
}

// writeMarker says of which attempt the newest log is from now on.
func (s *files) writeMarker(id farm.LogID) error {
	if err := s.disk.MkdirAll(Folder(id.JobID), 0o750); err != nil {
		return err
	}
	name := markerPath(id)
	if err := s.writeWhole(name+temporarySuffix, func(f *os.File) error {
		_, err := fmt.Fprintf(f, "%d\n", id.Generation)
		return err
	}); err != nil {
		return err
	}
	return s.disk.Rename(name+temporarySuffix, name)
}

// writeWhole writes a file that lasts; on an error it is gone again.
func (s *files) writeWhole(name string, write func(f *os.File) error) error {
	f, err := s.disk.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, s.disk.Remove(name))
	}
	return nil
}

func (s *files) write(f *os.File, size int64, id farm.LogID, text string) (int64, error) {
	written, err := appendTo(f, size, text)
	if err == nil && text != "" {
		s.hear(id, text)
	}
	return written, err
}

// appendTo writes text at the end; what a full disk cut short is taken back, so that a retry writes it whole.
func appendTo(f *os.File, size int64, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if _, err := f.WriteAt([]byte(text), size); err != nil {
		return 0, errors.Join(err, f.Truncate(size))
	}
	return int64(len(text)), nil
}

// missing is what has to be appended so that written, the end of the log, holds text: nothing, all of it, or the rest
// of a write that a crash cut short.
func missing(written *io.SectionReader, text string) (string, error) {
	if size := written.Size(); size < int64(len(text)) {
		begun, err := io.ReadAll(written)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(text, string(begun)) {
			return text[len(begun):], nil
		}
		return text, nil
	}
	found, err := contains(written, []byte(text))
	if found {
		return "", err
	}
	return text, err
}

// contains looks for pattern through a window, because what follows the offset may be long.
func contains(r io.Reader, pattern []byte) (bool, error) {
	if len(pattern) == 0 {
		return true, nil
	}
	window := make([]byte, 0, len(pattern)+64<<10)
	for {
		n, err := r.Read(window[len(window):cap(window)])
		window = window[:len(window)+n]
		if bytes.Contains(window, pattern) {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if keep := len(pattern) - 1; len(window) > keep {
			window = window[:copy(window, window[len(window)-keep:])]
		}
	}
}
