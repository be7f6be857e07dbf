// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// DefaultMaxSize is how long a log may get in bytes, unless the Store was told otherwise.
const DefaultMaxSize = 100 << 20

// headSize is the most that is kept of the beginning of a log that was cut. It does not depend on the limit, so that the
// note in a log is found also after the limit was changed.
const headSize = 1 << 20

// maxLine is how far a cut looks for the end of a line.
const maxLine = 64 << 10

// A note stands where the middle of a log was. Its length is always the same.
const (
	noteBegin  = "\n[Flamenco left out "
	noteEnd    = " bytes here, the log is too long]\n"
	noteDigits = 19
	noteLength = int64(len(noteBegin) + noteDigits + len(noteEnd))
)

// extent is how long a log is, and what is missing in it.
type extent struct {
	size   int64 // of the file
	head   int64 // where the note is, 0 = there is none
	absent int64 // how many bytes were left out
}

// logical is how long the log would be, had nothing been left out.
func (e extent) logical() int64 {
	if e.head == 0 {
		return e.size
	}
	return e.size - noteLength + e.absent
}

// physical is where in the file a place of the whole log is; for one that was left out, what comes next.
func (e extent) physical(at int64) int64 {
	switch {
	case e.head == 0 || at <= e.head:
		return at
	case at < e.head+e.absent:
		return e.head + noteLength
	}
	return at - e.absent + noteLength
}

// headLimit is where the beginning of a log ends at the latest.
func headLimit(maxSize int64) int64 { return min(headSize, maxSize/4) }

// extentOf looks how long a log is, and for the note in it.
func (s *files) extentOf(f *os.File) (extent, error) {
	info, err := f.Stat()
	if err != nil {
		return extent{}, err
	}
	return extentOf(f, info.Size(), s.maxSize)
}

// extentOf looks for the note in a log of some size.
func extentOf(f io.ReaderAt, size, maxSize int64) (extent, error) {
	e := extent{size: size}
	limit := headLimit(maxSize)
	if e.size <= limit {
		return e, nil
	}
	start := max(0, limit-maxLine)
	text, err := io.ReadAll(io.NewSectionReader(f, start, limit-start+noteLength))
	if err != nil {
		return extent{}, err
	}
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(noteBegin))
		if i < 0 {
			return e, nil
		}
		at += i
		if absent, ok := readNote(text[at:]); ok {
			e.head, e.absent = start+int64(at), absent
			return e, nil
		}
		at++
	}
}

func readNote(text []byte) (absent int64, ok bool) {
	if int64(len(text)) < noteLength || !bytes.HasSuffix(text[:noteLength], []byte(noteEnd)) {
		return 0, false
	}
	absent, err := strconv.ParseInt(string(text[len(noteBegin):len(noteBegin)+noteDigits]), 10, 64)
	return absent, err == nil && absent >= 0
}

// cut leaves out the middle of a log that is too long: its beginning stays, and half of what the limit allows of its end.
// The log is replaced as a whole. An error leaves it as it is.
func (s *files) cut(name string) {
	if s.writeCut(name) != nil {
		return
	}
	if s.disk.Rename(name+temporarySuffix, name) != nil {
		_ = s.disk.Remove(name + temporarySuffix) // the next one writes over it
	}
}

func (s *files) writeCut(name string) error {
	f, err := s.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	e, err := s.extentOf(f)
	if err != nil {
		return err
	}
	text, _, err := cut(f, e, s.maxSize)
	if err != nil {
		return err
	}
	return s.writeWhole(name+temporarySuffix, func(to *os.File) error {
		_, err := io.Copy(to, text)
		return err
	})
}

// cut is what stays of a log that is too long, and how long that is.
func cut(f io.ReaderAt, e extent, maxSize int64) (text io.Reader, size int64, err error) {
	after := e.head + noteLength // where what is left begins
	if e.head == 0 {
		if e.head, err = headEnd(f, headLimit(maxSize)); err != nil {
			return nil, 0, err
		}
		after = e.head
	}
	tail, err := tailStart(f, max(e.size-maxSize/2, after))
	if err != nil {
		return nil, 0, err
	}
	note := fmt.Sprintf("%s%0*d%s", noteBegin, noteDigits, e.absent+tail-after, noteEnd)
	text = io.MultiReader(io.NewSectionReader(f, 0, e.head), strings.NewReader(note), io.NewSectionReader(f, tail, e.size-tail))
	return text, e.head + noteLength + e.size - tail, nil
}

// headEnd is the end of the last whole line before a limit, or the limit itself in a very long line.
func headEnd(f io.ReaderAt, limit int64) (int64, error) {
	start := max(0, limit-maxLine)
	text, err := io.ReadAll(io.NewSectionReader(f, start, limit-start))
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		return start + int64(i) + 1, err
	}
	return limit, err
}

// tailStart is the beginning of the first whole line from a place on, or the place itself in a very long line.
func tailStart(f io.ReaderAt, from int64) (int64, error) {
	text, err := io.ReadAll(io.NewSectionReader(f, from, maxLine))
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return from + int64(i) + 1, err
	}
	return from, err
}
