// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// settle is how old a file must be to be read without being told to: a younger one may still be in the writing.
const settle = time.Second

// Live is the configuration of a running Manager. A change of the file reaches the settings that can change while it
// runs; the others stay what they were at the start. Whatever happens to the file, it never takes a setting away: one that
// is missing or wrong changes nothing. It may be used from many goroutines.
type Live struct {
	src     Sources
	log     *slog.Logger
	started Config // of the running Manager, as it was built
	current atomic.Pointer[Config]

	mu     sync.Mutex // one reading or writing of the file at a time
	file   Config     // what the file said when it was last right, with paths as they were written
	seen   stamp      // of the file when it was last looked at, right or wrong
	usable stamp      // of the file when it was last right
	users  []func(Config)
}

// Open reads the file and the environment for a Manager that is about to run.
func Open(src Sources, log *slog.Logger) (*Live, error) {
	r, err := src.read(log)
	if err != nil {
		return nil, err
	}
	l := &Live{src: src, log: log, started: r.full, file: r.file, seen: r.stamp, usable: r.stamp}
	l.current.Store(&r.full)
	return l, nil
}

// Fixed is a configuration without a file: it never changes.
func Fixed(cfg Config) *Live {
	l := &Live{log: slog.New(slog.DiscardHandler), started: cfg, file: cfg}
	l.current.Store(&cfg)
	return l
}

// Current is what holds now.
func (l *Live) Current() Config { return *l.current.Load() }

// Folder is where the file is, which relative paths in it are below.
func (l *Live) Folder() string {
	if l.src.Path == "" {
		return "."
	}
	path, err := filepath.Abs(l.src.Path)
	if err != nil {
		return filepath.Dir(l.src.Path)
	}
	return filepath.Dir(path)
}

// ExecutableFolder is where the Manager's program is.
func (l *Live) ExecutableFolder() string { return l.src.ExecutableDir }

// Subscribe calls use now and whenever a setting has changed, one call at a time. It must not call back.
func (l *Live) Subscribe(use func(Config)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users = append(l.users, use)
	use(l.Current())
}

// Reload reads the file again. When it is missing or wrong, the settings stay and the error says why.
func (l *Live) Reload() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.src.Path == "" {
		return nil
	}
	return l.reload()
}

// Refresh is Reload for a file that somebody has changed a while ago; an error is logged, once per change.
func (l *Live) Refresh() {
	if l.src.Path == "" {
		return
	}
	var now stamp
	if info, err := os.Stat(l.src.Path); err == nil {
		now = stampOf(info)
	}
	if age := time.Since(now.modified); age >= 0 && age < settle {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now == l.seen {
		return
	}
	if err := l.reload(); err != nil {
		l.log.Error("the configuration cannot be used, the settings stay as they are", "error", err)
	}
}

func (l *Live) reload() error {
	r, err := l.src.read(l.log)
	l.seen = r.stamp
	if err != nil {
		return err
	}
	if l.usable != (stamp{}) && r.document == nil {
		return errors.New(l.src.Path + ": is missing or empty")
	}
	l.adopt(r)
	return nil
}

// adopt lets a reading hold, as far as it can while the Manager runs, and names the settings that wait for a restart.
func (l *Live) adopt(r reading) (waiting []string) {
	l.file, l.usable, l.seen = r.file, r.stamp, r.stamp
	before, next := l.Current(), l.started
	var changed []string
	for _, s := range settings {
		text := s.format(r.full)
		switch {
		case s.live:
			_ = s.parse(&next, text) // it was parsed before
			if text != s.format(before) {
				changed = append(changed, s.key)
			}
		case text != s.format(l.started):
			waiting = append(waiting, s.key)
		}
	}
	next.Variables = r.full.Variables
	if !reflect.DeepEqual(next.Variables, before.Variables) {
		changed = append(changed, variablesKey)
	}
	if len(changed) > 0 {
		l.current.Store(&next)
		for _, use := range l.users {
			use(next)
		}
		l.log.Info("the configuration has changed", "settings", changed)
	}
	if len(waiting) > 0 {
		l.log.Warn("these settings have changed and wait for a restart of the Manager", "settings", waiting)
	}
	return waiting
}
