// SPDX-License-Identifier: GPL-3.0-or-later

// Package file keeps blobs as files below a folder, which no name leaves, neither by ".." nor by a link. It must not know
// what the files are for.
package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

// partial is the folder of files that are being written; it is on the same file system, so that a rename stores them.
const partial = ".partial"

// Store is a folder of blobs.
type Store struct {
	root *os.Root
}

var _ blob.Store = (*Store)(nil)

// New opens the folder, which it makes if it is missing. Close frees it.
func New(folder string) (*Store, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, fmt.Errorf("blob: making the folder: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("blob: opening the folder: %w", err)
	}
	return &Store{root: root}, nil
}

// Close frees the folder; nothing may be called after it.
func (s *Store) Close() error { return s.root.Close() }

// Put implements blob.Store: it writes a temporary file, syncs it and renames it.
func (s *Store) Put(ctx context.Context, name string, body io.Reader) (blob.Info, error) {
	return s.store(ctx, name, body, s.root.Rename)
}

// Create implements blob.Store: a second name for the temporary file succeeds only if it is free.
func (s *Store) Create(ctx context.Context, name string, body io.Reader) (blob.Info, error) {
	return s.store(ctx, name, body, func(temporary, name string) error {
		err := s.root.Link(temporary, name)
		if info, look := s.root.Lstat(name); errors.Is(err, fs.ErrExist) && look == nil && info.Mode().IsRegular() {
			return fmt.Errorf("blob: %s: %w", name, blob.ErrExist)
		}
		if err == nil {
			_ = s.root.Remove(temporary) // else Sweep finds it
		}
		return err
	})
}

// store writes a temporary file and lets give make it the stored one.
func (s *Store) store(ctx context.Context, name string, body io.Reader, give func(temporary, name string) error) (blob.Info, error) {
	if err := blob.CheckName(name); err != nil {
		return blob.Info{}, err
	}
	temporary := path.Join(partial, rand.Text())
	info, err := s.put(ctx, temporary, name, body, give)
	if err != nil {
		_ = s.root.Remove(temporary) // it may not exist yet, and Sweep finds what is left
		return blob.Info{}, wrap("storing", name, err)
	}
	return info, nil
}

func (s *Store) put(ctx context.Context, temporary, name string, body io.Reader, give func(temporary, name string) error) (blob.Info, error) {
	if err := s.root.MkdirAll(partial, 0o750); err != nil {
		return blob.Info{}, err
	}
	if err := s.write(ctx, temporary, body); err != nil {
		return blob.Info{}, err
	}
	written, err := s.root.Stat(temporary)
	if err != nil {
		return blob.Info{}, err
	}
	if err := s.place(temporary, name, give); err != nil {
		return blob.Info{}, err
	}
	if err := s.syncFolder(path.Dir(name)); err != nil && !isMissing(err) { // it was deleted again
		return blob.Info{}, err
	}
	return describe(name, written), nil
}

// place gives a written file its name. A folder that Delete finds empty just then is made again.
func (s *Store) place(temporary, name string, give func(temporary, name string) error) error {
	var err error
	for range 100 {
		if err = s.root.MkdirAll(path.Dir(name), 0o750); err == nil {
			err = give(temporary, name)
		}
		if !isMissing(err) && !errors.Is(err, fs.ErrExist) { // either is what MkdirAll says of a folder that goes meanwhile
			break
		}
	}
	return err
}

func (s *Store) write(ctx context.Context, name string, body io.Reader) error {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, reader{ctx, body}); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// reader ends with its context.
type reader struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no place for it
	body io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.body.Read(p)
}

// syncFolder makes a rename survive a power cut. Windows cannot sync a folder and needs no such thing.
func (s *Store) syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := s.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Get implements blob.Store.
func (s *Store) Get(_ context.Context, name string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	info, err := s.stat(name)
	if err != nil {
		return nil, blob.Info{}, err
	}
	if offset < 0 {
		return nil, blob.Info{}, farm.Errorf(farm.CodeInvalid, "the offset %d is before the file", offset)
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, blob.Info{}, wrap("reading", name, err)
	}
	if length < 0 || length > info.Size {
		length = info.Size // of the section, which ends with the file in any case
	}
	return section{io.NewSectionReader(f, offset, length), f}, info, nil
}

// section is a part of a file that is open for it.
type section struct {
	io.Reader
	io.Closer
}

// Stat implements blob.Store.
func (s *Store) Stat(_ context.Context, name string) (blob.Info, error) { return s.stat(name) }

func (s *Store) stat(name string) (blob.Info, error) {
	if err := blob.CheckName(name); err != nil {
		return blob.Info{}, err
	}
	info, err := s.root.Stat(name)
	switch {
	case err != nil:
		return blob.Info{}, wrap("reading", name, err)
	case !info.Mode().IsRegular(): // to open a named pipe would wait for its writer for ever
		return blob.Info{}, fmt.Errorf("blob: %s: %w", name, farm.ErrNotExist)
	}
	return describe(name, info), nil
}

// Delete implements blob.Store. Folders that it leaves empty go too.
func (s *Store) Delete(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := s.delete(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) delete(name string) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	if err := s.root.Remove(name); err != nil && !isMissing(err) {
		return wrap("deleting", name, err)
	}
	for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
		if s.root.Remove(folder) != nil { // not empty
			return nil
		}
	}
	return nil
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if prefix == "" {
			prefix = "."
		} else if err := blob.CheckName(prefix); err != nil {
			yield(blob.Info{}, err)
			return
		}
		_, err := s.list(ctx, prefix, yield)
		if err != nil {
			yield(blob.Info{}, wrap("listing", prefix, err))
		}
	}
}

// list walks a folder; goOn is false when the caller wants no more.
func (s *Store) list(ctx context.Context, folder string, yield func(blob.Info, error) bool) (goOn bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, context.Cause(ctx)
	}
	entries, err := fs.ReadDir(s.root.FS(), folder)
	if isMissing(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortKey(a), sortKey(b)) })
	for _, e := range entries {
		if blob.CheckName(e.Name()) != nil {
			continue
		}
		name := path.Join(folder, e.Name())
		if e.IsDir() {
			if goOn, err := s.list(ctx, name, yield); err != nil || !goOn {
				return goOn, err
			}
			continue
		}
		info, err := s.root.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue // gone since, a link that leads nowhere or outside, or no file
		}
		if !yield(describe(name, info), nil) {
			return false, nil
		}
	}
	return true, nil
}

// sortKey puts the files of a folder where their whole names belong among those of its neighbours.
func sortKey(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

// Sweep removes what writers that were killed have left, if nobody has written to it for this long.
func (s *Store) Sweep(ctx context.Context, age time.Duration) error {
	entries, err := fs.ReadDir(s.root.FS(), partial)
	if err != nil && !isMissing(err) {
		return wrap("sweeping", partial, err)
	}
	var errs []error
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < age {
			continue
		}
		if err := s.root.Remove(path.Join(partial, e.Name())); err != nil && !isMissing(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func describe(name string, info fs.FileInfo) blob.Info {
	return blob.Info{Name: name, Size: info.Size(), Modified: info.ModTime()}
}

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
