// SPDX-License-Identifier: GPL-3.0-or-later

// Package blob says what a place for files is: names and bytes, wherever they are kept. It must not know what the files
// are for; blob/file keeps them in a folder, and blob/blobtest is the suite that every kind of place passes.
package blob

import (
	"context"
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
	// Get reads length bytes from offset on, fewer at the end of the file; a negative length reads to the end.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, Info, error)
	Stat(ctx context.Context, name string) (Info, error)
	// Delete removes a file. One that is not there is no error.
	Delete(ctx context.Context, name string) error
	// List gives every file below the folder prefix, in the order of names; "" is everything.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
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
