// SPDX-License-Identifier: GPL-3.0-or-later

package preview

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/tiff"
)

// sent is a picture that reached the Manager.
type sent struct {
	Output
	jpeg []byte
}

// uploader is one that runs, and the Manager of its pictures.
type uploader struct {
	*Uploader
	t       *testing.T
	folder  string
	sent    chan sent
	answers chan error // of the next Sends; none = nil
	logged  chan string
	stop    func()
}

func setup(t *testing.T, change ...func(*uploader)) *uploader {
	t.Helper()
	u := &uploader{t: t, folder: t.TempDir(), sent: make(chan sent, 100), answers: make(chan error, 100), logged: make(chan string, 100)}
	u.Uploader = New(Options{
		Log:        slog.New(slog.NewTextHandler(lines(u.logged), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Home:       t.TempDir(),
		RetryAfter: time.Millisecond,
		FFmpeg:     func() (string, error) { return "", errors.New("there is no FFmpeg") },
		Send: func(_ context.Context, of Output, jpeg []byte) error {
			u.sent <- sent{of, jpeg}
			select {
			case err := <-u.answers:
				return err
			default:
				return nil
			}
		},
	})
	for _, c := range change {
		c(u)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	u.stop = func() {
		cancel()
		<-ended
	}
	go func() {
		defer close(ended)
		u.Serve(ctx)
	}()
	t.Cleanup(u.stop)
	return u
}

type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(3 * time.Minute):
		t.Fatal("waited in vain")
		panic("unreachable")
	}
}

// save writes a file for the task to have saved.
func (u *uploader) save(name string, data []byte) Output {
	u.t.Helper()
	path := filepath.Join(u.folder, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		u.t.Fatal(err)
	}
	return Output{TaskID: "task", Assignment: "assignment", Path: path}
}

// grey is a picture of one colour.
func grey(w, h int, y uint8) image.Image {
	m := image.NewGray(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Rect, image.NewUniform(color.Gray{Y: y}), image.Point{}, draw.Src)
	return m
}

func encoded(encode func(*bytes.Buffer) error) []byte {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func pngOf(m image.Image) []byte {
	return encoded(func(b *bytes.Buffer) error { return png.Encode(b, m) })
}

func jpegOf(m image.Image) []byte {
	return encoded(func(b *bytes.Buffer) error { return jpeg.Encode(b, m, nil) })
}

// wantGrey checks that a sent picture is a JPEG of this size and colour.
func wantGrey(t *testing.T, s sent, size image.Point, want uint8) {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(s.jpeg))
	if err != nil {
		t.Errorf("%s: %v", s.Path, err)
		return
	}
	y := color.GrayModel.Convert(m.At(size.X/2, size.Y/2)).(color.Gray).Y
	if m.Bounds().Size() != size || max(y, want)-min(y, want) > 3 {
		t.Errorf("%s: %v of grey %d, want %v of %d", s.Path, m.Bounds(), y, size, want)
	}
}

func TestImagesBecomeJPEGsThatAreNotTooLarge(t *testing.T) {
	t.Parallel()
	u := setup(t)
	webp, err := os.ReadFile("../../picture/testdata/lossy.webp")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data []byte
		size image.Point
		grey uint8
	}{
		{"a.png", pngOf(grey(64, 36, 100)), image.Point{64, 36}, 100},
		{"it's wide.PNG", pngOf(grey(1940, 40, 50)), image.Point{1920, 40}, 50},
		{"a.jpg", jpegOf(grey(64, 36, 110)), image.Point{64, 36}, 110},
		{"a.jpeg", jpegOf(grey(40, 1200, 110)), image.Point{36, 1080}, 110},
		{"a.tif", encoded(func(b *bytes.Buffer) error { return tiff.Encode(b, grey(64, 36, 120), nil) }), image.Point{64, 36}, 120},
		{"a.webp", webp, image.Point{64, 36}, 146},
		{"a lie.png", jpegOf(grey(64, 36, 130)), image.Point{64, 36}, 130},
	} {
		o := u.save(c.name, c.data)
		u.Offer(o)
		got := await(t, u.sent)
		if got.Output != o {
			t.Errorf("sent as %+v, want %+v", got.Output, o)
		}
		wantGrey(t, got, c.size, c.grey)
	}
}

func TestWhatIsNoImageIsPassedOver(t *testing.T) {
	t.Parallel()
	u := setup(t)
	whole := pngOf(grey(64, 64, 100))
	large := u.save("large.png", nil)
	if err := os.Truncate(large.Path, maxFile+1); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Output{
		u.save("half.png", whole[:len(whole)/2]), u.save("empty.png", nil), u.save("text.png", []byte("text")), u.save("video.mkv", nil), u.save("a.exr", nil),
		large,
		{Path: filepath.Join(u.folder, "missing.png")},
		{Path: u.folder},
		{Path: u.folder + ".png"},
		{Path: ""},
		{Path: "\x00.png"},
	} {
		u.Offer(o)
		if line := await(t, u.logged); !strings.Contains(line, "level=DEBUG") {
			t.Errorf("%s: %s", o.Path, line)
		}
	}
	u.Offer(u.save("whole.png", whole))
	if got := await(t, u.sent); filepath.Base(got.Path) != "whole.png" {
		t.Errorf("sent %s", got.Path)
	}
}

