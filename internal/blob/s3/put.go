// SPDX-License-Identifier: GPL-3.0-or-later

package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"flamenco.farm/internal/blob"
)

const (
	// inMemory is how much of a body of unknown size is held in memory without asking.
	inMemory = 64 << 10
	// partSize is how long the parts of a large body are that has to be held in memory; S3 wants 5 MiB at least.
	partSize = 8 << 20
	// growParts is after how many parts they get twice as long: S3 takes 10,000 of them.
	growParts = 1000
	// largeAtOnce is how many large bodies may be held in memory, each with a part.
	largeAtOnce = 8
	// filePart is how long the parts are of what is read from a file, and up to which size a file is stored in one request.
	filePart = 64 << 20
	// conflictTries is how often a write is repeated that met another one of the same name.
	conflictTries = 5
	// abortTime is how long it may take to give up an upload.
	abortTime = 10 * time.Second
)

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, body io.Reader) (blob.Info, error) {
	return s.put(ctx, name, body, nil)
}

// Create implements blob.Store.
func (s *Store) Create(ctx context.Context, name string, body io.Reader) (blob.Info, error) {
	return s.put(ctx, name, body, aws.String("*"))
}

// file is a body that can be read again and at any place: nothing of it needs to be held in memory.
type file interface {
	io.ReaderAt
	io.Seeker
}

func (s *Store) put(ctx context.Context, name string, body io.Reader, ifNoneMatch *string) (blob.Info, error) {
	if err := blob.CheckName(name); err != nil {
		return blob.Info{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return blob.Info{}, err
	}
	u := &upload{Store: s, name: name, ifNoneMatch: ifNoneMatch}
	var err error
	if f, ok := body.(file); ok {
		err = u.file(ctx, f)
	} else {
		err = u.stream(ctx, body)
	}
	if err != nil {
		return blob.Info{}, err
	}
	// The server's own time would be another request; nobody needs it to the second.
	return blob.Info{Name: name, Size: u.size, Modified: time.Now()}, nil
}

// upload is an object that is being stored.
type upload struct {
	*Store
	name        string
	ifNoneMatch *string
	size        int64

	id    *string // of an upload in parts, nil = none was begun
	parts []types.CompletedPart
}

// file stores what can be read at any place, from where it stands to its end.
func (u *upload) file(ctx context.Context, f file) error {
	start, err := f.Seek(0, io.SeekCurrent)
	end := start
	if err == nil {
		end, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return fmt.Errorf("blob: storing %s: %w", u.name, err)
	}
	if end-start <= filePart {
		return u.whole(ctx, io.NewSectionReader(f, start, end-start))
	}
	return u.inParts(ctx, func(n int) (*io.SectionReader, error) {
		size := min(partLength(filePart, n), end-start)
		part := io.NewSectionReader(f, start, size)
		start += size
		return part, nil
	})
}

// partLength is how long the n-th part is.
func partLength(first int64, n int) int64 { return first << (n / growParts) }

// stream stores a body that can be read only once.
func (u *upload) stream(ctx context.Context, body io.Reader) error {
	begin, err := io.ReadAll(io.LimitReader(body, inMemory))
	if err != nil {
		return fmt.Errorf("blob: storing %s: %w", u.name, err)
	}
	if len(begin) < inMemory {
		return u.whole(ctx, sectionOf(begin))
	}
	select {
	case u.large <- struct{}{}:
		defer func() { <-u.large }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var buffer bytes.Buffer
	next := func(n int) (*io.SectionReader, error) {
		buffer.Reset()
		buffer.Write(begin)
		_, err := buffer.ReadFrom(io.LimitReader(body, partLength(partSize, n)-int64(len(begin))))
		begin = nil
		return sectionOf(buffer.Bytes()), err
	}
	first, err := next(0)
	if err != nil {
		return fmt.Errorf("blob: storing %s: %w", u.name, err)
	}
	if first.Size() < partSize {
		return u.whole(ctx, first)
	}
	return u.inParts(ctx, func(n int) (*io.SectionReader, error) {
		if n == 0 {
			return first, nil
		}
		return next(n)
	})
}

func sectionOf(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

// whole stores an object with one request.
func (u *upload) whole(ctx context.Context, body *io.SectionReader) error {
	u.size = body.Size()
	return u.unlessConflict(ctx, func() error {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := u.client.PutObject(ctx, &awss3.PutObjectInput{
			Bucket: &u.opts.Bucket, Key: u.key(u.name), Body: body, ContentLength: aws.Int64(body.Size()), IfNoneMatch: u.ifNoneMatch,
		})
		return err
	})
}

// inParts stores an object in parts, the last of which is shorter than the others, and may be empty.
func (u *upload) inParts(ctx context.Context, next func(n int) (*io.SectionReader, error)) (err error) {
	if u.ifNoneMatch != nil { // the server would find out at the end only
		switch _, err := u.Stat(ctx, u.name); {
		case err == nil:
			return fmt.Errorf("blob: %s: %w", u.name, blob.ErrExist)
		case !isMissing(err):
			return err
		}
	}
	created, err := u.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: &u.opts.Bucket, Key: u.key(u.name)})
	if err != nil {
		return u.wrap(ctx, "storing", u.name, err)
	}
	u.id = created.UploadId
	defer func() {
		if err != nil {
			u.abort(ctx)
		}
	}()
	for n := 0; ; n++ {
		part, err := next(n)
		if err != nil {
			return fmt.Errorf("blob: storing %s: %w", u.name, err)
		}
		if part.Size() == 0 {
			break
		}
		if err := u.part(ctx, part); err != nil {
			return err
		}
	}
	return u.unlessConflict(ctx, func() error {
		_, err := u.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
			Bucket: &u.opts.Bucket, Key: u.key(u.name), UploadId: u.id, IfNoneMatch: u.ifNoneMatch,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
		})
		return err
	})
}

func (u *upload) part(ctx context.Context, body *io.SectionReader) error {
	number := aws.Int32(int32(len(u.parts) + 1))
	out, err := u.client.UploadPart(ctx, &awss3.UploadPartInput{
		Bucket: &u.opts.Bucket, Key: u.key(u.name), UploadId: u.id, PartNumber: number, Body: body, ContentLength: aws.Int64(body.Size()),
	})
	if err != nil {
		return u.wrap(ctx, "storing", u.name, err)
	}
	u.parts = append(u.parts, types.CompletedPart{ETag: out.ETag, PartNumber: number})
	u.size += body.Size()
	return nil
}

// abort gives the parts up, also when the caller has gone. Sweep finds what is left.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_, _ = u.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &u.opts.Bucket, Key: u.key(u.name), UploadId: u.id})
}

// unlessConflict makes the request that stores an object. One that met another of the same name, or of a name beside it, is
// made again: by then that one has succeeded or failed.
func (u *upload) unlessConflict(ctx context.Context, do func() error) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for try := 0; ; try++ {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		err := do()
		switch {
		case err == nil:
			return nil
		case u.ifNoneMatch != nil && isStatus(err, http.StatusPreconditionFailed):
			return fmt.Errorf("blob: %s: %w", u.name, blob.ErrExist)
		case try == conflictTries || !isStatus(err, http.StatusConflict):
			return u.wrap(ctx, "storing", u.name, err)
		}
		pause.Reset(50 * time.Millisecond << try)
	}
}

func isMissing(err error) bool { return errors.Is(err, errMissing) }
