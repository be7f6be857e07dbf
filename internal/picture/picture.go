// SPDX-License-Identifier: GPL-3.0-or-later

// Package picture owns pixels: it decodes pictures that anybody may have sent, makes them smaller and encodes them as JPEG.
// No input makes it panic, take more memory than it was allowed, or go on after its context has ended. It must not know
// whose pictures they are or where they go.
//
// Pictures are shown as they are stored: no turning by EXIF, no colour profiles.
package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"runtime/debug"

	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// MaxPixels is the most that a picture may have: 12,000 × 8,000 and a little more.
const MaxPixels = 100_000_000

// ErrFormat is the error for what is neither JPEG, PNG, TIFF nor WebP.
var ErrFormat = errors.New("neither a JPEG, PNG, TIFF nor WebP picture")

// codec reads one kind of picture.
type codec struct {
	magic  string // bytes that such files begin with; '?' stands for any
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	weight func(config image.Config, data []byte) int64 // at least the bytes that decode takes per pixel
}

func codecOf(data []byte) (codec, bool) {
	for _, c := range []codec{
		{"\xff\xd8", jpeg.DecodeConfig, jpeg.Decode, weighJPEG},
		{"\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode, weighPNG},
		{"II*\x00", tiff.DecodeConfig, tiff.Decode, weighTIFF},
		{"MM\x00*", tiff.DecodeConfig, tiff.Decode, weighTIFF},
		{"RIFF????WEBP", webp.DecodeConfig, decodeWebP, weighWebP},
	} {
		if begins(data, c.magic) {
			return c, true
		}
	}
	return codec{}, false
}

func begins(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

// Decode reads a picture of at most MaxPixels whose decoding takes at most so many bytes of memory. The size is known
// before anything is decoded; ErrFormat is for other files.
func Decode(ctx context.Context, data []byte, memory int64) (decoded image.Image, err error) {
	defer func() {
		if p := recover(); p != nil {
			decoded, err = nil, fmt.Errorf("the decoder has a defect: %v\n%s", p, debug.Stack())
		}
	}()
	c, ok := codecOf(data)
	if !ok {
		return nil, ErrFormat
	}
	config, err := c.config(reader{ctx, bytes.NewReader(data)})
	if err != nil {
		return nil, err
	}
	if err := allow(config, c.weight(config, data), memory); err != nil {
		return nil, err
	}
	return c.decode(reader{ctx, bytes.NewReader(data)})
}

func allow(config image.Config, weight, memory int64) error {
	w, h := int64(config.Width), int64(config.Height)
	if w <= 0 || h <= 0 || w > MaxPixels || h > MaxPixels || w*h > MaxPixels {
		return fmt.Errorf("%d × %d pixels are not between 1 and %d", w, h, MaxPixels)
	}
	if w*h*weight > memory {
		return fmt.Errorf("%d × %d pixels may take %d bytes, more than %d", w, h, w*h*weight, memory)
	}
	return nil
}

// reader ends with its context, and so does the decoder that reads it. It hides the other methods, which would not.
type reader struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no place for it
	data *bytes.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.data.Read(p)
}

// ReadAt is what the decoder of TIFF wants.
func (r reader) ReadAt(p []byte, offset int64) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.data.ReadAt(p, offset)
}
