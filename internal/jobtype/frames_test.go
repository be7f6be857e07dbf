// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFrameRangesAreSplitIntoChunks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		frames string
		size   int
		want   []string
	}{
		{"1-10", 4, []string{"1-4", "5-8", "9,10"}},
		{"1-3", 1, []string{"1", "2", "3"}},
		{"1-10,20..25,40", 5, []string{"1-5", "6-10", "20-24", "25,40"}},
		{" 5 - 7 , 6..9", 100, []string{"5-9"}},
		{"40,1,1,2,3", 100, []string{"1-3,40"}},
		{"1,2,4,5", 100, []string{"1,2,4,5"}},
		{"1-3,4-6", 4, []string{"1-4", "5,6"}},
		{"1,3,5", 2, []string{"1,3", "5"}},
		{"9-1,7", 3, []string{"7"}},
		{"0", 1, []string{"0"}},
		{"1-2147483647", 2147483647, []string{"1-2147483647"}},
	} {
		frames, err := parseFrames(test.frames)
		if err != nil {
			t.Errorf("%q: %v", test.frames, err)
			continue
		}
		got, err := frames.chunks(test.size)
		if err != nil {
			t.Errorf("%q: %v", test.frames, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q in chunks of %d (-want +got):\n%s", test.frames, test.size, diff)
		}
	}
}

func TestInvalidFrameRangesAreRefused(t *testing.T) {
	t.Parallel()
	for _, frames := range []string{
		"", "  ", ",", "1,", ",1", "x", "1-x", "-5", "1--5", "1-5-9", "1..5..9", "1-10x2", "+1", "1.5", "9-1", "0x10",
		"99999999999", "1 2", "1...5", "١",
	} {
		if got, err := parseFrames(frames); err == nil {
			t.Errorf("%q is %v", frames, got)
		}
	}
	if _, err := (frameSet{{1, 9}}).chunks(0); err == nil {
		t.Error("a chunk size of 0 is accepted")
	}
	if _, err := (frameSet{{0, 2_000_000}}).chunks(1); err == nil {
		t.Error("two million chunks are accepted")
	}
}

// FuzzFrameRanges checks that chunks hold exactly the frames of the range, each once and in order.
func FuzzFrameRanges(f *testing.F) {
	for _, seed := range []string{"1-10", "1-10,20..25,40", "3,1,2", "9-1", "5..5", "1-,2", "0-4294967296"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		frames, err := parseFrames(text)
		if err != nil {
			return
		}
		chunks, err := frames.chunks(size)
		if err != nil {
			return
		}
		again, err := parseFrames(strings.Join(chunks, ","))
		if err != nil {
			t.Fatalf("the chunks of %q are no frame range: %v", text, err)
		}
		if diff := cmp.Diff(frames, again, cmp.AllowUnexported(span{})); diff != "" {
			t.Errorf("the chunks of %q hold other frames: %s", text, diff)
		}
		total := 0
		for i, chunk := range chunks {
			part, err := parseFrames(chunk)
			if err != nil {
				t.Fatal(err)
			}
			total += part.count()
			if n := part.count(); n > size || n < size && i < len(chunks)-1 {
				t.Errorf("chunk %q of %q has %d frames, not %d", chunk, text, n, size)
			}
		}
		if total != frames.count() {
			t.Errorf("the chunks of %q have %d frames, not %d", text, total, frames.count())
		}
	})
}
