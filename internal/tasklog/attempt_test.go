// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

// newest is the log of the newest attempt.
var newest = attempt(tasklog.Newest)

// whole reads a log through the Store.
func whole(t *testing.T, s *tasklog.Store, id farm.LogID) string {
	t.Helper()
	log, err := s.Open(id)
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

// names are those of the files of the job, in order.
func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(folder, "job-0a1b", job))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, strings.TrimPrefix(e.Name(), "task-"+task))
	}
	return all
}

func add(t *testing.T, s *tasklog.Store, generation int64, text string) {
	t.Helper()
	if _, err := s.AppendChunk(attempt(generation), -1, text); err != nil {
		t.Fatal(err)
	}
}

// long is text of some size that compresses as logs do, different for each seed.
func long(seed uint64, size int) string {
	random := rand.New(rand.NewPCG(seed, 1))
	var text strings.Builder
	for text.Len() < size {
		fmt.Fprintf(&text, "pid=%d > Fra:%d Mem:%dM | Rendering %d / 64 samples\n", seed, random.IntN(250), random.IntN(9000), random.IntN(64))
	}
	return text.String()[:size-1] + "\n"
}

func TestTheNewestLogIsWhereFlamenco3HasIt(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	add(t, store, 0, "before the first attempt\n")
	add(t, store, 1, "one\n")
	add(t, store, 2, "two\n")
	add(t, store, 5, "five\n") // those between logged nothing
	add(t, store, 2, "late\n")
	add(t, store, 5, "more\n")
	add(t, store, 1, "later still\n")
	if got := read(t, folder); got != "five\nmore\n" {
		t.Errorf("the newest log is %q", got)
	}
	for generation, want := range map[int64]string{
		0: "before the first attempt\none\nlater still\n", 1: "before the first attempt\none\nlater still\n", 2: "two\nlate\n", 5: "five\nmore\n", tasklog.Newest: "five\nmore\n",
	} {
		if got := whole(t, store, attempt(generation)); got != want {
			t.Errorf("the log of attempt %d is %q, want %q", generation, got, want)
		}
	}
	for _, none := range []int64{3, 4, 6} {
		if _, err := store.Open(attempt(none)); !farm.IsNotExist(err) {
			t.Errorf("attempt %d has a log: %v", none, err)
		}
	}
	if got, want := names(t, folder), []string{".1.txt", ".2.txt", ".attempt", ".txt"}; !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
	for generation, want := range map[int64]string{1: ".1.txt", 5: ".txt", tasklog.Newest: ".txt"} {
		info, err := store.Stat(attempt(generation))
		if err != nil || info.Path != "job-0a1b/"+job+"/task-"+task+want {
			t.Errorf("the log of attempt %d is at %q, %v", generation, info.Path, err)
		}
	}
}

func TestEachAttemptHasChunksOfItsOwn(t *testing.T) {
	t.Parallel()
	store, _ := setup(t)
	for _, generation := range []int64{1, 2} {
		size, err := store.AppendChunk(attempt(generation), 0, "begun\n")
		if err != nil || size != 6 {
			t.Fatalf("size %d, %v", size, err)
		}
	}
	if size, err := store.AppendChunk(attempt(1), 0, "begun\n"); err != nil || size != 6 {
		t.Errorf("sent again: size %d, %v", size, err)
	}
	if got := whole(t, store, attempt(2)); got != "begun\n" {
		t.Errorf("got %q", got)
	}
}

func TestPathsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	base := "job-0a1b/" + job + "/task-" + task
	for name, want := range map[string]farm.LogID{base + ".txt": newest, base + ".3.txt": attempt(3), base + ".0.txt": attempt(0)} {
		if got, ok := tasklog.ParsePath(name); !ok || got != want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	for _, name := range []string{
		"", "task-" + task + ".txt", base, base + ".txt.zst", base + ".txt~", base + ".attempt", base + ".-1.txt", base + ".03.txt", base + ".x.txt", base + "..txt",
		base + ".9223372036854775808.txt", "job-ffff/" + job + "/task-" + task + ".txt", "x/" + base + ".txt", "job-0a1b//" + job + "/task-" + task + ".txt",
		"job-0a1b/" + job + "/task-" + strings.Repeat("/", 36) + ".txt",
	} {
		if id, ok := tasklog.ParsePath(name); ok {
			t.Errorf("%q is %+v", name, id)
		}
	}
}

