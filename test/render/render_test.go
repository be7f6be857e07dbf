// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package render_test

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTheDemoRendersEveryFrameAndAVideo runs what `make demo DEMO_ARGS=--exit` runs, with real Blender and FFmpeg.
func TestTheDemoRendersEveryFrameAndAVideo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	folder := t.TempDir()
	var out, errs bytes.Buffer
	demo := exec.CommandContext(ctx, filepath.Join(bin, "demo"), "--exit")
	demo.Env = append(os.Environ(), "TMPDIR="+folder)
	demo.Stdout, demo.Stderr = &out, &errs
	if err := demo.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &out, &errs)
	}
	if !strings.Contains(errs.String(), "24/24 frames · 9/9 tasks") {
		t.Errorf("no progress was shown to its end:\n%s", &errs)
	}
	shown := regexp.MustCompile(`Frames +(\S+)\n +Video +(\S+)\n`).FindStringSubmatch(out.String())
	if shown == nil {
		t.Fatalf("the demo does not say where its frames are:\n%s", &out)
	}
	differ := map[string]bool{}
	for frame := 1; frame <= 24; frame++ {
		text, err := os.ReadFile(filepath.Join(shown[1], fmt.Sprintf("%06d.png", frame)))
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("frame %d: %v", frame, err)
		}
		if size := picture.Bounds().Size(); size.X != 320 || size.Y != 180 {
			t.Errorf("frame %d is %v", frame, size)
		}
		differ[string(text)] = true
	}
	if len(differ) != 24 {
		t.Errorf("only %d of 24 frames differ: nothing moves", len(differ))
	}
	probe, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames",
		"-show_entries", "stream=nb_read_frames,width,height", "-of", "csv=p=0", shown[2]).CombinedOutput()
	if got := strings.TrimSpace(string(probe)); err != nil || got != "320,180,24" {
		t.Errorf("the video is %s, %v; want 24 frames of 320x180", got, err)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "flamenco-demo-*", "*")); err != nil || len(left) != 2 {
		t.Errorf("the demo left %v, want project and renders", left)
	}
}
