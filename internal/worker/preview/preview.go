// SPDX-License-Identifier: GPL-3.0-or-later

// Package preview owns what becomes of an image that a task has saved: the newest is made a small JPEG and sent to the Manager.
// Nothing waits for it and nothing fails with it. It must not know tasks, nor how a picture travels.
package preview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"flamenco.farm/internal/picture"
	"flamenco.farm/internal/worker/process"
)

// What a picture may cost on a machine that has something better to do.
const (
	maxFile   = 256 << 20 // bytes of an image file
	maxMemory = 400 << 20 // bytes while it is decoded: a PNG of 50 million pixels of 16 bits, or of 100 million of 8
	maxRest   = 10 * time.Second
	restFor   = 4 // times as long as the last picture took
)

// fits is the size of what is sent: Managers show nothing larger.
var fits = image.Point{1920, 1080}

// ErrLater is the error of a Send that may go better in a moment.
var ErrLater = errors.New("later")

// Output is an image that a task has saved.
type Output struct {
	TaskID     string
	Assignment string
	Session    string
	Path       string
}

// Options is what an Uploader works with. All but the last three are needed.
type Options struct {
	Log    *slog.Logger
	Home   string                                                                 // folder of the Worker
	Send   func(ctx context.Context, of Output, jpeg []byte) error                // brings a picture to the Manager
	FFmpeg func() (path string, err error)                                        // finds the program that reads OpenEXR
	Run    func(context.Context, process.Spec, io.Writer) (process.Result, error) // nil = process.Run

	TimeLimit  time.Duration // of FFmpeg; 0 = 20 s
	RetryAfter time.Duration // after ErrLater; 0 = 2 s
}

// Uploader makes and sends one picture at a time. Last in, one out: of those that come meanwhile only the newest is kept.
type Uploader struct {
	Options
	mu      sync.Mutex
	waiting *Output
	current *Output
	giveUp  context.CancelCauseFunc // of current
	offered chan struct{}
}

// New makes an Uploader; Run does its work.
func New(opts Options) *Uploader {
	if opts.Run == nil {
		opts.Run = process.Run
	}
	if opts.TimeLimit == 0 {
		opts.TimeLimit = 20 * time.Second
	}
	if opts.RetryAfter == 0 {
		opts.RetryAfter = 2 * time.Second
	}
	return &Uploader{Options: opts, offered: make(chan struct{}, 1)}
}

// Why a picture is given up.
var (
	errStopped = errors.New("its task was stopped")
	errBetter  = errors.New("the program has saved a JPEG of it")
)

// Offer names an image that is complete on disk. It returns at once. Files that are no pictures by their names are passed over.
func (u *Uploader) Offer(o Output) {
	if kindOf(o.Path) == other {
		u.Log.Debug("not an image that can be shown", "path", o.Path)
		return
	}
	u.mu.Lock()
	u.waiting = &o
	if u.current != nil && kindOf(u.current.Path) == exr && beside(u.current.Path) == o.Path {
		u.giveUp(errBetter)
	}
	u.mu.Unlock()
	select {
	case u.offered <- struct{}{}:
	default:
	}
}

// Drop forgets the pictures of an assignment, also one that is being sent.
func (u *Uploader) Drop(assignment string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.waiting != nil && u.waiting.Assignment == assignment {
		u.waiting = nil
	}
	if u.current != nil && u.current.Assignment == assignment {
		u.giveUp(errStopped)
	}
}

// Serve makes and sends pictures until ctx ends. Nothing of it goes on after that.
func (u *Uploader) Serve(ctx context.Context) {
	for {
		select {
		case <-u.offered:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		if err := u.one(ctx); err != nil && ctx.Err() == nil {
			u.Log.Debug("no picture was sent", "reason", err)
		}
		// A render that saves many small images should not lose more than a part of one processor to them.
		if pause(ctx, min(maxRest, restFor*time.Since(began))) != nil {
			return
		}
	}
}

// one handles the image that waits, if there is one.
func (u *Uploader) one(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u.mu.Lock()
	o := u.waiting
	u.waiting, u.current, u.giveUp = nil, o, cancel
	u.mu.Unlock()
	if o == nil {
		return nil
	}
	defer func() {
		u.mu.Lock()
		u.current, u.giveUp = nil, nil
		u.mu.Unlock()
		if p := recover(); p != nil {
			u.Log.Error("a picture met a defect", "path", o.Path, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	jpeg, err := u.make(ctx, *o)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.Path, err)
	}
	if err := u.send(ctx, *o, jpeg); err != nil && ctx.Err() == nil {
		u.Log.Warn("the picture of a task could not be sent", "task", o.TaskID, "path", o.Path, "error", err)
	}
	return nil
}

// send tries once more when it may help and nothing newer has come.
func (u *Uploader) send(ctx context.Context, o Output, jpeg []byte) error {
	err := u.Send(ctx, o, jpeg)
	if !errors.Is(err, ErrLater) {
		return err
	}
	if err := pause(ctx, u.RetryAfter); err != nil {
		return err
	}
	u.mu.Lock()
	newer := u.waiting != nil
	u.mu.Unlock()
	if newer {
		return nil
	}
	return u.Send(ctx, o, jpeg)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kind is what can be done with a file.
type kind int

const (
	other kind = iota
	plain      // package picture reads it
	exr        // FFmpeg does
)

func kindOf(path string) kind {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp":
		return plain
	case ".exr":
		return exr
	}
	return other
}

// make turns an image into the JPEG that is sent.
func (u *Uploader) make(ctx context.Context, o Output) ([]byte, error) {
	if kindOf(o.Path) == exr {
		return u.makeFromEXR(ctx, o)
	}
	return shrink(ctx, o.Path)
}

func shrink(ctx context.Context, path string) ([]byte, error) {
	defer debug.FreeOSMemory() // the render beside us may need it
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	decoded, err := picture.Decode(ctx, data, maxMemory)
	if err != nil {
		return nil, err
	}
	var jpeg bytes.Buffer
	if err := picture.WriteJPEG(&jpeg, picture.Fit(decoded, fits.X, fits.Y)); err != nil {
		return nil, err
	}
	return jpeg.Bytes(), nil
}

// read reads an image file. The path is what a program printed: it may be anything.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // to open a named pipe would wait for its writer for ever
		return nil, errors.New("not a regular file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%d bytes are more than %d", info.Size(), maxFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data := make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // it was made shorter: the decoder tells
		return nil, err
	}
	return data[:n], nil
}
