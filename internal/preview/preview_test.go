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
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/blob/file"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// TestMain lets the test program shrink pictures for itself, as flamenco-manager does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ConvertArg {
		os.Exit(ChildMain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// service is one that runs, with what a test wants to know of it.
type service struct {
	*Service
	t      *testing.T
	folder string
	db     *store.Store
	stored chan string // jobs, as OnStored hears of them
	logged chan string // lines
	stop   func()      // and waits
}

func setup(t *testing.T, change ...func(*Options)) *service {
	t.Helper()
	s := &service{t: t, folder: t.TempDir(), stored: make(chan string, 100), logged: make(chan string, 100)}
	files, err := file.New(s.folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	s.db, _ = storetest.SQLite(t, nil)
	options := Options{
		Log: slog.New(slog.NewTextHandler(lineWriter(s.logged), nil)), Store: s.db, Files: files,
		Folder:   func(jobID string) string { return "jobs/" + jobID },
		OnStored: func(jobID string, _ Info) { s.stored <- jobID },
	}
	for _, c := range change {
		c(&options)
	}
	s.Service = New(options)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(s.stop)
	return s
}

type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// await waits for the next job or log line.
func await(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case text := <-c:
		return text
	case <-time.After(3 * time.Minute):
		t.Fatal("waited in vain")
		return ""
	}
}

// submit makes a job.
func (s *service) submit() (id string) {
	s.t.Helper()
	err := s.db.Do(s.t.Context(), func(tx *store.Tx) (err error) {
		id, err = tx.InsertJob(storetest.NewJob("job", storetest.NewTask("blender")))
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// take hands over a picture whole.
func (s *service) take(jobID string, data []byte) {
	s.t.Helper()
	if err := s.Take(jobID, bytes.NewReader(data), int64(len(data))); err != nil {
		s.t.Fatal(err)
	}
}

// frame is a picture in PNG.
func frame(w, h int, c color.Color) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

var (
	red   = color.NRGBA{R: 200, A: 255}
	green = color.NRGBA{G: 200, A: 255}
)

// colourOf opens a JPEG and names what it shows.
func colourOf(t *testing.T, path string, size image.Point) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return "missing"
	}
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return "broken"
	}
	if m.Bounds().Size() != size {
		t.Errorf("%s is %v, want %v", path, m.Bounds(), size)
	}
	r, g, _, _ := m.At(size.X/2, size.Y/2).RGBA()
	switch {
	case r>>8 > 150 && g>>8 < 50:
		return "red"
	case g>>8 > 150 && r>>8 < 50:
		return "green"
	}
	return "another"
}

func TestAPictureIsKeptInThreeSizesAndTold(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a, b := s.submit(), s.submit()
	if _, err := s.OfFarm(t.Context()); !farm.IsNotExist(err) {
		t.Errorf("before any picture: %v", err)
	}
	for _, c := range []struct {
		job    string
		colour color.Color
		want   string
	}{{a, red, "red"}, {b, red, "red"}, {a, green, "green"}} {
		s.take(c.job, frame(1940, 40, c.colour))
		if got := await(t, s.stored); got != c.job {
			t.Errorf("told of job %s, not %s", got, c.job)
		}
		for name, size := range map[string]image.Point{
			"last-rendered.jpg": {1920, 40}, "last-rendered-small.jpg": {600, 13}, "last-rendered-tiny.jpg": {200, 4},
		} {
			if got := colourOf(t, filepath.Join(s.folder, "jobs", c.job, name), size); got != c.want {
				t.Errorf("%s is %s, want %s", name, got, c.want)
			}
		}
		want := Info{Base: "/job-files/jobs/" + c.job, Suffixes: []string{"last-rendered.jpg", "last-rendered-small.jpg", "last-rendered-tiny.jpg"}}
		ofFarm, err := s.OfFarm(t.Context())
		if diff := cmp.Diff(want, ofFarm); err != nil || diff != "" {
			t.Errorf("of the farm: %v %s", err, diff)
		}
		ofJob, err := s.OfJob(t.Context(), c.job)
		if diff := cmp.Diff(want, ofJob); err != nil || diff != "" {
			t.Errorf("of the job: %v %s", err, diff)
		}
	}
	if _, err := s.OfJob(t.Context(), s.submit()); !farm.IsNotExist(err) {
		t.Errorf("of a job without one: %v", err)
	}
}

func TestThePictureOfAJobThatIsGoneLeavesNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.take("gone", frame(8, 8, red))
	there := s.submit()
	s.take(there, frame(8, 8, red))
	if got := await(t, s.stored); got != there {
		t.Errorf("told of %s", got)
	}
	if left, _ := filepath.Glob(filepath.Join(s.folder, "jobs", "gone", "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestWhatCannotBeDecodedIsLoggedAndTheNextOneIsShown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit()
	whole := frame(100, 100, red)
	for name, data := range map[string][]byte{
		"text": []byte("no picture"), "half": whole[:len(whole)/2], "huge": bytes.Replace(whole, []byte{0, 0, 0, 100, 0, 0, 0, 100}, []byte{0, 1, 0, 0, 0, 1, 0, 0}, 1),
	} {
		s.take(job, data)
		if line := await(t, s.logged); !strings.Contains(line, "level=WARN") || !strings.Contains(line, job) {
			t.Errorf("%s: %s", name, line)
		}
	}
	s.take(job, whole)
	await(t, s.stored)
}

func TestAFullDiskLeavesThePicturesAsTheyWere(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit()
	s.take(job, frame(8, 8, red))
	await(t, s.stored)
	if err := os.RemoveAll(filepath.Join(s.folder, ".partial")); err != nil { // no file can be begun
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.folder, ".partial"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.take(job, frame(8, 8, green))
	if line := await(t, s.logged); !strings.Contains(line, "level=ERROR") {
		t.Error(line)
	}
	for _, size := range sizes() {
		if got := colourOf(t, filepath.Join(s.folder, "jobs", job, size.name), image.Point{8, 8}); got != "red" {
			t.Errorf("%s is %s", size.name, got)
		}
	}
}