// blocked makes the uploader wait in Send until release is called.
func blocked(u *uploader) (release func()) {
	let := make(chan struct{})
	send := u.Send
	u.Send = func(ctx context.Context, of Output, jpeg []byte) error {
		err := send(ctx, of, jpeg)
		select {
		case <-let:
			return err
		case <-ctx.Done():
			u.logged <- "canceled: " + context.Cause(ctx).Error()
			return context.Cause(ctx)
		}
	}
	return func() { close(let) }
}

func TestOnlyTheNewestOfTheImagesThatComeMeanwhileIsSent(t *testing.T) {
	t.Parallel()
	var release func()
	u := setup(t, func(u *uploader) { release = blocked(u) })
	for _, name := range []string{"1.png", "2.png", "3.png", "4.png"} {
		u.Offer(u.save(name, pngOf(grey(8, 8, 8))))
		if name == "1.png" {
			await(t, u.sent)
		}
	}
	u.Offer(u.save("frames.mp4", nil)) // does not count
	release()
	if got := await(t, u.sent); filepath.Base(got.Path) != "4.png" {
		t.Errorf("sent %s", got.Path)
	}
	u.stop()
	if len(u.sent) != 0 {
		t.Errorf("also sent %s", (<-u.sent).Path)
	}
}

func TestAStoppedTaskTakesItsPicturesWithIt(t *testing.T) {
	t.Parallel()
	var release func()
	u := setup(t, func(u *uploader) { release = blocked(u) })
	u.Offer(u.save("1.png", pngOf(grey(8, 8, 8))))
	await(t, u.sent)
	u.Offer(u.save("2.png", pngOf(grey(8, 8, 8))))
	u.Drop("another")
	u.Drop("assignment")
	if line := await(t, u.logged); !strings.Contains(line, errStopped.Error()) {
		t.Error(line)
	}
	release()
	next := u.save("3.png", pngOf(grey(8, 8, 8)))
	next.Assignment = "next"
	u.Offer(next)
	if got := await(t, u.sent); got.Output != next {
		t.Errorf("sent %s", got.Path)
	}
}

func TestSendingEndsWithTheWorker(t *testing.T) {
	t.Parallel()
	u := setup(t, func(u *uploader) { blocked(u) })
	u.Offer(u.save("1.png", pngOf(grey(8, 8, 8))))
	await(t, u.sent)
	u.stop()
	if line := await(t, u.logged); !strings.Contains(line, "canceled") {
		t.Error(line)
	}
}

func TestOnlyWhatMayGoBetterIsSentOnceMore(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		answers []error
		sent    int
		level   string
	}{
		"taken":            {nil, 1, ""},
		"refused":          {[]error{refused}, 1, "WARN"},
		"then taken":       {[]error{ErrLater}, 2, ""},
		"then not":         {[]error{ErrLater, ErrLater}, 2, "WARN"},
		"refused the next": {[]error{ErrLater, refused}, 2, "WARN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := setup(t)
			for _, err := range c.answers {
				u.answers <- err
			}
			u.Offer(u.save("1.png", pngOf(grey(8, 8, 8))))
			for range c.sent {
				await(t, u.sent)
			}
			if c.level != "" {
				if line := await(t, u.logged); !strings.Contains(line, "level="+c.level) {
					t.Error(line)
				}
			}
			u.Offer(u.save("2.png", pngOf(grey(8, 8, 8))))
			if got := await(t, u.sent); filepath.Base(got.Path) != "2.png" {
				t.Errorf("%s was sent again", got.Path)
			}
		})
	}
}

func TestANewerImageGoesBeforeASecondTry(t *testing.T) {
	t.Parallel()
	u := setup(t, func(u *uploader) {
		send := u.Send
		u.Send = func(ctx context.Context, of Output, jpeg []byte) error {
			if filepath.Base(of.Path) == "1.png" {
				u.Offer(u.save("2.png", pngOf(grey(8, 8, 8))))
			}
			return send(ctx, of, jpeg)
		}
	})
	u.answers <- ErrLater
	u.Offer(u.save("1.png", pngOf(grey(8, 8, 8))))
	for _, want := range []string{"1.png", "2.png"} {
		if got := await(t, u.sent); filepath.Base(got.Path) != want {
			t.Errorf("sent %s, want %s", got.Path, want)
		}
	}
}

func TestADefectCostsOnePicture(t *testing.T) {
	t.Parallel()
	u := setup(t, func(u *uploader) {
		send := u.Send
		u.Send = func(ctx context.Context, of Output, jpeg []byte) error {
			if filepath.Base(of.Path) == "1.png" {
				panic("defect")
			}
			return send(ctx, of, jpeg)
		}
	})
	u.Offer(u.save("1.png", pngOf(grey(8, 8, 8))))
	if line := await(t, u.logged); !strings.Contains(line, "level=ERROR") {
		t.Error(line)
	}
	u.Offer(u.save("2.png", pngOf(grey(8, 8, 8))))
	await(t, u.sent)
}
