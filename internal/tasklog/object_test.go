// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/blob/file"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
	"flamenco.farm/internal/tasklog/logtest"
)

func blobsIn(t *testing.T) *file.Store {
	t.Helper()
	blobs, err := file.New(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	return blobs
}

func openObjects(t *testing.T, blobs blob.Store, maxSize int64) *tasklog.Store {
	t.Helper()
	store, err := tasklog.New(tasklog.Options{Blobs: blobs, Folder: t.TempDir(), MaxSize: maxSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func TestLogsInFiles(t *testing.T) {
	t.Parallel()
	logtest.Run(t, func(t *testing.T) logtest.Open {
		folder := filepath.Join(t.TempDir(), "storage")
		return func(t *testing.T, maxSize int64) *tasklog.Store {
			t.Helper()
			store, err := tasklog.New(tasklog.Options{Folder: folder, MaxSize: maxSize})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			return store
		}
	})
}

func TestLogsInObjects(t *testing.T) {
	t.Parallel()
	logtest.Run(t, func(t *testing.T) logtest.Open {
		blobs := blobsIn(t)
		return func(t *testing.T, maxSize int64) *tasklog.Store { return openObjects(t, blobs, maxSize) }
	})
}

// breakingBlobs is a place for objects at which one request goes wrong, and all after it if the machine crashed.
type breakingBlobs struct {
	blob.Store
	left    atomic.Int64
	crash   bool
	after   bool // the request takes effect, but nobody hears of it
	happens atomic.Bool
}

func (b *breakingBlobs) broken(do func() error) error {
	if b.happens.Load() && b.crash {
		return errBroken
	}
	if b.left.Add(-1) >= 0 || b.happens.Swap(true) {
		return do()
	}
	if b.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errBroken
}

func (b *breakingBlobs) Create(ctx context.Context, name string, body io.Reader) (info blob.Info, err error) {
	err = b.broken(func() (err error) {
		info, err = b.Store.Create(ctx, name, body)
		return err
	})
	return info, err
}

func (b *breakingBlobs) Get(ctx context.Context, name string, offset, length int64) (body io.ReadCloser, info blob.Info, err error) {
	err = b.broken(func() (err error) {
		body, info, err = b.Store.Get(ctx, name, offset, length)
		return err
	})
	if err != nil && body != nil {
		body.Close()
	}
	return body, info, err
}

// Delete goes wrong after some of the objects.
func (b *breakingBlobs) Delete(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := b.broken(func() error { return b.Store.Delete(ctx, name) }); err != nil {
			return err
		}
	}
	return nil
}

func TestLogsInObjectsSurviveACrashAtAnyStep(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name         string
		crash, after bool
	}{{"the Manager dies before it", true, false}, {"the Manager dies after it", true, true}, {"the answer is lost", false, true}} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			for at := int64(0); ; at++ {
				b := &breakingBlobs{crash: kind.crash, after: kind.after, Store: blobsIn(t)}
				b.left.Store(at)
				liveInObjects(t, b)
				if t.Failed() {
					t.Fatalf("after request %d went wrong", at)
				}
				if !b.happens.Load() {
					if at < 40 {
						t.Errorf("only %d requests", at)
					}
					return
				}
			}
		})
	}
}

// liveInObjects goes through the history of crash_test.go; a second Manager looks after each step.
func liveInObjects(t *testing.T, b *breakingBlobs) {
	t.Helper()
	store, other := openObjects(t, b, historyLimit), openObjects(t, b.Store, historyLimit)
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
				store = openObjects(t, b.Store, historyLimit)
			}
			if !b.after { // else there is more than was acknowledged
				h.check(other)
			}
		}
	}
	h.check(other)
	if err := errors.Join(other.PackJob(t.Context(), job), other.PackJob(t.Context(), job)); err != nil {
		t.Fatal(err)
	}
	h.check(other)
	objects := 0
	for info, err := range b.Store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if objects++; strings.Contains(info.Name, "/chunk/") && info.Size > 4096 {
			t.Errorf("%s is left", info.Name)
		}
	}
	if objects != len(h.want) { // what a crash left behind is cleaned up
		t.Errorf("%d objects are left of %d logs", objects, len(h.want))
	}
	if err := other.PruneJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	for generation := range h.want {
		_, err := other.Open(attempt(generation))
		if there := err == nil; there != (generation == 7) || err != nil && !farm.IsNotExist(err) {
			t.Errorf("after pruning, the log of attempt %d: %v", generation, err)
		}
	}
}

