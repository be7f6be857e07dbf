// SPDX-License-Identifier: GPL-3.0-or-later

package preview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"flamenco.farm/internal/picture"
	"flamenco.farm/internal/worker/process"
)

// maxEXR is the most that an OpenEXR file may have for FFmpeg, in bytes; it takes a multiple of that in memory.
const maxEXR = 512 << 20

// maxComplaint is how much of what FFmpeg says is kept.
const maxComplaint = 2 << 10

// makeFromEXR prefers the JPEG that Blender saves beside an OpenEXR image when it is told to make previews: it has the
// colours that the artist saw. Otherwise FFmpeg reads the image.
func (u *Uploader) makeFromEXR(ctx context.Context, o Output) ([]byte, error) {
	info, err := os.Stat(o.Path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	}
	if made, err := os.Stat(beside(o.Path)); err == nil && !made.ModTime().Before(info.ModTime()) {
		if jpeg, err := shrink(ctx, beside(o.Path)); err == nil || ctx.Err() != nil { // else it may be half written
			return jpeg, err
		}
	}
	if info.Size() > maxEXR {
		return nil, fmt.Errorf("%d bytes are more than %d", info.Size(), maxEXR)
	}
	converted := filepath.Join(u.Home, "preview.png")
	defer func() { _ = os.Remove(converted) }()
	if err := u.convert(ctx, o, converted); err != nil {
		return nil, err
	}
	return shrink(ctx, converted)
}

// beside is where Blender saves the JPEG of an OpenEXR image.
func beside(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) + ".jpg" }

// convert runs FFmpeg under the shim, so that nothing of it survives, and not for long.
func (u *Uploader) convert(ctx context.Context, o Output, to string) error {
	program, err := u.FFmpeg()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, u.TimeLimit)
	defer cancel()
	said := &beginning{}
	result, err := u.Run(ctx, process.Spec{
		Path: program, Args: ffmpegArgs(o.Path, layerOf(o.Path), to),
		Assignment: "preview-" + o.Assignment, Home: u.Home, // the end of the task's command must not end this one
	}, said)
	switch {
	case err != nil:
		return fmt.Errorf("FFmpeg: %w", err)
	case result.ExitCode != 0 || result.Signal != 0:
		return fmt.Errorf("FFmpeg: %s: %s", result.Reason, bytes.TrimSpace(said.text))
	}
	return nil
}

// ffmpegArgs reads one image as OpenEXR whatever its name, without patterns in it, and changes linear light to what
// screens show. Transparency is dropped, which leaves the picture on black.
func ffmpegArgs(from, layer, to string) []string {
	args := []string{
		"-nostdin", "-hide_banner", "-v", "error", "-y",
		"-max_pixels", strconv.Itoa(picture.MaxPixels), "-apply_trc", "iec61966_2_1",
	}
	if layer != "" {
		args = append(args, "-layer", layer)
	}
	return append(args, "-f", "image2", "-pattern_type", "none", "-c:v", "exr", "-i", "file:"+from,
		"-frames:v", "1", "-vf", fmt.Sprintf("scale=w='min(%d,iw)':h='min(%d,ih)':force_original_aspect_ratio=decrease", fits.X, fits.Y),
		"-pix_fmt", "rgb24", "-c:v", "png", "-f", "image2", "-update", "1", "file:"+to)
}

// combined finds the picture among the passes of an image with several layers, in the list of its channels.
var combined = regexp.MustCompile(`([\x20-\x7e]+\.Combined)\.R\x00`)

// layerOf is the layer of an OpenEXR image that holds its picture, "" if it is not in a layer. Of several it is the first,
// and so what the compositor made.
func layerOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "" // FFmpeg will say why
	}
	defer func() { _ = f.Close() }()
	header := make([]byte, 64<<10)
	n, _ := io.ReadFull(f, header) // most files are longer, and others may be
	if found := combined.FindSubmatch(header[:n]); found != nil {
		return string(found[1])
	}
	return ""
}

// beginning keeps the start of what is written to it.
type beginning struct{ text []byte }

func (b *beginning) Write(p []byte) (int, error) {
	b.text = append(b.text, p[:min(len(p), maxComplaint-len(b.text))]...)
	return len(p), nil
}
