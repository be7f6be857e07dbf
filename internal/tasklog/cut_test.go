// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"flamenco.farm/internal/tasklog"
)

var note = regexp.MustCompile(`\n\[Flamenco left out (\d{19}) bytes here, the log is too long\]\n`)

func limited(t *testing.T, limit int64) (*tasklog.Store, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "storage")
	store, err := tasklog.New(tasklog.Options{Folder: folder, MaxSize: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store, folder
}

func TestALongLogKeepsItsBeginningAndItsEnd(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{4_000, 100_000, 5 << 20} {
		store, folder := limited(t, limit)
		var all strings.Builder
		for i := 0; int64(all.Len()) < 5*limit; i++ {
			text := fmt.Sprintf("line %d\n", i) + strings.Repeat("y", int(limit/77)) + "\n"
			size, err := store.AppendChunk(first, int64(all.Len()), text)
			all.WriteString(text)
			if err != nil || size != int64(all.Len()) {
				t.Fatalf("size %d, want %d, %v", size, all.Len(), err)
			}
			if again, err := store.AppendChunk(first, size-int64(len(text)), text); err != nil || again != size {
				t.Fatalf("sent again: size %d, want %d, %v", again, size, err)
			}
			if got := int64(len(read(t, folder))); got > limit {
				t.Fatalf("%d bytes, allowed are %d", got, limit)
			}
		}
		checkCut(t, read(t, folder), all.String(), limit)
		if got := names(t, folder); len(got) != 1 {
			t.Errorf("the files are %q", got)
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
	if int64(len(tail)) < limit/2-limit/50 || int64(len(head)) < min(limit/4, 1<<20)-limit/50 {
		t.Errorf("only %d and %d bytes are left of %d", len(head), len(tail), limit)
	}
	if !strings.HasSuffix(head, "\n") || all[len(all)-len(tail)-1] != '\n' {
		t.Errorf("a line is cut: %q, %q", head[len(head)-20:], tail[:20])
	}
}

func TestALogWithoutLinesIsCutToo(t *testing.T) {
	t.Parallel()
	store, folder := limited(t, 400_000)
	total := 0
	for i := range 30 {
		add(t, store, 1, strings.Repeat(string(rune('a'+i)), 99_999))
		total += 99_999
	}
	got := read(t, folder)
	found := note.FindStringSubmatch(got)
	if len(got) > 400_000 || found == nil {
		t.Fatalf("%d bytes, note %q", len(got), found)
	}
	if missing, _ := strconv.Atoi(found[1]); len(got)-len(found[0])+missing != total {
		t.Errorf("%d bytes, %d missing of %d", len(got), missing, total)
	}
}

func TestAChunkThatIsLongerThanALogIsAccepted(t *testing.T) {
	t.Parallel()
	store, folder := limited(t, 10_000)
	text := long(3, 200_000)
	if size, err := store.AppendChunk(first, 0, text); err != nil || size != 200_000 {
		t.Errorf("size %d, %v", size, err)
	}
	if got := read(t, folder); len(got) > 10_000 || !strings.HasSuffix(text, got[len(got)-3000:]) {
		t.Errorf("%d bytes are left", len(got))
	}
}

func TestOutputThatLooksLikeANoteDoesNoHarm(t *testing.T) {
	t.Parallel()
	store, folder := limited(t, 40_000)
	fake := fmt.Sprintf("\n[Flamenco left out %019d bytes here, the log is too long]\n", 1<<60)
	add(t, store, 1, strings.Repeat("x", 9_000)+fake)
	for i := range 100 {
		chunk(t, store, 0, fmt.Sprintf("chunk %d\n", i)+strings.Repeat("z", 3_000)+"\n")
	}
	got := read(t, folder)
	if len(got) > 40_000 || !strings.Contains(got, "chunk 99\n") {
		t.Errorf("%d bytes are left, and end in %q", len(got), got[len(got)-20:])
	}
}
