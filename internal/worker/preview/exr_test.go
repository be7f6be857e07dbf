// SPDX-License-Identifier: GPL-3.0-or-later

package preview

import (
	"context"
	"errors"
	"image"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/worker/process"
)

// converting gives the uploader an FFmpeg that makes a picture of grey 77, and tells what it is asked.
func converting(asked chan process.Spec) func(*uploader) {
	return func(u *uploader) {
		u.FFmpeg = func() (string, error) { return "/tools/ffmpeg", nil }
		u.Run = func(_ context.Context, spec process.Spec, _ io.Writer) (process.Result, error) {
			asked <- spec
			to := strings.TrimPrefix(spec.Args[len(spec.Args)-1], "file:")
			return process.Result{}, os.WriteFile(to, pngOf(grey(40, 20, 77)), 0o600)
		}
	}
}

func TestAnOpenEXRImageIsShownByTheJPEGThatBlenderSavesWithIt(t *testing.T) {
	t.Parallel()
	asked := make(chan process.Spec, 10)
	u := setup(t, converting(asked))
	o := u.save("0001.exr", []byte("v/1\x01"))
	u.save("0001.jpg", jpegOf(grey(64, 36, 200)))
	u.Offer(o)
	wantGrey(t, await(t, u.sent), image.Point{64, 36}, 200)
	if len(asked) != 0 {
		t.Error("FFmpeg was asked")
	}
}

func TestFFmpegConvertsAnOpenEXRImageThatHasNoJPEGOfItsOwn(t *testing.T) {
	t.Parallel()
	asked := make(chan process.Spec, 10)
	u := setup(t, converting(asked))
	old := u.save("old.jpg", jpegOf(grey(64, 36, 200)))
	if err := os.Chtimes(old.Path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	u.save("half.jpg", jpegOf(grey(64, 36, 200))[:50])
	for name, c := range map[string]struct{ header, layer string }{
		"alone.exr": {"v/1\x01 channels\x00chlist\x00\x10\x00A\x00B\x00G\x00R\x00", ""},
		"old.exr":   {"v/1\x01", ""},
		"half.exr":  {"v/1\x01", ""},
		"multi.exr": {"v/1\x01 chlist\x00\x95\x00\x00\x00View Layer.Combined.A\x00\x02\x00\x00\x00View Layer.Combined.R\x00\x02", "View Layer.Combined"},
	} {
		o := u.save(name, []byte(c.header))
		u.Offer(o)
		spec := await(t, asked)
		if spec.Path != "/tools/ffmpeg" || spec.Home != u.Home || spec.Assignment == o.Assignment || !slices.Contains(spec.Args, "file:"+o.Path) {
			t.Errorf("%s: %+v", name, spec)
		}
		layer := ""
		if i := slices.Index(spec.Args, "-layer"); i >= 0 {
			layer = spec.Args[i+1]
		}
		if layer != c.layer {
			t.Errorf("%s: layer %q, want %q", name, layer, c.layer)
		}
		wantGrey(t, await(t, u.sent), image.Point{40, 20}, 77)
	}
	u.stop()
	if left, _ := filepath.Glob(filepath.Join(u.Home, "*")); len(left) != 0 {
		t.Errorf("left in the Worker's home: %v", left)
	}
}

func TestTheJPEGOfBlenderTakesTheWorkFromFFmpeg(t *testing.T) {
	t.Parallel()
	asked := make(chan process.Spec, 10)
	u := setup(t, converting(asked), func(u *uploader) {
		u.Run = func(ctx context.Context, spec process.Spec, _ io.Writer) (process.Result, error) {
			asked <- spec
			<-ctx.Done()
			return process.Result{}, context.Cause(ctx)
		}
	})
	u.Offer(u.save("0001.exr", []byte("v/1\x01")))
	await(t, asked)
	u.Offer(u.save("0001.jpg", jpegOf(grey(64, 36, 200))))
	if line := await(t, u.logged); !strings.Contains(line, errBetter.Error()) {
		t.Error(line)
	}
	wantGrey(t, await(t, u.sent), image.Point{64, 36}, 200)
}

func TestAnFFmpegThatHangsOrFailsCostsOnePicture(t *testing.T) {
	t.Parallel()
	for want, run := range map[string]func(context.Context, process.Spec, io.Writer) (process.Result, error){
		"deadline": func(ctx context.Context, _ process.Spec, _ io.Writer) (process.Result, error) {
			<-ctx.Done()
			return process.Result{}, context.Cause(ctx)
		},
		"cannot be started": func(context.Context, process.Spec, io.Writer) (process.Result, error) {
			return process.Result{}, errors.New("it cannot be started")
		},
		"patches welcome": func(_ context.Context, _ process.Spec, output io.Writer) (process.Result, error) {
			for range 10000 {
				if _, err := io.WriteString(output, "patches welcome\n"); err != nil {
					return process.Result{}, err
				}
			}
			return process.Result{ExitCode: 1, Reason: "exit code 1"}, nil
		},
		"no such file": func(context.Context, process.Spec, io.Writer) (process.Result, error) {
			return process.Result{}, nil // and no picture
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			u := setup(t, converting(nil), func(u *uploader) {
				u.Run = run
				if want == "deadline" {
					u.TimeLimit = 20 * time.Millisecond
				}
			})
			u.Offer(u.save("0001.exr", []byte("v/1\x01")))
			if line := await(t, u.logged); !strings.Contains(line, want) || !strings.Contains(line, "level=DEBUG") || len(line) > 8<<10 {
				t.Errorf("%.300s; want %q", line, want)
			}
			u.Offer(u.save("0002.png", pngOf(grey(8, 8, 8))))
			await(t, u.sent)
		})
	}
}
