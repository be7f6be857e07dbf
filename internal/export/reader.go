// SPDX-License-Identifier: GPL-3.0-or-later

package export

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"

	"github.com/klauspost/compress/zstd"
)

// Reader reads an export. Nothing of it is to be believed before NextTable says io.EOF: only then was all of it there,
// and as it was written. What is wrong with the file is an error of farm.CodeInvalid.
type Reader struct {
	from    *counted
	decoder *zstd.Decoder
	lines   *bufio.Reader

	header Header
	sum    hash.Hash
	rows   map[string]int64
	table  string
	number int64 // of the line
	size   int64 // of all lines so far
	line   []byte
	unread bool // line has to be read again
	values []any
	ended  bool
}

// counted counts the bytes that were read.
type counted struct {
	from io.Reader
	n    int64
	err  error // why it cannot be read
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		c.err = err
	}
	return n, err
}

// NewReader reads the header. Close frees what the Reader holds.
func NewReader(from io.Reader) (*Reader, error) {
	source := &counted{from: from}
	decoder, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	r := &Reader{
		from: source, decoder: decoder, lines: bufio.NewReaderSize(decoder, 64<<10),
		sum: sha256.New(), rows: map[string]int64{},
	}
	if err := r.readHeader(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close frees what the Reader holds.
func (r *Reader) Close() { r.decoder.Close() }

// Header is the first line.
func (r *Reader) Header() Header { return r.header }

// Consumed is how many bytes of the file were read, to tell how far it is.
func (r *Reader) Consumed() int64 { return r.from.n }

// Rows is how many rows each table has that was read so far.
func (r *Reader) Rows() map[string]int64 { return maps.Clone(r.rows) }

func (r *Reader) readHeader() error {
	line, err := r.readLine(maxHeader)
	switch {
	case errors.Is(err, io.EOF):
		return invalid("this is not an export of a farm")
	case err != nil:
		return err
	}
	var kind struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(line, &kind); err != nil || kind.Format != formatName {
		return invalid("this is not an export of a farm")
	}
	if kind.Version != formatVersion {
		return invalid("the file has version %d of the format of exports, and this program knows version %d: use the program that wrote it, or a newer one",
			kind.Version, formatVersion)
	}
	if err := json.Unmarshal(line, &r.header); err != nil {
		return invalid("the header of the file: %v", err)
	}
	if want, err := r.header.line(); err != nil || !bytes.Equal(want, append(line, '\n')) {
		return invalid("the header of the file was altered")
	}
	return nil
}

// NextTable goes to the next table; io.EOF says that there is none, and that the file is complete.
func (r *Reader) NextTable() (name string, columns []string, err error) {
	if r.ended {
		return "", nil, io.EOF
	}
	line, err := r.next()
	if err != nil {
		return "", nil, err
	}
	if bytes.HasPrefix(line, []byte(`{"end":`)) {
		return "", nil, r.readEnd(line)
	}
	var t tableLine
	if err := strict(line, &t); err != nil || t.Table == "" {
		return "", nil, invalid("line %d of the file should begin a table", r.number)
	}
	if _, twice := r.rows[t.Table]; twice {
		return "", nil, invalid("line %d of the file: table %.60q comes twice", r.number, t.Table)
	}
	r.take(line)
	r.table, r.rows[t.Table] = t.Table, 0
	return t.Table, t.Columns, nil
}

// NextRow is the next row of the table, valid until the next call; false at its end.
func (r *Reader) NextRow() (values []any, ok bool, err error) {
	line, err := r.next()
	if err != nil {
		return nil, false, err
	}
	if len(line) == 0 || line[0] != '[' {
		r.unread = true
		return nil, false, nil
	}
	if r.values, err = parseRow(line, r.values); err != nil {
		return nil, false, invalid("line %d of the file: %v", r.number, err)
	}
	r.take(line)
	r.rows[r.table]++
	return r.values, true, nil
}

// take adds a line to the sum.
func (r *Reader) take(line []byte) {
	r.sum.Write(line)
	r.sum.Write([]byte{'\n'})
}

// next is the next line, which may have been looked at already.
func (r *Reader) next() ([]byte, error) {
	if r.unread {
		r.unread = false
		return r.line[:len(r.line)-1], nil
	}
	line, err := r.readLine(maxLine)
	if errors.Is(err, io.EOF) {
		return nil, errCutOff
	}
	return line, err
}

func (r *Reader) readEnd(line []byte) error {
	var e endLine
	if err := strict(line, &e); err != nil {
		return invalid("line %d of the file should be its end", r.number)
	}
	if !maps.Equal(e.End.Rows, r.rows) {
		return invalid("the file does not have the rows that it should have")
	}
	sum := hex.EncodeToString(r.sum.Sum(nil))
	if subtle.ConstantTimeCompare([]byte(e.End.SHA256), []byte(sum)) != 1 {
		return invalid("the file was altered or damaged: its sum is not the one that it names")
	}
	switch _, err := r.lines.ReadByte(); {
	case err == nil:
		return invalid("something follows the end of the file")
	case !errors.Is(err, io.EOF):
		return r.unreadable(err)
	}
	r.ended = true
	return io.EOF
}

// readLine reads a line without its end; io.EOF if there is nothing any more.
func (r *Reader) readLine(limit int) ([]byte, error) {
	r.line = r.line[:0]
	r.number++
	for {
		part, err := r.lines.ReadSlice('\n')
		r.line = append(r.line, part...)
		r.size += int64(len(part))
		switch {
		case len(r.line) > limit+1:
			return nil, invalid("line %d of the file is longer than %d bytes", r.number, limit)
		case r.size > maxFree+maxRatio*r.from.n:
			return nil, invalid("the file is compressed more than any export is")
		case err == nil:
			return r.line[:len(r.line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(r.line) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errCutOff
		default:
			return nil, r.unreadable(err)
		}
	}
}

// unreadable tells a file that is damaged from one that cannot be read.
func (r *Reader) unreadable(err error) error {
	switch {
	case r.from.err != nil:
		return r.from.err
	case r.number == 1:
		return invalid("this is not an export of a farm")
	}
	return invalid("the file is damaged: %v", err)
}

// Verify reads an export to its end and returns its header and how many rows each table has.
func Verify(from io.Reader) (Header, map[string]int64, error) {
	r, err := NewReader(from)
	if err != nil {
		return Header{}, nil, err
	}
	defer r.Close()
	for {
		switch _, _, err := r.NextTable(); {
		case errors.Is(err, io.EOF):
			return r.header, r.rows, nil
		case err != nil:
			return r.header, nil, err
		}
		for ok := true; ok; {
			if _, ok, err = r.NextRow(); err != nil {
				return r.header, nil, err
			}
		}
	}
}

// strict decodes a line that has nothing but what is known, in the form in which it is written.
func strict(line []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	again, err := json.Marshal(to)
	if err == nil && !bytes.Equal(again, line) {
		err = errors.New("not in the form in which it is written")
	}
	return err
}
