// SPDX-License-Identifier: GPL-3.0-or-later

// Package preview owns the pictures of what was rendered last: it takes what Workers send, makes three sizes of it in a
// child process, keeps those among the job's files and knows which job has the newest. It must not know HTTP nor who may
// send pictures.
package preview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"path"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/picture"
	"flamenco.farm/internal/store"
)

// MaxSize is the most that a picture may be long as it is sent, in bytes.
const MaxSize = 25 << 20

// address is the path on the Manager below which the files of jobs are served.
const address = "/job-files"

// size is a picture that is kept.
type size struct {
	name string
	fits image.Point
}

// sizes are what is kept of a picture, each made from the one before.
func sizes() []size {
	return []size{
		{"last-rendered.jpg", image.Point{1920, 1080}},
		{"last-rendered-small.jpg", image.Point{600, 338}},
		{"last-rendered-tiny.jpg", image.Point{200, 112}},
	}
}

// Options is what the service is built on. All fields are needed unless they say otherwise.
type Options struct {
	Log   *slog.Logger
	Store *store.Store
	Files blob.Store
	// Folder is where the files of a job are in Files.
	Folder func(jobID string) string
	// Executable is the program that makes the sizes when started with ConvertArg, "" = the running one.
	Executable string
	// TimeLimit is how long it may take for one picture; 0 = a minute.
	TimeLimit time.Duration
	// OnStored hears of each picture once it can be fetched; nil = nobody wants to know. It must not block.
	OnStored func(jobID string, info Info)
}

// Info says where a picture is: an address is the base, a slash and one of the suffixes.
type Info struct {
	Base     string   // a path on the Manager, always the same for a job
	Suffixes []string // names of files, from large to small
}

// Service takes pictures and keeps the newest of each job.
type Service struct {
	Options
	queue *queue
}

// New makes the service; Run does its work.
func New(opts Options) *Service {
	if opts.TimeLimit == 0 {
		opts.TimeLimit = time.Minute
	}
	return &Service{Options: opts, queue: newQueue()}
}

// Take reads a picture of so many bytes and queues it. One of the same job that still waits makes room for it. A full queue is
// farm.CodeFull; a body that ends too early or fails is the error of its Read.
func (s *Service) Take(jobID string, body io.Reader, length int64) error {
	if length < 1 || length > MaxSize {
		return farm.Errorf(farm.CodeTooLarge, "a picture must have 1 to %d bytes, not %d", MaxSize, length)
	}
	place, err := s.queue.reserve(jobID)
	if err != nil {
		return err
	}
	defer place.release()
	data := make([]byte, length)
	if _, err := io.ReadFull(body, data); err != nil {
		return fmt.Errorf("reading a picture: %w", err)
	}
	return place.put(data)
}

// Run works off the queue until ctx ends. What waits then is forgotten: the next picture will do as well.
func (s *Service) Run(ctx context.Context) error {
	for {
		next, err := s.queue.next(ctx)
		if err != nil {
			return err
		}
		if err := s.handle(ctx, next); err != nil && ctx.Err() == nil {
			s.logFailure(next.jobID, err)
		}
	}
}

func (s *Service) logFailure(jobID string, err error) {
	level := slog.LevelError
	if errors.Is(err, errUndecodable) {
		level = slog.LevelWarn // the sender's fault
	}
	s.Log.Log(context.Background(), level, "a rendered picture cannot be shown", "job", jobID, "error", err)
}

// handle makes the sizes of a picture, stores them and says so. The largest goes first: if the disk is full, that one fails,
// and the older pictures stay as they were. Each replaces its predecessor whole; that there is a picture is noted and
// told only when all three are there.
func (s *Service) handle(ctx context.Context, w waiting) error {
	made, err := s.convert(ctx, w.data)
	if err != nil {
		return err
	}
	folder := s.Folder(w.jobID)
	for i, size := range sizes() {
		if _, err := s.Files.Put(ctx, path.Join(folder, size.name), bytes.NewReader(made[i])); err != nil {
			return fmt.Errorf("storing a picture: %w", err)
		}
	}
	err = s.Store.Do(ctx, func(tx *store.Tx) error { return tx.SetLastRendered(w.jobID) })
	if farm.IsNotExist(err) {
		return s.erase(ctx, folder) // the job was deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("noting a picture: %w", err)
	}
	if s.OnStored != nil {
		s.OnStored(w.jobID, s.Of(w.jobID))
	}
	return nil
}

func (s *Service) erase(ctx context.Context, folder string) error {
	var errs []error
	for _, size := range sizes() {
		errs = append(errs, s.Files.Delete(ctx, path.Join(folder, size.name)))
	}
	return errors.Join(errs...)
}

// Of says where the pictures of a job are, whether it has any or not.
func (s *Service) Of(jobID string) Info {
	info := Info{Base: path.Join(address, s.Folder(jobID))}
	for _, size := range sizes() {
		info.Suffixes = append(info.Suffixes, size.name)
	}
	return info
}

// OfJob is the newest picture of a job; farm.ErrNotExist if it has none, or does not exist.
func (s *Service) OfJob(ctx context.Context, jobID string) (Info, error) {
	if _, err := s.Store.RenderedAt(ctx, jobID); err != nil {
		return Info{}, err
	}
	return s.Of(jobID), nil
}

// OfFarm is the newest picture of all; farm.ErrNotExist if there is none.
func (s *Service) OfFarm(ctx context.Context) (Info, error) {
	jobID, err := s.Store.LastRenderedJob(ctx)
	if err != nil {
		return Info{}, err
	}
	return s.Of(jobID), nil
}

// makeSizes is what the child process does with a picture.
func makeSizes(ctx context.Context, data []byte) ([][]byte, error) {
	decoded, err := picture.Decode(ctx, data, decodeMemory)
	if err != nil {
		return nil, err
	}
	var made [][]byte
	for _, size := range sizes() {
		fitted := picture.Fit(decoded, size.fits.X, size.fits.Y)
		var encoded bytes.Buffer
		if err := picture.WriteJPEG(&encoded, fitted); err != nil {
			return nil, err
		}
		made = append(made, encoded.Bytes())
		decoded = fitted
	}
	return made, nil
}
