// SPDX-License-Identifier: GPL-3.0-or-later

// Package logtest is the suite that logs of tasks pass wherever they are kept. It must not know where that is.
package logtest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

// The task that all tests are about.
const (
	Job  = "0a1b2c3d-0000-4000-8000-000000000001"
	Task = "ffffffff-0000-4000-8000-000000000002"
)

// Attempt is the log of one of its attempts.
func Attempt(generation int64) farm.LogID {
	return farm.LogID{JobID: Job, TaskID: Task, Generation: generation}
}

// Open opens one empty place for logs which may get some size; 0 = the default. With several calls the same place is opened
// several times, as several Managers do.
type Open func(t *testing.T, maxSize int64) *tasklog.Store

// Run tests what opens makes; each call of it has an Open for a place of its own.
func Run(t *testing.T, opens func(t *testing.T) Open) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Open){
		"a chunk sent again is kept once":                  sentAgain,
		"an equal chunk that is new is kept":               equalChunk,
		"a long chunk is found behind other text":          longChunk,
		"half a chunk is completed":                        halfAChunk,
		"an offset behind the end appends":                 behindTheEnd,
		"a line stays one line":                            aLine,
		"the tail is whole lines":                          theTail,
		"a task without log has none":                      noLog,
		"names that lead elsewhere are refused":            elsewhere,
		"many writers lose nothing":                        manyWriters,
		"what is appended is heard once":                   heardOnce,
		"each attempt has a log of its own":                attempts,
		"a compressed log reads as the text":               compressed,
		"a compressed log is Zstandard":                    forEverybody,
		"a compressed log grows on":                        growsOn,
		"pruning keeps the newest log":                     pruning,
		"a long log keeps its beginning and its end":       tooLong,
		"a log without lines is cut too":                   withoutLines,
		"logs are written, read and compressed at once":    allAtOnce,
		"a log that is open is read while it is rewritten": readMeanwhile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, opens(t))
		})
	}
}

