// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// result is where the frames and the video are.
type result struct {
	folder string
	video  string
}

// check finds the frames and the video of the job, and makes sure that they are what was asked for.
func (f *farm) check(ctx context.Context) (result, error) {
	folders, err := filepath.Glob(filepath.Join(f.renders, jobName, "*"))
	if err != nil || len(folders) != 1 {
		return result{}, fmt.Errorf("the job was completed, but there are %d folders of frames in %s", len(folders), f.renders)
	}
	found := result{folder: folders[0]}
	for frame := 1; frame <= f.frames; frame++ {
		if err := f.checkFrame(filepath.Join(found.folder, fmt.Sprintf("%06d.png", frame))); err != nil {
			return found, fmt.Errorf("frame %d: %w", frame, err)
		}
	}
	videos, err := filepath.Glob(filepath.Join(found.folder, "*.mp4"))
	if err != nil || len(videos) != 1 {
		return found, fmt.Errorf("there are %d videos in %s, not one", len(videos), found.folder)
	}
	found.video = videos[0]
	frames, err := videoFrames(ctx, found.video)
	if err != nil {
		return found, err
	}
	if frames != f.frames {
		return found, fmt.Errorf("the video %s has %d frames, not %d", found.video, frames, f.frames)
	}
	return found, nil
}

// checkFrame decodes a frame, which finds a file that was cut off, and compares its size.
func (f *farm) checkFrame(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if size := picture.Bounds().Size(); size.X != f.width || size.Y != f.height {
		return fmt.Errorf("%s is %dx%d, not %dx%d", path, size.X, size.Y, f.width, f.height)
	}
	return nil
}

// videoFrames decodes a video and counts its frames.
func videoFrames(ctx context.Context, path string) (int, error) {
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames",
		"-show_entries", "stream=nb_read_frames", "-of", "default=nokey=1:noprint_wrappers=1", path).Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(failed.Stderr)))
		}
		return 0, fmt.Errorf("ffprobe %s: %w", path, err)
	}
	frames, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return 0, fmt.Errorf("ffprobe %s: %w", path, err)
	}
	return frames, nil
}
