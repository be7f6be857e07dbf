// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"fmt"
	"io/fs"
	"strings"

	"flamenco.farm/internal/farm"
)

// open implements backend.
func (s *files) open(id farm.LogID) (*Log, error) {
	unlock, err := s.lock(id.TaskID) // else a newer attempt could take the name meanwhile
	if err != nil {
		return nil, err
	}
	defer unlock()
	name, found, err := s.place(id)
	if err != nil {
		return nil, err
	}
	switch found {
	case asText:
		return s.openFile(name)
	case packed:
		return s.openFile(name + packedSuffix)
	case absent:
	}
	return nil, fmt.Errorf("tasklog: task %s has no log: %w", id.TaskID, farm.ErrNotExist)
}

func (s *files) openFile(name string) (*Log, error) {
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
		ReaderAt: f, Size: info.Size(), Modified: info.ModTime(), path: strings.TrimSuffix(name, packedSuffix), close: f.Close,
	}
	if !isPacked(name) {
		return log, nil
	}
	text, err := openPacked(s.decoder, f, info.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("tasklog: %s: %w", name, err)
	}
	log.ReaderAt, log.Size, log.compressed = text, text.size, f
	return log, nil
}

// stat implements backend.
func (s *files) stat(jobID, taskID string, generations []int64) (map[int64]Info, error) {
	found := make(map[int64]Info, len(generations))
	for _, generation := range generations {
		id := farm.LogID{JobID: jobID, TaskID: taskID, Generation: generation}
		log, err := s.open(id)
		if farm.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[generation] = Info{ID: id, Path: log.path, Size: log.Size}
		log.Close()
	}
	return found, nil
}
