// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"flamenco.farm/internal/farm"
)

// worthPacking is the size in bytes from which a log is compressed: a smaller one takes a block of the disk in any case.
const worthPacking = 4 << 10

func isPacked(name string) bool { return strings.HasSuffix(name, packedSuffix) }

// which says what of the logs of a job is meant.
type which int

const (
	all     which = iota
	earlier       // those of all attempts but the newest of each task
)

// packJob implements backend.
func (s *files) packJob(ctx context.Context, jobID string) error {
	var problems []error
	for file, err := range s.files(jobID, all) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(file.name, temporarySuffix):
			err = s.sweep(file)
		case !isPacked(file.name):
			err = s.pack(ctx, file)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// pruneJob implements backend.
func (s *files) pruneJob(ctx context.Context, jobID string) error {
	for file, err := range s.files(jobID, earlier) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = s.prune(file)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// logFile is a file of a task's logs, or what may be one.
type logFile struct {
	name   string
	id     farm.LogID
	object bool // in objects: all logs of the task
	ended  bool // the attempt has ended, also if it is the newest
}

// readAtOnce is how many names of a folder are read at once.
const readAtOnce = 1000

// files lists the files of the logs of a job, finished or not. A job that has no folder has none.
func (s *files) files(jobID string, of which) iter.Seq2[logFile, error] {
	return func(yield func(logFile, error) bool) {
		folder, err := s.root.Open(Folder(jobID))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(logFile{}, fmt.Errorf("tasklog: %w", err))
			return
		}
		defer folder.Close()
		for {
			entries, err := folder.ReadDir(readAtOnce)
			for _, e := range entries {
				if file, ok := parseFile(jobID, e.Name()); ok && e.Type().IsRegular() && (of == all || file.id.Generation != Newest) && !yield(file, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(logFile{}, fmt.Errorf("tasklog: %w", err))
				return
			}
		}
	}
}

// parseFile reads the name of a file in the folder of a job: of a log, as text or compressed, or one half written.
func parseFile(jobID, name string) (logFile, bool) {
	file := logFile{name: path.Join(Folder(jobID), name)}
	plain := strings.TrimSuffix(strings.TrimSuffix(file.name, temporarySuffix), packedSuffix)
	if marked, ok := strings.CutSuffix(plain, ".attempt"); ok && plain != file.name {
		plain = marked + ".txt"
	}
	var ok bool
	file.id, ok = ParsePath(plain)
	return file, ok
}

// sweep removes a file that is half written. Whoever writes one holds the lock of its task, or the one of packing.
func (s *files) sweep(file logFile) error {
	packed, err := s.others.lockPacking()
	if err != nil {
		return err
	}
	defer packed()
	unlock, err := s.lock(file.id.TaskID)
	if err != nil {
		return err
	}
	defer unlock()
	return gone(s.disk.Remove(file.name))
}

func (s *files) prune(file logFile) error {
	unlock, err := s.lock(file.id.TaskID)
	if err != nil {
		return err
	}
	defer unlock()
	// After a crash in a rotation the newest log is under the name of an earlier one.
	newest, _, err := s.place(farm.LogID{JobID: file.id.JobID, TaskID: file.id.TaskID, Generation: Newest})
	if err != nil || newest == strings.TrimSuffix(file.name, packedSuffix) {
		return err
	}
	return gone(s.disk.Remove(file.name))
}

// gone is no error for what is not there any more.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// pack compresses a log. Nothing is locked while it is read: when it has changed meanwhile it stays as it is. The text is
// removed only after the compressed log is on the disk under its name.
func (s *files) pack(_ context.Context, file logFile) error {
	packed, err := s.others.lockPacking()
	if err != nil {
		return err
	}
	defer packed()
	f, err := s.root.Open(file.name)
	if err != nil {
		return gone(err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil || before.Size() < worthPacking {
		return err
	}
	temporary := file.name + packedSuffix + temporarySuffix
	if err := s.writeWhole(temporary, func(to *os.File) error {
		return s.codec.pack(to, io.NewSectionReader(f, 0, before.Size()))
	}); err != nil {
		return gone(err) // the job may have been deleted
	}
	if err := s.disk.Chtimes(temporary, before.ModTime(), before.ModTime()); err != nil {
		return gone(err)
	}
	unlock, err := s.lock(file.id.TaskID)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := s.root.Lstat(file.name)
	if err != nil || !os.SameFile(before, now) || now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime()) {
		return gone(errors.Join(s.disk.Remove(temporary), gone(err)))
	}
	if err := s.disk.Rename(temporary, file.name+packedSuffix); err != nil {
		return gone(err)
	}
	if err := s.syncFolder(path.Dir(file.name)); err != nil {
		return err
	}
	f.Close() // some systems do not remove an open file
	return gone(s.disk.Remove(file.name))
}

// unpackFor makes text of a log that is compressed and has to grow. The compressed one is removed last.
func (s *files) unpackFor(name string, id farm.LogID) error {
	log, err := s.openFile(name + packedSuffix)
	if err != nil {
		return err
	}
	err = s.writeWhole(name+temporarySuffix, func(to *os.File) error {
		_, err := io.Copy(to, io.NewSectionReader(log, 0, log.Size))
		return err
	})
	log.Close()
	if err != nil {
		return err
	}
	if err := s.disk.Rename(name+temporarySuffix, name); err != nil {
		return err
	}
	s.finished(logFile{name: name, id: id})
	return gone(s.disk.Remove(name + packedSuffix))
}
