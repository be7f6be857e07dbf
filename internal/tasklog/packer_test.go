// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

// jobList is a database that knows one job.
type jobList struct {
	mu    sync.Mutex
	ended time.Time // zero = it runs
	state int       // 0 = open, 1 = packed, 2 = pruned
	fails int       // calls that fail yet
	calls int
}

var errList = errors.New("the database is away")

func (l *jobList) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.state = time.Now(), 0
}

func (l *jobList) list(state int, until time.Time) ([]farm.FinishedJob, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.fails > 0 {
		l.fails--
		return nil, errList
	}
	if l.ended.IsZero() || l.state != state || l.ended.After(until) {
		return nil, nil
	}
	return []farm.FinishedJob{{ID: job, Revision: 1}}, nil
}

func (l *jobList) set(state int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	return nil
}

func (l *jobList) LogsToPack(context.Context, int) ([]farm.FinishedJob, error) {
	return l.list(0, time.Now())
}

func (l *jobList) LogsPacked(context.Context, farm.FinishedJob) error { return l.set(1) }

func (l *jobList) LogsToPrune(_ context.Context, until time.Time, _ int) ([]farm.FinishedJob, time.Time, error) {
	jobs, err := l.list(1, until)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == 1 {
		return jobs, l.ended, err
	}
	return jobs, time.Time{}, err
}

func (l *jobList) LogsPruned(context.Context, farm.FinishedJob) error { return l.set(2) }

// packing runs a Packer until the test ends, and returns what wakes it.
func packing(t *testing.T, s *tasklog.Store, jobs tasklog.Jobs, retention time.Duration, change ...func(*tasklog.PackerOptions)) (changed chan struct{}) {
	changed = make(chan struct{}, 1)
	opts := tasklog.PackerOptions{Jobs: jobs, Changed: changed, Retention: retention, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&opts)
	}
	p := tasklog.NewPacker(s, opts)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
	synctest.Wait()
	return changed
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestNoLogIsCompressedInAMaintenance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, folder := setup(t)
		jobs := &jobList{}
		var closed atomic.Bool
		closed.Store(true)
		changed := packing(t, store, jobs, 0, func(o *tasklog.PackerOptions) {
			o.Enter = func() (func(), error) { return func() {}, farm.Maintenance{On: closed.Load()}.Refusal() }
		})
		add(t, store, 1, long(1, 9_000))
		jobs.finish()
		changed <- struct{}{}
		pass(2 * time.Hour)
		if got := names(t, folder); !slices.Equal(got, []string{".txt"}) {
			t.Errorf("the files are %q", got)
		}
		closed.Store(false)
		changed <- struct{}{}
		pass(tasklog.PackDelay)
		if got := names(t, folder); !slices.Equal(got, []string{".txt.zst"}) {
			t.Errorf("afterwards the files are %q", got)
		}
	})
}

func TestLogsAreCompressedWhenTheyAreFinished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, folder := setup(t)
		jobs := &jobList{}
		changed := packing(t, store, jobs, 0)
		files := func(want ...string) {
			t.Helper()
			if got := names(t, folder); !slices.Equal(got, want) {
				t.Errorf("the files are %q, want %q", got, want)
			}
		}
		add(t, store, 1, long(1, 9_000))
		pass(2 * time.Hour)
		files(".txt")
		add(t, store, 2, long(2, 9_000))
		pass(tasklog.PackDelay)
		files(".1.txt.zst", ".attempt", ".txt")
		jobs.finish()
		changed <- struct{}{}
		pass(tasklog.PackDelay - time.Second)
		files(".1.txt.zst", ".attempt", ".txt")
		pass(time.Second)
		files(".1.txt.zst", ".attempt", ".txt.zst")
		add(t, store, 2, "late\n")
		files(".1.txt.zst", ".attempt", ".txt")
		pass(tasklog.PackDelay)
		files(".1.txt.zst", ".attempt", ".txt.zst")
		calls := jobs.calls
		pass(30 * time.Minute)
		if jobs.calls != calls {
			t.Errorf("it asked %d times without a reason", jobs.calls-calls)
		}
	})
}

func TestALogThatNobodyAppendsToIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, _ := setup(t)
		packing(t, store, &jobList{}, 0)
		other := farm.LogID{JobID: job, TaskID: "33333333-3333-4333-8333-333333333333", Generation: 1}
		add(t, store, 1, "the only line\n")
		kept := store.OpenLogs() // none, where open files could not be renamed
		for range 4 {
			if _, err := store.AppendChunk(other, -1, "a line\n"); err != nil {
				t.Fatal(err)
			}
			pass(tasklog.KeptOpen / 2)
		}
		if n := store.OpenLogs(); n != kept {
			t.Errorf("%d logs are open, want %d", n, kept)
		}
		pass(2 * tasklog.KeptOpen)
		if n := store.OpenLogs(); n != 0 {
			t.Errorf("%d logs that nobody uses are open", n)
		}
		add(t, store, 1, "late\n")
		if got := whole(t, store, attempt(1)); got != "the only line\nlate\n" {
			t.Errorf("the log is %q", got)
		}
	})
}

func TestLogsOfEarlierAttemptsAreDeletedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, folder := setup(t)
		add(t, store, 1, long(1, 9_000))
		add(t, store, 2, long(2, 9_000))
		jobs := &jobList{fails: 2} // a database that is away at first
		jobs.finish()
		packing(t, store, jobs, 48*time.Hour)
		pass(3 * time.Minute)
		if got := names(t, folder); !slices.Equal(got, []string{".1.txt.zst", ".attempt", ".txt.zst"}) {
			t.Errorf("the files are %q", got)
		}
		pass(47 * time.Hour)
		if got := names(t, folder); len(got) != 3 {
			t.Errorf("the files are %q, too early", got)
		}
		pass(time.Hour)
		if got := names(t, folder); !slices.Equal(got, []string{".attempt", ".txt.zst"}) {
			t.Errorf("the files are %q", got)
		}
		if jobs.state != 2 {
			t.Errorf("the job is in state %d", jobs.state)
		}
	})
}