// Add appends text.
func Add(t *testing.T, s *tasklog.Store, generation, since int64, text string) int64 {
	t.Helper()
	size, err := s.AppendChunk(Attempt(generation), since, text)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// Whole reads a log.
func Whole(t *testing.T, s *tasklog.Store, generation int64) string {
	t.Helper()
	log, err := s.Open(Attempt(generation))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(io.NewSectionReader(log, 0, log.Size))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func pack(t *testing.T, s *tasklog.Store) {
	t.Helper()
	if err := s.PackJob(t.Context(), Job); err != nil {
		t.Fatal(err)
	}
}

// Long is text of some size that compresses as logs do, different for each seed.
func Long(seed uint64, size int) string {
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test wants the same text again
	var text strings.Builder
	for text.Len() < size {
		fmt.Fprintf(&text, "pid=%d > Fra:%d Mem:%dM | Rendering %d / 64 samples\n", seed, random.IntN(250), random.IntN(9000), random.IntN(64))
	}
	return text.String()[:size-1] + "\n"
}

func sentAgain(t *testing.T, open Open) {
	s := open(t, 0)
	if size := Add(t, s, 1, 0, "one\n"); size != 4 {
		t.Errorf("size %d, want 4", size)
	}
	if err := s.AppendLine(Attempt(1), "between"); err != nil {
		t.Fatal(err)
	}
	again := Add(t, open(t, 0), 1, 0, "one\n") // also to another Manager
	if got := Whole(t, s, 1); strings.Count(got, "one\n") != 1 || int64(len(got)) != again {
		t.Errorf("got %q and size %d", got, again)
	}
}

func equalChunk(t *testing.T, open Open) {
	s := open(t, 0)
	since := Add(t, s, 1, 0, "Fra:1\n")
	Add(t, s, 1, since, "Fra:1\n")
	Add(t, s, 1, -1, "Fra:1\n")
	if got := Whole(t, s, 1); got != "Fra:1\nFra:1\nFra:1\n" {
		t.Errorf("got %q", got)
	}
}

func longChunk(t *testing.T, open Open) {
	s := open(t, 0)
	long := strings.Repeat("x", 100_000) + "end\n"
	Add(t, s, 1, 0, strings.Repeat("noise\n", 30_000))
	Add(t, s, 1, 0, long)
	size := Add(t, s, 1, 0, strings.Repeat("more noise\n", 30_000))
	if again := Add(t, s, 1, 10, long); again != size {
		t.Errorf("size %d, want %d", again, size)
	}
	if n := strings.Count(Whole(t, s, 1), "end\n"); n != 1 {
		t.Errorf("the chunk is there %d times", n)
	}
}

func halfAChunk(t *testing.T, open Open) {
	s := open(t, 0)
	since := Add(t, s, 1, 0, "before\n")
	Add(t, s, 1, since, "half of a ch")
	Add(t, s, 1, since, "half of a chunk\n")
	if got := Whole(t, s, 1); got != "before\nhalf of a chunk\n" {
		t.Errorf("got %q", got)
	}
}

func behindTheEnd(t *testing.T, open Open) {
	s := open(t, 0)
	Add(t, s, 1, 999, "a\n")
	Add(t, s, 1, 999, "b\n")
	if got := Whole(t, s, 1); got != "a\nb\n" {
		t.Errorf("got %q", got)
	}
}

func aLine(t *testing.T, open Open) {
	s := open(t, 0)
	if err := s.AppendLine(Attempt(1), "task is\nassigned\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := Whole(t, s, 1); !strings.HasSuffix(got, "Z task is assigned\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
}

func theTail(t *testing.T, open Open) {
	s := open(t, 0)
	Add(t, s, 1, 0, "short\n")
	if tail, err := s.Tail(Job, Task); err != nil || tail != "short\n" {
		t.Errorf("got %q, %v", tail, err)
	}
	for i := range 10 {
		var text strings.Builder
		for n := range 30 {
			fmt.Fprintf(&text, "line %d of many\n", 30*i+n)
		}
		Add(t, s, 1, -1, text.String())
	}
	tail, err := s.Tail(Job, Task)
	if err != nil {
		t.Fatal(err)
	}
	if len(tail) > tasklog.TailSize || len(tail) < 2000 || !strings.HasPrefix(tail, "line ") || !strings.HasSuffix(tail, "line 299 of many\n") {
		t.Errorf("%d bytes: %q", len(tail), tail)
	}
}

func noLog(t *testing.T, open Open) {
	s := open(t, 0)
	if _, err := s.Stat(Attempt(1)); !farm.IsNotExist(err) {
		t.Errorf("Stat: %v", err)
	}
	if _, err := s.Tail(Job, Task); !farm.IsNotExist(err) {
		t.Errorf("Tail: %v", err)
	}
	if all, err := s.StatAll(Job, Task, []int64{1, 2}); err != nil || len(all) != 0 {
		t.Errorf("StatAll: %v, %v", all, err)
	}
	if err := errors.Join(s.PackJob(t.Context(), Job), s.PruneJob(t.Context(), Job)); err != nil {
		t.Error(err)
	}
}

func elsewhere(t *testing.T, open Open) {
	s := open(t, 0)
	for _, id := range []string{"", "../../../../../../../etc/passwd-padd", strings.Repeat("/", 36)} {
		_, add := s.AppendChunk(farm.LogID{JobID: Job, TaskID: id, Generation: 1}, 0, "x")
		_, tail := s.Tail(id, Task)
		_, all := s.StatAll(Job, id, nil)
		for _, err := range []error{add, tail, all, s.PackJob(t.Context(), id), s.PruneJob(t.Context(), id)} {
			if farm.CodeOf(err) != farm.CodeInvalid {
				t.Errorf("%q: %v", id, err)
			}
		}
	}
}

func manyWriters(t *testing.T, open Open) {
	s := open(t, 0)
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			if _, err := s.AppendChunk(Attempt(1), -1, fmt.Sprintf("from %02d\n", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	got := Whole(t, s, 1)
	for i := range 20 {
		if strings.Count(got, fmt.Sprintf("from %02d\n", i)) != 1 {
			t.Errorf("got %q", got)
		}
	}
}

func heardOnce(t *testing.T, open Open) {
	s := open(t, 0)
	var heard string
	s.OnAppend(func(of farm.LogID, text string) {
		if of != Attempt(1) {
			t.Errorf("heard of %+v", of)
		}
		heard += text
	})
	size := Add(t, s, 1, 0, "one\n")
	for range 2 { // the second time it is found in the log
		Add(t, s, 1, size, "two\n")
	}
	if err := s.AppendLine(Attempt(1), "three"); err != nil {
		t.Fatal(err)
	}
	if tail, err := s.Tail(Job, Task); err != nil || heard != tail {
		t.Errorf("heard %q, the log is %q, %v", heard, tail, err)
	}
}

func attempts(t *testing.T, open Open) {
	s := open(t, 0)
	Add(t, s, 0, -1, "before the first attempt\n")
	Add(t, s, 1, -1, "one\n")
	Add(t, s, 2, -1, "two\n")
	Add(t, s, 5, -1, "five\n") // those between logged nothing
	Add(t, s, 2, -1, "late\n")
	Add(t, s, 5, -1, "more\n")
	one := "before the first attempt\none\n"
	for range 2 {
		for generation, want := range map[int64]string{0: one, 1: one, 2: "two\nlate\n", 5: "five\nmore\n", tasklog.Newest: "five\nmore\n"} {
			if got := Whole(t, s, generation); got != want {
				t.Errorf("the log of attempt %d is %q, want %q", generation, got, want)
			}
		}
		for _, none := range []int64{3, 4, 6} {
			if _, err := s.Open(Attempt(none)); !farm.IsNotExist(err) {
				t.Errorf("attempt %d has a log: %v", none, err)
			}
		}
		base := tasklog.Folder(Job) + "/task-" + Task
		found, err := s.StatAll(Job, Task, []int64{1, 2, 3, 4, 5, 6})
		if err != nil || len(found) != 3 || found[5].Path != base+".txt" || found[1].Path != base+".1.txt" || found[2].Size != 9 {
			t.Errorf("found %+v, %v", found, err)
		}
		for generation, info := range found {
			if id, ok := tasklog.ParsePath(info.Path); !ok || (id.Generation != generation && id.Generation != tasklog.Newest) {
				t.Errorf("the log of attempt %d is at %s", generation, info.Path)
			}
		}
		pack(t, s)
	}
}

func compressed(t *testing.T, open Open) {
	for i, size := range []int{5_000, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 777} {
		s, generation := open(t, 0), int64(i+1)
		want := Long(uint64(size), size)
		half := Add(t, s, generation, 0, want[:size/2])
		Add(t, s, generation, half, want[size/2:])
		for round := range 2 {
			if got := Whole(t, s, generation); got != want {
				t.Errorf("%d bytes are read as other %d bytes", size, len(got))
			}
			tail, err := s.Tail(Job, Task)
			if err != nil || len(tail) > tasklog.TailSize || !strings.HasSuffix(want, tail) || len(tail) < 1900 {
				t.Errorf("the tail is %q, %v", tail, err)
			}
			for range 10 {
				offset, length := rand.IntN(size+10), rand.IntN(2<<20) //nolint:gosec // any place
				text, start, all, err := s.Part(Attempt(generation), int64(offset), int64(length))
				from := min(offset, size)
				if err != nil || start != int64(from) || all != int64(size) || string(text) != want[from:max(from, min(offset+length, size))] {
					t.Errorf("round %d, %d bytes from %d on: %d bytes from %d on of %d, %v", round, length, offset, len(text), start, all, err)
				}
			}
			pack(t, s)
		}
	}
}

func forEverybody(t *testing.T, open Open) {
	s := open(t, 0)
	want := Long(1, 2<<20+5)
	Add(t, s, 1, 0, want)
	pack(t, s)
	log, err := s.Open(Attempt(1))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	packed, ok := log.Compressed()
	if !ok {
		t.Fatal("it is not compressed")
	}
	reader, err := zstd.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if text, err := io.ReadAll(reader); err != nil || string(text) != want {
		t.Errorf("it is another text of %d bytes, %v", len(text), err)
	}
}

func growsOn(t *testing.T, open Open) {
	s := open(t, 0)
	want := Long(1, 10_000)
	Add(t, s, 1, 0, want)
	for range 3 {
		pack(t, s)
		since := int64(len(want))
		for range 2 { // sent again
			if size := Add(t, s, 1, since, "late\n"); size != since+5 {
				t.Fatalf("size %d", size)
			}
		}
		want += "late\n"
		if got := Whole(t, s, 1); got != want {
			t.Errorf("the log has %d bytes, want %d", len(got), len(want))
		}
	}
}

func pruning(t *testing.T, open Open) {
	s := open(t, 0)
	for generation := range int64(4) {
		Add(t, s, generation, -1, Long(uint64(generation), 10_000))
	}
	pack(t, s)
	Add(t, s, 2, -1, "late\n")
	if err := s.PruneJob(t.Context(), Job); err != nil {
		t.Fatal(err)
	}
	found, err := s.StatAll(Job, Task, []int64{1, 2, 3})
	if err != nil || len(found) != 1 || Whole(t, s, 3) != Long(3, 10_000) {
		t.Errorf("left are %v, %v", found, err)
	}
}
