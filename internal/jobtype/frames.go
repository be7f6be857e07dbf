// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxChunks bounds what one frameChunker call may build; more chunks than this could never become tasks.
const maxChunks = 1_000_000

// span is a run of frames, both ends included.
type span struct{ first, last int }

// frameSet is a set of frames as sorted runs with gaps between them, so that "1-1000000" costs no more than "1".
type frameSet []span

// parseFrames reads "1-10,20..25,40". A reversed part holds no frames, as upstream has it.
func parseFrames(text string) (frameSet, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the frame range is empty")
	}
	var spans frameSet
	for part := range strings.SplitSeq(text, ",") {
		s, err := parseSpan(part)
		if err != nil {
			return nil, fmt.Errorf("invalid frame range %s: %w", show(text), err)
		}
		if s.first <= s.last {
			spans = append(spans, s)
		}
	}
	if len(spans) == 0 {
		return nil, fmt.Errorf("invalid frame range %s: it holds no frames", show(text))
	}
	return spans.merged(), nil
}

func parseSpan(part string) (span, error) {
	from, to, isRun := strings.Cut(part, "..")
	if !isRun {
		from, to, isRun = strings.Cut(part, "-")
	}
	first, err := parseFrame(from)
	if err != nil || !isRun {
		return span{first, first}, err
	}
	last, err := parseFrame(to)
	return span{first, last}, err
}

func parseFrame(text string) (int, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseUint(text, 10, 31) // unlike Atoi it refuses signs; Blender's frames are 32-bit
	if err != nil {
		return 0, fmt.Errorf("%s is not a frame number", show(text))
	}
	return int(n), nil
}

// merged sorts the runs and joins those that overlap or touch.
func (f frameSet) merged() frameSet {
	slices.SortFunc(f, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	out := f[:1]
	for _, s := range f[1:] {
		if last := &out[len(out)-1]; s.first <= last.last+1 {
			last.last = max(last.last, s.last)
		} else {
			out = append(out, s)
		}
	}
	return out
}

func (f frameSet) count() int {
	n := 0
	for _, s := range f {
		n += s.last - s.first + 1
	}
	return n
}

// chunks splits the set into pieces of size frames, each written as a frame range.
func (f frameSet) chunks(size int) ([]string, error) {
	if size < 1 {
		return nil, fmt.Errorf("the chunk size is %d, must be at least 1", size)
	}
	if n := (f.count()-1)/size + 1; n > maxChunks {
		return nil, fmt.Errorf("%d frames in chunks of %d make %d chunks, more than %d", f.count(), size, n, maxChunks)
	}
	var chunks []string
	var chunk strings.Builder
	room := size
	for _, s := range f {
		for s.first <= s.last {
			n := min(room, s.last-s.first+1)
			writeRun(&chunk, span{s.first, s.first + n - 1})
			s.first += n
			if room -= n; room == 0 {
				chunks = append(chunks, chunk.String())
				chunk.Reset()
				room = size
			}
		}
	}
	if chunk.Len() > 0 {
		chunks = append(chunks, chunk.String())
	}
	return chunks, nil
}

// writeRun writes three frames or more as "a-b", two as "a,b" and one as "a".
func writeRun(b *strings.Builder, s span) {
	if b.Len() > 0 {
		b.WriteByte(',')
	}
	b.WriteString(strconv.Itoa(s.first))
	switch {
	case s.last == s.first:
		return
	case s.last == s.first+1:
		b.WriteByte(',')
	default:
		b.WriteByte('-')
	}
	b.WriteString(strconv.Itoa(s.last))
}
