// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A packed log is Zstandard in the seekable format: frames of at most frameSize bytes of text, each for itself, and behind
// them a frame that other programs skip, with the sizes of all. Any part can be read without what stands before it, and
// `zstd -d` and browsers read the whole.
const frameSize = 1 << 20

const (
	skippableMagic = 0x184D2A5E
	seekableMagic  = 0x8F92EAB1
	tableHeader    = 8 // magic and size of the skippable frame
	tableEntry     = 8 // size of a frame, compressed and not
	tableFooter    = 9 // number of frames, flags, magic
)

// maxFrames is more than the longest log has.
const maxFrames = 1 << 22

var errDamaged = errors.New("the compressed log is damaged")

// pack compresses text to w.
func (c codec) pack(w io.Writer, text io.Reader) error {
	var table []byte
	frames := 0
	buffer, packed := make([]byte, frameSize), []byte(nil)
	for {
		n, err := io.ReadFull(text, buffer)
		if n > 0 {
			packed = c.encoder.EncodeAll(buffer[:n], packed[:0])
			if _, err := w.Write(packed); err != nil {
				return err
			}
			table = binary.LittleEndian.AppendUint32(table, uint32(len(packed)))
			table = binary.LittleEndian.AppendUint32(table, uint32(n))
			frames++
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	head := binary.LittleEndian.AppendUint32(nil, skippableMagic)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(table)+tableFooter))
	table = binary.LittleEndian.AppendUint32(table, uint32(frames))
	table = append(table, 0)
	table = binary.LittleEndian.AppendUint32(table, seekableMagic)
	_, err := w.Write(slices.Concat(head, table))
	return err
}

// unpacked reads a packed log as if it were text. It is safe for concurrent use.
type unpacked struct {
	decoder *zstd.Decoder
	from    io.ReaderAt
	frames  []frame
	size    int64

	mu   sync.Mutex
	last int    // the frame that text holds, -1 = none
	text []byte // readers go through it in small steps
}

// frame is where a frame of a packed log is, compressed and not.
type frame struct {
	at, size         int64
	textAt, textSize int64
}

// openPacked reads the table of a packed log of so many bytes.
func openPacked(decoder *zstd.Decoder, from io.ReaderAt, size int64) (*unpacked, error) {
	footer := make([]byte, tableFooter)
	if err := readFull(from, footer, size-tableFooter); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(footer))
	if binary.LittleEndian.Uint32(footer[5:]) != seekableMagic || footer[4] != 0 || n > maxFrames {
		return nil, errDamaged
	}
	table := make([]byte, tableHeader+n*tableEntry)
	start := size - tableFooter - int64(len(table))
	if err := readFull(from, table, start); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(table) != skippableMagic || int64(binary.LittleEndian.Uint32(table[4:])) != n*tableEntry+tableFooter {
		return nil, errDamaged
	}
	u := &unpacked{decoder: decoder, from: from, frames: make([]frame, n), last: -1}
	var at int64
	for i := range u.frames {
		entry := table[tableHeader+i*tableEntry:]
		f := frame{
			at: at, size: int64(binary.LittleEndian.Uint32(entry)), textAt: u.size, textSize: int64(binary.LittleEndian.Uint32(entry[4:])),
		}
		if f.textSize == 0 || f.textSize > frameSize {
			return nil, errDamaged
		}
		u.frames[i] = f
		at += f.size
		u.size += f.textSize
	}
	if at != start {
		return nil, errDamaged
	}
	return u, nil
}

// ReadAt implements io.ReaderAt.
func (u *unpacked) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 || at > math.MaxInt64-int64(len(p)) {
		return 0, fmt.Errorf("tasklog: no such place: %d", at)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for n < len(p) {
		i, found := slices.BinarySearchFunc(u.frames, at, func(f frame, at int64) int {
			switch {
			case at < f.textAt:
				return 1
			case at >= f.textAt+f.textSize:
				return -1
			}
			return 0
		})
		if !found {
			return n, io.EOF
		}
		if err := u.load(i); err != nil {
			return n, err
		}
		copied := copy(p[n:], u.text[at-u.frames[i].textAt:])
		n += copied
		at += int64(copied)
	}
	return n, nil
}

// load makes u.text the text of a frame.
func (u *unpacked) load(i int) error {
	if u.last == i {
		return nil
	}
	f := u.frames[i]
	u.last = -1
	packed := make([]byte, f.size)
	if err := readFull(u.from, packed, f.at); err != nil {
		return err
	}
	text, err := u.decoder.DecodeAll(packed, u.text[:0])
	if err != nil || int64(len(text)) != f.textSize {
		return errors.Join(errDamaged, err)
	}
	u.text, u.last = text, i
	return nil
}

func readFull(from io.ReaderAt, p []byte, at int64) error {
	if at < 0 {
		return errDamaged
	}
	n, err := from.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errDamaged
	}
	return err
}
