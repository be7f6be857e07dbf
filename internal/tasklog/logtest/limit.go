// SPDX-License-Identifier: GPL-3.0-or-later

package logtest

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"flamenco.farm/internal/farm"
)

var note = regexp.MustCompile(`\n\[Flamenco left out (\d{19}) bytes here, the log is too long\]\n`)

func tooLong(t *testing.T, open Open) {
	for i, limit := range []int64{4_000, 100_000} {
		s, generation := open(t, limit), int64(i+1)
		var all strings.Builder
		for n := 0; int64(all.Len()) < 5*limit; n++ {
			text := fmt.Sprintf("line %d\n", n) + strings.Repeat("y", int(limit/20)) + "\n"
			size, err := s.AppendChunk(Attempt(generation), int64(all.Len()), text)
			all.WriteString(text)
			if err != nil || size != int64(all.Len()) {
				t.Fatalf("size %d, want %d, %v", size, all.Len(), err)
			}
			if again := Add(t, s, generation, size-int64(len(text)), text); again != size {
				t.Fatalf("sent again: size %d, want %d", again, size)
			}
			if added, err := s.Added(Attempt(generation), size-int64(len(text)), size); added != text || err != nil {
				t.Fatalf("what was added is %q, %v", added, err)
			}
			if got := len(Whole(t, s, generation)); int64(got) > limit {
				t.Fatalf("%d bytes, allowed are %d", got, limit)
			}
		}
		for range 2 {
			checkCut(t, Whole(t, s, generation), all.String(), limit)
			gone, err := s.Added(Attempt(generation), int64(all.Len())*2/5, int64(all.Len())/2)
			if last, lastErr := s.Added(Attempt(generation), int64(all.Len())-100, int64(all.Len())); gone != "" || last != all.String()[all.Len()-100:] || err != nil || lastErr != nil {
				t.Errorf("of what was left out there is %q, %v; the end is %q, %v", gone, err, last, lastErr)
			}
			pack(t, s)
		}
	}
}

// checkCut checks that a log is the beginning and the end of all that was written, and says how much is missing.
func checkCut(t *testing.T, got, all string, limit int64) {
	t.Helper()
	found := note.FindAllStringSubmatchIndex(got, -1)
	if len(found) != 1 {
		t.Fatalf("%d notes in %d bytes", len(found), len(got))
	}
	at := found[0]
	head, tail := got[:at[0]], got[at[1]:]
	missing, err := strconv.Atoi(got[at[2]:at[3]])
	if err != nil || len(head)+missing+len(tail) != len(all) {
		t.Errorf("%d + %d + %d bytes of %d, %v", len(head), missing, len(tail), len(all), err)
	}
	if !strings.HasPrefix(all, head) || !strings.HasSuffix(all, tail) {
		t.Error("the beginning or the end is another")
	}
	if int64(len(tail)) < limit/2-limit/10 {
		t.Errorf("only %d and %d bytes are left of %d", len(head), len(tail), limit)
	}
}

func withoutLines(t *testing.T, open Open) {
	s := open(t, 400_000)
	total := 0
	for i := range 15 {
		Add(t, s, 1, -1, strings.Repeat(string(rune('a'+i)), 99_999))
		total += 99_999
	}
	got := Whole(t, s, 1)
	found := note.FindStringSubmatch(got)
	if len(got) > 400_000 || found == nil {
		t.Fatalf("%d bytes, note %q", len(got), found)
	}
	if missing, _ := strconv.Atoi(found[1]); len(got)-len(found[0])+missing != total {
		t.Errorf("%d bytes, %d missing of %d", len(got), missing, total)
	}
}

func allAtOnce(t *testing.T, open Open) {
	s := open(t, 0)
	const generations, chunks = 12, 4
	var work, others sync.WaitGroup
	stop := make(chan struct{})
	untilStopped := func(do func() error) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := do(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	untilStopped(func() error { return s.PackJob(t.Context(), Job) })
	untilStopped(func() error {
		for g := range int64(generations) {
			log, err := s.Open(Attempt(g + 1))
			if farm.IsNotExist(err) {
				continue
			}
			if err != nil {
				return err
			}
			text, err := io.ReadAll(io.NewSectionReader(log, 0, log.Size))
			log.Close()
			if foreign := strings.Count(string(text), "\n") - strings.Count(string(text), fmt.Sprintf("pid=%d >", g+1)); err != nil || foreign != 0 {
				return fmt.Errorf("the log of attempt %d has %d lines of others, %w", g+1, foreign, err)
			}
		}
		return nil
	})
	texts := make([][]string, generations)
	for g := range generations {
		for i := range chunks {
			texts[g] = append(texts[g], fmt.Sprintf("pid=%d > chunk %d%s\n", g+1, i, strings.Repeat("x", 2000)))
		}
		Add(t, s, int64(g+1), -1, texts[g][0])
		work.Go(func() { // the others come late, when a newer attempt logs already
			for _, text := range texts[g][1:] {
				if _, err := s.AppendChunk(Attempt(int64(g+1)), -1, text); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	close(stop)
	others.Wait()
	pack(t, s)
	for g := range generations {
		if got := Whole(t, s, int64(g+1)); got != strings.Join(texts[g], "") {
			t.Errorf("the log of attempt %d has %d bytes", g+1, len(got))
		}
	}
}

func readMeanwhile(t *testing.T, open Open) {
	s := open(t, 0)
	var want strings.Builder
	for i := range 40 {
		text := Long(uint64(i), 3_000)
		Add(t, s, 1, int64(want.Len()), text)
		want.WriteString(text)
	}
	log, err := s.Open(Attempt(1))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	begin := make([]byte, 1000)
	if _, err := log.ReadAt(begin, 0); err != nil {
		t.Fatal(err)
	}
	pack(t, s)
	Add(t, s, 1, int64(want.Len()), "late\n")
	pack(t, s)
	rest, err := io.ReadAll(io.NewSectionReader(log, 1000, log.Size-1000))
	if err != nil || string(begin)+string(rest) != want.String() {
		t.Errorf("%d bytes are read, %v", len(rest), err)
	}
}
