// SPDX-License-Identifier: GPL-3.0-or-later

package operation

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"flamenco.farm/internal/farm"
)

// maxLog is how long the log of an operation may become, in bytes.
const maxLog = 1 << 20

const cutLine = "--- the log is too long, the rest is left out ---\n"

func logName(id string) string { return id + ".log" }

// limitedLog is a file that keeps the first maxLog bytes of what is written to it.
type limitedLog struct {
	file *os.File
	room int64
}

// openLog opens the log of an operation; a run that repeats another goes on behind its lines. Without room for a log an
// operation runs all the same: it may be what makes room.
func (s *Service) openLog(id string) *limitedLog {
	file, err := s.Logs.OpenFile(logName(id), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		s.Log.Warn("cannot open the log of an operation", "operation", id, "error", err)
		return &limitedLog{}
	}
	l := &limitedLog{file: file, room: maxLog}
	if info, err := file.Stat(); err == nil {
		l.room = max(0, maxLog-info.Size())
	}
	return l
}

// Write never fails, for the same reason.
func (l *limitedLog) Write(p []byte) (int, error) {
	if l.room > 0 {
		kept := p[:min(int64(len(p)), l.room)]
		_, _ = l.file.Write(kept)
		if l.room -= int64(len(kept)); l.room == 0 {
			_, _ = l.file.WriteString("\n" + cutLine)
		}
	}
	return len(p), nil
}

func (l *limitedLog) close() {
	if l.file != nil {
		_ = l.file.Close() // as with writing
	}
}

// ReadLog is the log of an operation, empty if it has none yet. It is never longer than a little over maxLog. One that
// another Manager keeps is an error of farm.CodeNotFound.
func (s *Service) ReadLog(ctx context.Context, o farm.Operation) ([]byte, error) {
	text, err := s.Logs.ReadFile(logName(o.ID))
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if !s.Several || o.Runs == 0 || o.Manager == s.Manager {
		return nil, nil
	}
	managers, err := s.Store.Managers(ctx)
	if err != nil {
		return nil, err
	}
	return nil, farm.Errorf(farm.CodeNotFound, "the log of the operation is not here: %s has it in its local storage", nameOf(managers, o.Manager))
}

// forgetOldLogs removes the logs of operations that are forgotten, which a Manager that was killed may have left.
func (s *Service) forgetOldLogs() {
	entries, err := fs.ReadDir(s.Logs.FS(), ".")
	if err != nil {
		s.Log.Warn("cannot look through the logs of operations", "error", err)
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > oldLog {
			s.removeLog(e.Name())
		}
	}
}

func (s *Service) removeLog(name string) {
	if err := s.Logs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Log.Warn("cannot remove the log of an operation", "name", name, "error", err)
	}
}
