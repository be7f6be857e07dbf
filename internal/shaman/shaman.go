// SPDX-License-Identifier: GPL-3.0-or-later

// Package shaman owns the uploaded files of jobs: a store in which a file's name is the sum and size of its content, and
// checkouts, which are folders of links to stored files.
//
// All of its state is files and folders, as Flamenco 3 lays them out; with a blob.Store the files are objects there, and
// the folders hold what checkouts need of them. Several processes may use one storage at the same
// time (a Manager, a collection of garbage that is its child, another Manager), so nothing rests on a lock in memory:
// what has to be exclusive or whole is one rename.
//
// It must not know about jobs and tasks, nor how requests come in.
package shaman

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/volume"
)

// The folders of the shared storage.
const (
	storeFolder = "file-store"
	jobsFolder  = "jobs"
)

// The folders of the store.
const (
	storedFolder     = "stored"     // whole files
	uploadingFolder  = "uploading"  // files that are being uploaded
	collectingFolder = "collecting" // files that a collection of garbage is about to delete
)

// leftoverAge is when what an upload or checkout has begun is taken for the remains of a crash. It is far longer than
// either can take, because the process that works on it may be another one.
const leftoverAge = 24 * time.Hour

// firstCollection is how long after the start the first scheduled collection comes.
const firstCollection = 30 * time.Second

// Modes of what is made; the umask of the Manager takes from it. Workers and artists may be other users.
const (
	folderMode fs.FileMode = 0o777
	fileMode   fs.FileMode = 0o666
)

// Options is what a Store is made of.
type Options struct {
	SharedStorage string // the folder that Manager, Workers and artists all see
	Log           *slog.Logger
	// Blobs is where uploaded files are kept, for any number of Managers; the shared storage then has copies of those that
	// checkouts link to. nil = the shared storage is where they are kept.
	Blobs blob.Store

	// MaxAge is how long an unused file is kept; it counts for scheduled collections.
	MaxAge time.Duration
	// Period is the time from one scheduled collection to the next, 0 = there is none.
	Period time.Duration
	// Collect is what a scheduled collection runs, nil = the Store's own Collect.
	Collect func(ctx context.Context) error
}

// Store is the uploaded files below one shared storage. It may be used from many goroutines.
type Store struct {
	log     *slog.Logger
	remote  *remote // nil = files are kept in the shared storage only
	period  time.Duration
	collect func(ctx context.Context) error

	shared string // all links resolved
	store  string
	jobs   string
	links  string // from the jobs folder to the store, with slashes, for links that work under any mount point

	ways  ways                        // how a file gets into a checkout
	free  func(string) (int64, error) // bytes left on the disk of a folder, < 0 = nobody knows
	chars func() string               // what makes a taken name unique
}

// New makes the folders that are missing; it opens and starts nothing.
func New(opts Options) (*Store, error) {
	shared, err := filepath.EvalSymlinks(opts.SharedStorage)
	if err != nil {
		return nil, fmt.Errorf("shaman: the shared storage: %w", err)
	}
	s := &Store{
		log: opts.Log, period: opts.Period, collect: opts.Collect,
		shared: shared, store: filepath.Join(shared, storeFolder),
		ways: allWays(), free: volume.Free, chars: randomChars,
	}
	if opts.Blobs != nil {
		s.remote = &remote{blobs: opts.Blobs, maxAge: opts.MaxAge}
	}
	for _, folder := range []string{filepath.Join(s.store, storedFolder), filepath.Join(s.store, uploadingFolder), filepath.Join(shared, jobsFolder)} {
		if err := os.MkdirAll(folder, folderMode); err != nil {
			return nil, fmt.Errorf("shaman: %w", err)
		}
	}
	if s.jobs, err = filepath.EvalSymlinks(filepath.Join(shared, jobsFolder)); err != nil {
		return nil, fmt.Errorf("shaman: %w", err)
	}
	// A jobs folder that is itself a link is left by ".." to somewhere else.
	if s.links, err = filepath.Rel(s.jobs, s.store); err != nil {
		return nil, fmt.Errorf("shaman: %s and %s have to be on one drive: %w", s.jobs, s.store, err)
	}
	s.links = filepath.ToSlash(s.links)
	if s.collect == nil {
		s.collect = func(ctx context.Context) error {
			report, err := s.Collect(ctx, CollectOptions{MaxAge: opts.MaxAge})
			s.log.Info("Shaman: garbage collected", "files", report.Files, "deleted", report.Deleted, "bytes", report.DeletedBytes, "failed", report.Failed)
			return err
		}
	}
	return s, nil
}

// JobsFolder is the folder that holds the checkouts in a shared storage.
func JobsFolder(sharedStorage string) string { return filepath.Join(sharedStorage, jobsFolder) }

// Run cleans up after a crash, and collects garbage 30 s after its start and then each period, until ctx ends.
// No failure ends it: the farm renders on without it.
func (s *Store) Run(ctx context.Context) error {
	if err := errors.Join(s.Recover(), s.tidy(ctx)); err != nil && ctx.Err() == nil {
		s.log.Warn("Shaman: cleaning up what a crash left", "error", err)
	}
	if s.period == 0 {
		return nil
	}
	timer := time.NewTimer(firstCollection)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if err := s.collect(ctx); err != nil && ctx.Err() == nil {
			// The collection may be a process that was killed.
			s.log.Error("Shaman: the collection of garbage failed", "error", errors.Join(err, s.Recover()))
		}
		timer.Reset(s.period)
	}
}

// open opens the store. Each request does, so that a storage that was unmounted and came back is found again.
func (s *Store) open() (*os.Root, error) { return openRoot(s.store) }

// openJobs opens the folder of the checkouts.
func (s *Store) openJobs() (*os.Root, error) { return openRoot(s.jobs) }

func openRoot(folder string) (*os.Root, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, storageError(err)
	}
	return root, nil
}

// storageError is the failure of the storage as a user may see it.
func storageError(err error) error {
	message := "the shared storage fails; the Manager's log says why"
	if isFull(err) {
		message = "the shared storage is full, or its quota is used up"
	}
	return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "%s", message), err)
}

// readDir is what a folder holds, nothing if it is not there.
func readDir(root *os.Root, name string) ([]fs.DirEntry, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if errors.Is(err, fs.ErrNotExist) { // removed since
		return nil, nil
	}
	return entries, err
}

// age is how long ago something was changed.
func age(info fs.FileInfo) time.Duration { return time.Since(info.ModTime()) }

// inside reports whether path is folder or below it; both are clean.
func inside(path, folder string) bool {
	rest, ok := strings.CutPrefix(path, folder)
	return ok && (rest == "" || rest[0] == filepath.Separator)
}
