// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

const (
	// blockSize is how much of a compressed log is fetched at once, in bytes.
	blockSize = 1 << 20
	// aheadSize and aheadChunks are up to how much is fetched at once of a log that is not merged yet.
	aheadSize   = 256 << 10
	aheadChunks = 16
)

// objectReader reads a log as if it were a file. What another Manager merges meanwhile is found under its new name. It is
// safe for concurrent use.
type objectReader struct {
	*objects
	strict bool // that something was merged is an error

	mu     sync.Mutex
	log    *listing
	texts  map[string]string // chunks that were fetched last
	packed map[string]*unpacked
}

// ReadAt implements io.ReaderAt.
func (r *objectReader) ReadAt(p []byte, at int64) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	for merged := 0; n < len(p); {
		if at+int64(n) >= r.log.size {
			return n, io.EOF
		}
		m, err := r.readSome(ctx, p[n:], at+int64(n))
		n += m
		switch {
		case err == nil:
		case r.strict || merged > 2 || !errors.Is(err, farm.ErrNotExist):
			return n, err
		default:
			merged++
			if err := r.again(ctx); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// again finds out what the log consists of now.
func (r *objectReader) again(ctx context.Context) error {
	now, err := r.list(ctx, r.log.id)
	if err != nil {
		return err
	}
	if now.size != now.end || r.log.size != r.log.end || now.size < r.log.size {
		return fmt.Errorf("tasklog: the log of task %s was cut while it was read", r.log.id.TaskID)
	}
	r.log = now
	return nil
}

// readSome reads up to the end of one piece.
func (r *objectReader) readSome(ctx context.Context, p []byte, at int64) (int, error) {
	i, found := slices.BinarySearchFunc(r.log.pieces, at, func(p piece, at int64) int {
		switch {
		case at < p.at:
			return 1
		case at >= p.at+p.length():
			return -1
		}
		return 0
	})
	if !found {
		return 0, io.ErrUnexpectedEOF
	}
	here := r.log.pieces[i]
	start := here.skip + at - here.at
	if here.merged {
		text, err := r.open(here.object)
		if err != nil {
			return 0, err
		}
		n := min(int64(len(p)), here.size-start)
		return text.ReadAt(p[:n], start)
	}
	if _, there := r.texts[here.Name]; !there {
		if err := r.fetch(ctx, i, at+int64(len(p))); err != nil {
			return 0, err
		}
	}
	return copy(p, r.texts[here.Name][start:]), nil
}

// open reads where the frames of a merged object are.
func (r *objectReader) open(ob object) (*unpacked, error) {
	if text := r.packed[ob.Name]; text != nil {
		return text, nil
	}
	text, err := openPacked(r.decoder, &blockReader{blobs: r.blobs, of: ob.Info}, ob.Size)
	if err == nil && text.size != ob.size {
		err = errDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("tasklog: %s: %w", ob.Name, err)
	}
	r.packed = map[string]*unpacked{ob.Name: text}
	return text, nil
}

// fetch fetches the chunk i and the next ones at once, up to a place or as much as is worth it.
func (r *objectReader) fetch(ctx context.Context, i int, until int64) error {
	first := r.log.pieces[i]
	last := i + 1
	for ; last < len(r.log.pieces) && last-i < aheadChunks; last++ {
		if p := r.log.pieces[last]; p.merged || p.at >= until || p.at+p.size-first.at > aheadSize {
			break
		}
	}
	texts := make([]string, last-i)
	errs := make([]error, last-i)
	var all sync.WaitGroup
	for n := range texts {
		all.Go(func() { texts[n], errs[n] = fetchChunk(ctx, r.blobs, r.log.pieces[i+n].Info) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.texts = make(map[string]string, len(texts))
	for n, text := range texts {
		r.texts[r.log.pieces[i+n].Name] = text
	}
	return nil
}

func fetchChunk(ctx context.Context, blobs blob.Store, of blob.Info) (string, error) {
	body, _, err := blobs.Get(ctx, of.Name, 0, of.Size)
	if err != nil {
		return "", fmt.Errorf("tasklog: %w", err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err == nil && int64(len(text)) != of.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", fmt.Errorf("tasklog: %s: %w", of.Name, err)
	}
	return string(text), nil
}

// blockReader reads an object in blocks, because those who read it go through it in small steps.
type blockReader struct {
	blobs blob.Store
	of    blob.Info

	mu    sync.Mutex
	begin int64 // of block
	block []byte
}

// ReadAt implements io.ReaderAt.
func (b *blockReader) ReadAt(p []byte, at int64) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n < len(p) {
		here := at + int64(n)
		if here >= b.of.Size {
			return n, io.EOF
		}
		if here < b.begin || here >= b.begin+int64(len(b.block)) {
			if err := b.load(here / blockSize * blockSize); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], b.block[here-b.begin:])
	}
	return n, nil
}

func (b *blockReader) load(begin int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	body, _, err := b.blobs.Get(ctx, b.of.Name, begin, min(blockSize, b.of.Size-begin))
	if err != nil {
		return err
	}
	defer body.Close()
	b.block = make([]byte, min(blockSize, b.of.Size-begin))
	b.begin = begin
	if _, err := io.ReadFull(body, b.block); err != nil {
		b.block = nil
		return fmt.Errorf("tasklog: %s: %w", b.of.Name, err)
	}
	return nil
}
