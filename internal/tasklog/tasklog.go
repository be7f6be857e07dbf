// SPDX-License-Identifier: GPL-3.0-or-later

// Package tasklog owns the logs of tasks: one text file per task under the Manager's local storage. It appends, never
// twice the same chunk, and reads tails. It must not know what the lines mean nor who may see them.
package tasklog

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
)

// TailSize is the most that Tail returns, in bytes.
const TailSize = 2048

// idLength is the length of a UUID in text.
const idLength = 36

// stripes is the number of locks that all tasks share, so that no task leaves one behind.
const stripes = 64

// Store keeps the logs below one folder. Names never lead out of it, neither by ".." nor by a link.
type Store struct {
	root  *os.Root
	seed  maphash.Seed
	locks [stripes]sync.Mutex
}

// New opens the folder, which it makes if it is missing. Close frees it.
func New(folder string) (*Store, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("tasklog: making the local storage: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("tasklog: opening the local storage: %w", err)
	}
	return &Store{root: root, seed: maphash.MakeSeed()}, nil
}

// Close frees the folder; nothing may be called after it.
func (s *Store) Close() error { return s.root.Close() }

// Path is where the log of a task is inside the folder, with slashes on every platform.
func Path(jobID, taskID string) string {
	return path.Join(Folder(jobID), "task-"+taskID+".txt")
}

// Folder is where the files of a job are inside the folder. The level of first characters keeps folders short to list.
func Folder(jobID string) string {
	return path.Join("job-"+jobID[:min(4, len(jobID))], jobID)
}

// AppendChunk appends text unless the bytes after offset since already hold it, so that a chunk whose acknowledgement
// was lost is kept once. A negative since appends in any case. It returns the new size.
// A disk that is full or failing is an error of code farm.CodeStorage, and leaves nothing of the chunk behind.
func (s *Store) AppendChunk(jobID, taskID string, since int64, text string) (int64, error) {
	return s.change(jobID, taskID, func(f *os.File, size int64) (int64, error) {
		rest := text
		if since >= 0 && since < size {
			var err error
			if rest, err = missing(io.NewSectionReader(f, since, size-since), text); err != nil {
				return size, err
			}
		}
		return appendTo(f, size, rest)
	})
}

// AppendLine appends a line of the Manager itself, stamped with the time. Line breaks inside become spaces.
func (s *Store) AppendLine(jobID, taskID, line string) error {
	line = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(strings.TrimRight(line, "\r\n"))
	stamped := time.Now().UTC().Format(time.RFC3339) + " " + line + "\n"
	_, err := s.change(jobID, taskID, func(f *os.File, size int64) (int64, error) { return appendTo(f, size, stamped) })
	return err
}

// Size is the size of a task's log in bytes; farm.ErrNotExist if it has none.
func (s *Store) Size(jobID, taskID string) (int64, error) {
	f, err := s.Open(jobID, taskID)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("tasklog: %w", err)
	}
	return info.Size(), nil
}

// Tail is the end of a task's log, at most TailSize bytes and then only whole lines; farm.ErrNotExist if it has none.
func (s *Store) Tail(jobID, taskID string) (string, error) {
	f, err := s.Open(jobID, taskID)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("tasklog: %w", err)
	}
	start := max(0, info.Size()-TailSize)
	tail, err := io.ReadAll(io.NewSectionReader(f, start, TailSize))
	if err != nil {
		return "", fmt.Errorf("tasklog: reading: %w", err)
	}
	if start > 0 {
		if i := bytes.IndexByte(tail, '\n'); i >= 0 {
			tail = tail[i+1:]
		}
	}
	return string(tail), nil
}

// Open opens the whole log for reading; farm.ErrNotExist if the task has none. The caller closes it.
func (s *Store) Open(jobID, taskID string) (*os.File, error) {
	if err := checkIDs(jobID, taskID); err != nil {
		return nil, err
	}
	f, err := s.root.Open(Path(jobID, taskID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("tasklog: task %s has no log: %w", taskID, farm.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("tasklog: %w", err)
	}
	return f, nil
}

// change opens the log for a change that nobody else may make meanwhile.
func (s *Store) change(jobID, taskID string, do func(f *os.File, size int64) (int64, error)) (int64, error) {
	if err := checkIDs(jobID, taskID); err != nil {
		return 0, err
	}
	lock := &s.locks[maphash.String(s.seed, taskID)%stripes]
	lock.Lock()
	defer lock.Unlock()

	f, err := s.openForChange(jobID, taskID)
	if err != nil {
		return 0, storageError(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return 0, storageError(err)
	}
	size, err := do(f, info.Size())
	// Some file systems say only now that there is no space.
	if err := errors.Join(err, f.Close()); err != nil {
		return size, storageError(err)
	}
	return size, nil
}

func (s *Store) openForChange(jobID, taskID string) (*os.File, error) {
	name := Path(jobID, taskID)
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := s.root.MkdirAll(Folder(jobID), 0o750); err != nil {
		return nil, err
	}
	return s.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
}

// appendTo writes text at the end; what a full disk cut short is taken back, so that a retry writes it whole.
func appendTo(f *os.File, size int64, text string) (int64, error) {
	if text == "" {
		return size, nil
	}
	if _, err := f.WriteAt([]byte(text), size); err != nil {
		return size, errors.Join(err, f.Truncate(size))
	}
	return size + int64(len(text)), nil
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