func TestManagersWriteALogTogether(t *testing.T) {
	t.Parallel()
	blobs := blobsIn(t)
	const managers, lines = 3, 60
	var writing, merging sync.WaitGroup
	stop := make(chan struct{})
	for m := range managers {
		s := openObjects(t, blobs, 0)
		writing.Go(func() {
			for i := range lines {
				if _, err := s.AppendChunk(first, -1, fmt.Sprintf("Manager %d line %03d\n", m, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
		merging.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if err := s.PackJob(t.Context(), job); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	merging.Wait()
	s := openObjects(t, blobs, 0)
	got := whole(t, s, first)
	if n := strings.Count(got, "\n"); n != managers*lines {
		t.Errorf("%d lines, want %d", n, managers*lines)
	}
	for m := range managers {
		for i, after := 0, 0; i < lines; i++ { // each in its order
			line := fmt.Sprintf("Manager %d line %03d\n", m, i)
			at := strings.Index(got[after:], line)
			if at < 0 || strings.Count(got, line) != 1 {
				t.Fatalf("%q is there %d times", line, strings.Count(got, line))
			}
			after += at + len(line)
		}
	}
	if err := s.PackJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if again := whole(t, s, first); again != got {
		t.Error("merging changed the log")
	}
}

func TestLogsFromBeforeAreReadToo(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "storage")
	before, err := tasklog.New(tasklog.Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	add(t, before, 1, "in a file\n")
	before.Close()
	s, err := tasklog.New(tasklog.Options{Blobs: blobsIn(t), Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	add(t, s, 2, "in an object\n")
	for generation, want := range map[int64]string{1: "in a file\n", 2: "in an object\n", tasklog.Newest: "in an object\n"} {
		if got := whole(t, s, attempt(generation)); got != want {
			t.Errorf("attempt %d: %q", generation, got)
		}
	}
	if found, err := s.StatAll(job, task, []int64{1, 2}); err != nil || len(found) != 2 {
		t.Errorf("found %v, %v", found, err)
	}
}

// countingBlobs counts what it is asked.
type countingBlobs struct {
	blob.Store
	asked atomic.Int64
}

func (b *countingBlobs) Create(ctx context.Context, name string, body io.Reader) (blob.Info, error) {
	b.asked.Add(1)
	return b.Store.Create(ctx, name, body)
}

func (b *countingBlobs) List(ctx context.Context, folder string) iter.Seq2[blob.Info, error] {
	b.asked.Add(1)
	return b.Store.List(ctx, folder)
}

func TestALogThatWasBegunInAFileGoesOnThere(t *testing.T) {
	t.Parallel()
	for name, begun := range map[string]string{"a short one": "in a file\n", "a compressed one": long(1, 9_000)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "storage")
			before, err := tasklog.New(tasklog.Options{Folder: folder})
			if err != nil {
				t.Fatal(err)
			}
			add(t, before, 1, "an earlier attempt\n")
			add(t, before, 2, begun)
			if err := before.PackJob(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			before.Close()
			blobs := &countingBlobs{Store: blobsIn(t)}
			s, err := tasklog.New(tasklog.Options{Blobs: blobs, Folder: folder})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			since := int64(len(begun))
			for range 2 { // the answer to the first was lost
				size, err := s.AppendChunk(attempt(2), since, "goes on\n")
				if err != nil || size != since+8 {
					t.Errorf("the size is %d, %v", size, err)
				}
			}
			if n := blobs.asked.Load(); n != 0 {
				t.Errorf("it needs %d requests", n)
			}
			add(t, s, 3, "in an object\n")
			s.Ended(attempt(2))
			if err := s.PackJob(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			for generation, want := range map[int64]string{1: "an earlier attempt\n", 2: begun + "goes on\n", 3: "in an object\n", tasklog.Newest: "in an object\n"} {
				if got := whole(t, s, attempt(generation)); got != want {
					t.Errorf("attempt %d: %q, want %q", generation, got, want)
				}
			}
		})
	}
}
