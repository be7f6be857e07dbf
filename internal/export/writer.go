// SPDX-License-Identifier: GPL-3.0-or-later

package export

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Writer writes an export. What it wrote is one only after Close.
type Writer struct {
	to    *zstd.Encoder
	sum   hash.Hash
	rows  map[string]int64
	table string
	total int64
	line  []byte
}

// NewWriter writes the header. Format, version and sum are filled in.
func NewWriter(to io.Writer, header Header) (*Writer, error) {
	header.Format, header.Version = formatName, formatVersion
	line, err := header.line()
	if err != nil {
		return nil, err
	}
	// Every setting is fixed, so that the same lines are always the same bytes.
	encoder, err := zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if _, err := encoder.Write(line); err != nil {
		return nil, errors.Join(err, encoder.Close())
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	encoder.Reset(to) // a frame of its own
	return &Writer{to: encoder, sum: sha256.New(), rows: map[string]int64{}}, nil
}

// Table begins a table.
func (w *Writer) Table(name string, columns []string) error {
	if _, twice := w.rows[name]; twice {
		return fmt.Errorf("export: table %s comes twice", name)
	}
	line, err := json.Marshal(tableLine{name, columns})
	if err != nil {
		return err
	}
	w.table, w.rows[name] = name, 0
	return w.write(append(line, '\n'))
}

// Row adds a row to the table. Its values are int64, bool, string or nil.
func (w *Writer) Row(values []any) (err error) {
	if w.line, err = appendRow(w.line[:0], values); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if len(w.line) > maxLine {
		return invalid("a row of table %s is too long to be exported: it has %d bytes, of which the first are %.100q", w.table, len(w.line), w.line)
	}
	w.rows[w.table]++
	w.total++
	w.line = append(w.line, '\n')
	return w.write(w.line)
}

// Rows is how many rows were written.
func (w *Writer) Rows() int64 { return w.total }

func (w *Writer) write(line []byte) error {
	w.sum.Write(line)
	_, err := w.to.Write(line)
	return err
}

// Close writes the end.
func (w *Writer) Close() error {
	line, err := json.Marshal(endLine{end{Rows: w.rows, SHA256: hex.EncodeToString(w.sum.Sum(nil))}})
	if err != nil {
		return err
	}
	if _, err := w.to.Write(append(line, '\n')); err != nil {
		return err
	}
	return w.to.Close()
}
