// SPDX-License-Identifier: GPL-3.0-or-later

// Package blob says what a place for files is: names and bytes, wherever they are kept. It must not know what the files
// are for; blob/file keeps them in a folder, blob/s3 in a bucket, and blob/blobtest is the suite that every kind of place
// passes.
package blob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
)

// Info describes a stored file.
type Info struct {
	Name     string
	Size     int64 // bytes
	Modified time.Time
}

// Store keeps files by name. A name is a relative path with slashes, as fs.ValidPath has it, without hidden parts; others are
// errors of farm.CodeInvalid. What is not there is farm.ErrNotExist; a place that is full or fails is farm.CodeStorage.
type Store interface {
	// Put stores what body gives until its end: whole, durably and in place of what was there, or not at all.
	Put(ctx context.Context, name string, body io.Reader) (Info, error)
	// Create is Put for a name that is free. If it is not, that is ErrExist and nothing changes; of several at once, one
	// succeeds. Where a connection broke in between, what is there already may be this call's own.
	Create(ctx context.Context, name string, body io.Reader) (Info, error)
	// Get reads length bytes from offset on, fewer at the end of the file; a negative length reads to the end.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, Info, error)
	Stat(ctx context.Context, name string) (Info, error)
	// Delete removes files. One that is not there is no error.
	Delete(ctx context.Context, names ...string) error
	// List gives every file below the folder prefix, in the order of names; "" is everything.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
}

// ErrExist is what Create answers when there is a file of that name.
var ErrExist = errors.New("there is a file of that name already")

// deleteAtOnce is how many names DeleteAll hands on at a time: what S3 takes in one request.
const deleteAtOnce = 1000

// DeleteAll removes every file below the folder prefix. What is stored meanwhile may stay.
func DeleteAll(ctx context.Context, s Store, prefix string) error {
	names := make([]string, 0, deleteAtOnce)
	for info, err := range s.List(ctx, prefix) {
		if err != nil {
			return err
		}
		names = append(names, info.Name)
		if len(names) == deleteAtOnce {
			if err := s.Delete(ctx, names...); err != nil {
				return err
			}
			names = names[:0]
		}
	}
	if len(names) == 0 {
		return nil
	}
	return s.Delete(ctx, names...)
}

// CheckName is an error unless a file may have this name. Hidden parts are the store's own.
func CheckName(name string) error {
	if !fs.ValidPath(name) || name == "." || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") ||
		strings.ContainsAny(name, "\\\x00") || len(name) > maxName {
		return farm.Errorf(farm.CodeInvalid, "%q is not the name of a file", name)
	}
	return nil
}

// maxName is the longest name in bytes: what S3 allows for a key.
const maxName = 1024
