// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

var errBroken = errors.New("the machine is broken")

// breaking is a disk on which one call goes wrong, and all after it if the machine crashed.
type breaking struct {
	tasklog.Disk
	left    int  // calls until then
	crash   bool // rather than fail once
	after   bool // the call takes effect, but nobody hears of it
	happens bool
}

// broken does a call and tells how it went.
func (b *breaking) broken(do func() error) error {
	if b.happens && b.crash {
		return errBroken
	}
	if b.left--; b.left >= 0 || b.happens {
		return do()
	}
	b.happens = true
	if b.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errBroken
}

func (b *breaking) OpenFile(name string, flag int, perm os.FileMode) (*os.File, error) {
	var f *os.File
	err := b.broken(func() (err error) {
		f, err = b.Disk.OpenFile(name, flag, perm)
		return err
	})
	if err == nil || f == nil {
		return f, err
	}
	if flag&os.O_TRUNC != 0 {
		_, _ = f.WriteString("half of what was to be wri") // what is torn is no log
	}
	return nil, errors.Join(err, f.Close())
}

func (b *breaking) MkdirAll(name string, perm os.FileMode) error {
	return b.broken(func() error { return b.Disk.MkdirAll(name, perm) })
}

func (b *breaking) Rename(from, to string) error {
	return b.broken(func() error { return b.Disk.Rename(from, to) })
}

func (b *breaking) Remove(name string) error {
	return b.broken(func() error { return b.Disk.Remove(name) })
}

func (b *breaking) Chtimes(name string, accessed, modified time.Time) error {
	return b.broken(func() error { return b.Disk.Chtimes(name, accessed, modified) })
}

// history is what a Manager does to the logs of a task, step by step, and what they have to hold after it.
type history struct {
	t    *testing.T
	want map[int64]string
	size map[int64]int64 // as the database knows it
	step int
}

const historyLimit = 60_000

func (h *history) append(s *tasklog.Store, generation int64, text string) error {
	size, err := s.AppendChunk(attempt(generation), h.size[generation], text)
	if err != nil {
		return err
	}
	h.size[generation] = size
	h.want[generation] += text
	if int(size) != len(h.want[generation]) {
		h.t.Errorf("step %d: the log has %d bytes, want %d", h.step, size, len(h.want[generation]))
	}
	return nil
}

// steps are all in order; each is done again until it succeeds.
func (h *history) steps() []func(*tasklog.Store) error {
	says := func(generation int64, text string) func(*tasklog.Store) error {
		return func(s *tasklog.Store) error { return h.append(s, generation, text) }
	}
	pack := func(s *tasklog.Store) error { return s.PackJob(h.t.Context(), job) }
	return []func(*tasklog.Store) error{
		says(1, "first\n"), says(1, long(1, 9_000)), pack, says(1, "late\n"), pack,
		says(2, "second\n"), says(1, "later\n"), says(2, long(2, 50_000)), says(2, long(3, 50_000)), pack,
		says(4, "fourth\n"), says(2, "late too\n"), says(4, long(4, 9_000)), pack, says(4, "more\n"), says(7, "seventh\n"),
	}
}

// check compares all logs with what was acknowledged.
func (h *history) check(s *tasklog.Store) {
	h.t.Helper()
	for generation, want := range h.want {
		if want == "" {
			continue
		}
		log, err := s.Open(attempt(generation))
		if err != nil {
			h.t.Errorf("step %d: the log of attempt %d: %v", h.step, generation, err)
			continue
		}
		log.Close()
		got := whole(h.t, s, attempt(generation))
		switch {
		case got == want: // also when it could not be cut
		case len(want) > historyLimit:
			checkCut(h.t, got, want, historyLimit)
		default:
			h.t.Errorf("step %d: the log of attempt %d has %d bytes %.30q, want %d", h.step, generation, len(got), got, len(want))
		}
	}
}

func TestLogsSurviveACrashAtAnyStep(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name         string
		crash, after bool
	}{{"the Manager dies before it", true, false}, {"the Manager dies after it", true, true}, {"the call fails", false, false}} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			for at := 0; ; at++ {
				b := &breaking{left: at, crash: kind.crash, after: kind.after}
				live(t, b)
				if t.Failed() {
					t.Fatalf("after call %d went wrong", at)
				}
				if !b.happens {
					if at < 50 {
						t.Errorf("only %d calls", at)
					}
					return
				}
			}
		})
	}
}

// live goes through the history on a disk that breaks, with a new Manager after a crash.
func live(t *testing.T, b *breaking) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "storage")
	open := func() *tasklog.Store {
		store, err := tasklog.New(tasklog.Options{Folder: folder, MaxSize: historyLimit})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	store := open()
	defer func() { store.Close() }()
	store.OnDisk(func(d tasklog.Disk) tasklog.Disk {
		b.Disk = d
		return b
	})
	h := &history{t: t, want: map[int64]string{}, size: map[int64]int64{}}
	for i, step := range h.steps() {
		h.step = i
		for tries := 0; ; tries++ {
			err := step(store)
			if err == nil {
				break
			}
			if !errors.Is(err, errBroken) || tries > 2 {
				t.Fatalf("step %d: %v", i, err)
			}
			if b.crash {
				store.Close()
				store = open()
			}
			h.check(store)
		}
	}
	h.check(store)
	store.Close()
	store = open()
	if err := store.PackJob(t.Context(), job); err != nil { // what a crash left behind is cleaned up
		t.Fatal(err)
	}
	for _, name := range names(t, folder) {
		if strings.HasSuffix(name, "~") {
			t.Errorf("%s is left", name)
		}
	}
	if err := store.PruneJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	for generation := range h.want {
		_, err := store.Open(attempt(generation))
		if there := err == nil; there != (generation == 7) {
			t.Errorf("after pruning, the log of attempt %d: %v", generation, err)
		}
		if err != nil && !farm.IsNotExist(err) {
			t.Error(fmt.Errorf("attempt %d: %w", generation, err))
		}
	}
}
