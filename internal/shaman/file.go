// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
)

// maxFiles is how many files one request may name.
const maxFiles = 100_000

// sumLength is the length of a SHA-256 sum in hexadecimal digits.
const sumLength = 64

// blobSuffix ends the name of a stored file.
const blobSuffix = ".blob"

// touchAge is how old the time of a stored file may be before a question about it renews it.
const touchAge = time.Minute

// Key is what a stored file is known by: the SHA-256 sum of its content in lower case, and its size in bytes.
type Key struct {
	sum  string
	size int64
}

// File is a file of a checkout.
type File struct {
	Key  Key
	Path string // in the checkout, with slashes
}

// NewKey checks sum, which may be in upper case, and size; what is wrong is an error of code farm.CodeInvalid.
func NewKey(sum string, size int64) (Key, error) {
	switch {
	case len(sum) != sumLength || strings.Trim(sum, "0123456789abcdefABCDEF") != "":
		return Key{}, farm.Errorf(farm.CodeInvalid, "%.80q is not a SHA-256 sum: that is %d hexadecimal digits", sum, sumLength)
	case size < 0:
		return Key{}, farm.Errorf(farm.CodeInvalid, "%d is not the size of a file", size)
	}
	return Key{sum: strings.ToLower(sum), size: size}, nil
}

// Sum is the SHA-256 sum of the content, in lower case.
func (k Key) Sum() string { return k.sum }

// Size is the size of the content in bytes.
func (k Key) Size() int64 { return k.size }

// String is the key as a name, such as "0123…ef-4096".
func (k Key) String() string { return k.sum + "-" + strconv.FormatInt(k.size, 10) }

// parseKey is the opposite of String.
func parseKey(name string) (Key, bool) {
	sum, size, _ := strings.Cut(name, "-")
	return keyOf(sum, size)
}

// keyOf makes a key of what names in the store hold, exactly as the store writes it.
func keyOf(sum, size string) (Key, bool) {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return Key{}, false
	}
	k, err := NewKey(sum, n)
	return k, err == nil && k.sum == sum && strconv.FormatInt(n, 10) == size
}

// folder is where files of that sum are in one of the folders of the store.
func (k Key) folder(in string) string { return path.Join(in, k.sum[:2], k.sum[2:]) }

// blob is the name of the stored file.
func (k Key) blob() string {
	return path.Join(k.folder(storedFolder), strconv.FormatInt(k.size, 10)+blobSuffix)
}

// blobKey is the key of a file whose name ends like that of a stored one: stored/ab/cdef…/123.blob. What comes before may
// be anything, so that links made under another mount point are understood.
func blobKey(name string) (Key, bool) {
	parts := strings.Split(name, "/")
	if len(parts) < 4 || parts[len(parts)-4] != storedFolder || len(parts[len(parts)-3]) != 2 {
		return Key{}, false
	}
	parts = parts[len(parts)-3:]
	size, ok := strings.CutSuffix(parts[2], blobSuffix)
	if !ok {
		return Key{}, false
	}
	return keyOf(parts[0]+parts[1], size)
}

// Status is what the store has of a file.
type Status string

// The states of a file.
const (
	Unknown   Status = "unknown"   // nothing
	Uploading Status = "uploading" // somebody is uploading it
	Stored    Status = "stored"    // all of it
)

// Status says what the store has of a file, and keeps a stored one from being collected soon.
func (s *Store) Status(ctx context.Context, k Key) (Status, error) {
	root, err := s.open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	return s.status(ctx, root, k)
}

func (s *Store) status(ctx context.Context, root *os.Root, k Key) (Status, error) {
	switch there, err := s.stored(ctx, root, k); {
	case err != nil:
		return "", err
	case there:
		return Stored, nil
	}
	return unstored(root, k)
}

// stored says whether the store has a file, and keeps that from being collected soon.
func (s *Store) stored(ctx context.Context, root *os.Root, k Key) (bool, error) {
	if s.remote != nil {
		stored, err := s.remote.ask(ctx, []Key{k})
		return stored[k], err
	}
	info, there, err := present(root, k)
	if err != nil {
		return false, storageError(err)
	}
	if there && age(info) > touchAge {
		s.touch(root, k)
	}
	return there, nil
}

// unstored is the status of a file that is not stored.
func unstored(root *os.Root, k Key) (Status, error) {
	live, err := beingUploaded(root, k)
	switch {
	case err != nil:
		return "", storageError(err)
	case live:
		return Uploading, nil
	}
	return Unknown, nil
}

// present says whether the store has a file, and then about it. One that is shorter or longer than it ought to be, after
// a power cut or a full disk, does not count.
func present(root *os.Root, k Key) (info fs.FileInfo, there bool, err error) {
	info, err = root.Lstat(k.blob())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return info, info.Mode().IsRegular() && info.Size() == k.size, nil
}

// touch makes a stored file young. Whoever may not, because another user stored it, leaves it as old as it is: a checkout
// keeps it from being deleted in any case.
func (s *Store) touch(root *os.Root, k Key) {
	now := time.Now()
	if err := root.Chtimes(k.blob(), now, now); err != nil {
		s.log.Debug("Shaman: touching a stored file", "file", k.String(), "error", err)
	}
}