func TestACompressedLogReadsAsTheText(t *testing.T) {
	t.Parallel()
	for _, size := range []int{5_000, tasklog.FrameSize - 1, tasklog.FrameSize, tasklog.FrameSize + 1, 3*tasklog.FrameSize + 777} {
		store, folder := setup(t)
		want := long(uint64(size), size)
		add(t, store, 1, want)
		if err := store.PackJob(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if got := names(t, folder); !slices.Equal(got, []string{".txt.zst"}) {
			t.Fatalf("the files are %q", got)
		}
		if got := whole(t, store, newest); got != want {
			t.Errorf("%d bytes are read as other %d bytes", size, len(got))
		}
		tail, err := store.Tail(job, task)
		if err != nil || len(tail) > tasklog.TailSize || !strings.HasSuffix(want, tail) || len(tail) < 1900 {
			t.Errorf("the tail is %q, %v", tail, err)
		}
		for range 50 {
			offset, length := rand.IntN(size+10), rand.IntN(2*tasklog.FrameSize)
			text, start, all, err := store.Part(first, int64(offset), int64(length))
			end := min(offset+length, size)
			if err != nil || start != int64(min(offset, size)) || all != int64(size) || string(text) != want[min(offset, size):max(end, min(offset, size))] {
				t.Errorf("%d bytes from %d on: %d bytes from %d on of %d, %v", length, offset, len(text), start, all, err)
			}
		}
	}
}

func TestACompressedLogIsZstandardForEverybody(t *testing.T) {
	t.Parallel()
	store, _ := setup(t)
	want := long(1, 2*tasklog.FrameSize+5)
	add(t, store, 1, want)
	if err := store.PackJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	log, err := store.Open(first)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	packed, ok := log.Compressed()
	if !ok {
		t.Fatal("it is not compressed")
	}
	if got := decompress(t, packed); got != want {
		t.Errorf("it is another text of %d bytes", len(got))
	}
}

func TestACompressedLogGrowsOn(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	want := long(1, 10_000)
	add(t, store, 1, want)
	for range 2 {
		if err := store.PackJob(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		since := int64(len(want))
		for range 2 { // sent again
			size, err := store.AppendChunk(first, since, "late\n")
			if err != nil || size != since+5 {
				t.Fatalf("size %d, %v", size, err)
			}
		}
		want += "late\n"
		if got := names(t, folder); !slices.Equal(got, []string{".txt"}) {
			t.Fatalf("the files are %q", got)
		}
		if got := read(t, folder); got != want {
			t.Errorf("the log has %d bytes, want %d", len(got), len(want))
		}
	}
}

func TestCompressedLogsAreRotatedToo(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	want := long(1, 10_000)
	add(t, store, 1, want)
	if err := store.PackJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	add(t, store, 2, "two\n")
	if got := names(t, folder); !slices.Equal(got, []string{".1.txt.zst", ".attempt", ".txt"}) {
		t.Fatalf("the files are %q", got)
	}
	if got := whole(t, store, first); got != want {
		t.Errorf("the first log has %d bytes", len(got))
	}
	if got := whole(t, store, newest); got != "two\n" {
		t.Errorf("the newest log is %q", got)
	}
}

func TestLittleLogsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	add(t, store, 1, "little\n")
	if err := store.PackJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if got := read(t, folder); got != "little\n" {
		t.Errorf("got %q", got)
	}
	if err := store.PackJob(t.Context(), "00000000-0000-4000-8000-00000000dead"); err != nil {
		t.Errorf("a job without logs: %v", err)
	}
}

func TestPruningKeepsTheNewestLog(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	for generation := range int64(4) {
		add(t, store, generation, long(uint64(generation), 10_000))
	}
	if err := store.PackJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	add(t, store, 2, "late\n")
	if err := store.PruneJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if got := names(t, folder); !slices.Equal(got, []string{".attempt", ".txt.zst"}) {
		t.Errorf("the files are %q", got)
	}
	if got := whole(t, store, attempt(3)); got != long(3, 10_000) {
		t.Errorf("the newest log has %d bytes", len(got))
	}
}

func TestADamagedCompressedLogIsAnErrorAndNoMore(t *testing.T) {
	t.Parallel()
	store, folder := setup(t)
	add(t, store, 1, long(1, 2*tasklog.FrameSize))
	if err := store.PackJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(folder, "job-0a1b", job, "task-"+task+".txt.zst")
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		bad := bytes.Clone(good)
		if i%2 == 0 {
			bad = bad[:rand.IntN(len(bad))]
		} else if at := len(bad) - 1 - rand.IntN(min(len(bad), 60)); true {
			bad[at] ^= byte(1 + rand.IntN(255))
		}
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		log, err := store.Open(first)
		if err != nil {
			continue
		}
		_, err = io.Copy(io.Discard, io.NewSectionReader(log, 0, log.Size))
		log.Close()
		if err == nil && i%2 == 0 {
			t.Fatalf("%d of %d bytes are a whole log", len(bad), len(good))
		}
	}
}

func TestALogIsWrittenReadAndCompressedAtOnce(t *testing.T) {
	t.Parallel()
	store, _ := setup(t)
	const generations, chunks = 60, 4
	var work, reading sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for g := range int64(generations) {
					log, err := store.Open(attempt(g + 1))
					if farm.IsNotExist(err) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					text, err := io.ReadAll(io.NewSectionReader(log, 0, log.Size))
					log.Close()
					if foreign := strings.Count(string(text), "\n") - strings.Count(string(text), fmt.Sprintf("pid=%d >", g+1)); err != nil || foreign != 0 {
						t.Errorf("the log of attempt %d has %d lines of others, %v", g+1, foreign, err)
						return
					}
				}
				if _, err := store.Tail(job, task); err != nil && !farm.IsNotExist(err) {
					t.Error(err)
					return
				}
			}
		})
	}
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := store.PackJob(t.Context(), job); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	texts := make([][]string, generations)
	for g := range generations {
		for i := range chunks {
			texts[g] = append(texts[g], fmt.Sprintf("pid=%d > chunk %d%s\n", g+1, i, strings.Repeat("x", 2000)))
		}
	}
	for g := range generations {
		add(t, store, int64(g+1), texts[g][0])
		work.Go(func() { // the others come late, when a newer attempt logs already
			for _, text := range texts[g][1:] {
				if _, err := store.AppendChunk(attempt(int64(g+1)), -1, text); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	close(stop)
	reading.Wait()
	if err := store.PackJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	for g := range generations {
		if got := whole(t, store, attempt(int64(g+1))); got != strings.Join(texts[g], "") {
			t.Errorf("the log of attempt %d has %d bytes", g+1, len(got))
		}
	}
}
