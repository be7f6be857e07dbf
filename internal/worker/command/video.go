// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"flamenco.farm/internal/farm"
)

// FramesToVideo makes a video of images with FFmpeg.
type FramesToVideo struct {
	Exe        string
	ExeArgs    []string
	ArgsBefore []string
	InputGlob  string // pattern of the images, shown in the order of their names
	Args       []string
	FPS        float64 // above 0
	OutputFile string
}

// indexName is the list of images for an FFmpeg that knows no patterns, in the images' folder while it is needed.
const indexName = "ffmpeg-file-index.txt"

func decodeFramesToVideo(p *parameters) FramesToVideo {
	c := FramesToVideo{
		Exe:        p.text("exe"),
		ExeArgs:    p.words("exeArgs"),
		ArgsBefore: p.list("argsBefore"),
		InputGlob:  p.text("inputGlob"),
		Args:       p.list("args"),
		FPS:        p.number("fps"),
		OutputFile: p.text("outputFile"),
	}
	if c.FPS <= 0 {
		p.fail("fps", "must be above 0, not %v", c.FPS)
	}
	return c
}

// Run runs FFmpeg and counts a step for each frame that it writes.
func (c FramesToVideo) Run(ctx context.Context, env Env) error {
	return c.run(ctx, env, runtime.GOOS)
}

func (c FramesToVideo) run(ctx context.Context, env Env, system string) error {
	exe, err := FindFFmpeg(c.Exe, env.ToolsFolder)
	if err != nil {
		return err
	}
	input := []string{"-r", c.rate(), "-pattern_type", "glob", "-i", c.InputGlob}
	if system == "windows" {
		index, err := c.writeIndex()
		if err != nil {
			return err
		}
		defer os.Remove(index)
		input = []string{"-f", "concat", "-safe", "0", "-i", index}
	}
	if err := os.MkdirAll(filepath.Dir(c.OutputFile), 0o775); err != nil {
		return fmt.Errorf("make the video's folder: %w", explain(err, c.OutputFile))
	}
	args := slices.Concat(c.ExeArgs, c.ArgsBefore, input, c.Args, []string{"-r", c.rate(), c.OutputFile})
	written := 0
	return runProgram(ctx, env, exe, args, func(line string) {
		if frame, ok := parseFFmpeg(line); ok && frame > written {
			env.Step(frame - written)
			written = frame
		}
	})
}

// parseFFmpeg reads the number of frames written so far from a line of FFmpeg's progress, such as
// "frame=   24 fps=0.0 q=-1.0 Lsize=      12kB".
func parseFFmpeg(line string) (frame int, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "frame=")
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	frame, err := strconv.Atoi(number)
	return frame, err == nil && frame >= 0
}

func (c FramesToVideo) rate() string { return strconv.FormatFloat(c.FPS, 'f', -1, 64) }

// writeIndex lists the images beside them: FFmpeg for Windows is built without patterns.
func (c FramesToVideo) writeIndex() (string, error) {
	frames, err := filepath.Glob(c.InputGlob)
	if err != nil {
		return "", farm.Errorf(farm.CodeInvalid, "the pattern %q of the images is wrong: %v", c.InputGlob, err)
	}
	if len(frames) == 0 {
		return "", farm.Errorf(farm.CodeNotFound, "no images match %q", c.InputGlob)
	}
	index, err := filepath.Abs(filepath.Join(filepath.Dir(frames[0]), indexName))
	if err != nil {
		return "", err
	}
	for i := range frames {
		frames[i], err = filepath.Abs(frames[i])
		if err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(index, []byte(concatList(frames, c.FPS)), 0o644); err != nil {
		_ = os.Remove(index)
		return "", fmt.Errorf("list the images: %w", explain(err, index))
	}
	return index, nil
}

// concatList is a list for FFmpeg's concat demuxer, which knows no escapes inside of single quotes.
func concatList(frames []string, fps float64) string {
	var list strings.Builder
	for _, frame := range frames {
		path := strings.ReplaceAll(filepath.ToSlash(frame), "'", `'\''`)
		fmt.Fprintf(&list, "file '%s'\nduration %.9f\n", path, 1/fps)
	}
	return list.String()
}
