// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/blob/file"
	"flamenco.farm/internal/blob/s3"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/tasklog"
)

// bucketOf is where the configuration says that files are kept, nil if that is the storage of this machine.
func bucketOf(cfg config.Config) *s3.Options {
	if cfg.Files != config.FilesS3 {
		return nil
	}
	return &s3.Options{
		Endpoint: cfg.S3.Endpoint, Region: cfg.S3.Region, Bucket: cfg.S3.Bucket, Prefix: cfg.S3.Prefix,
		AccessKey: cfg.S3.AccessKey, SecretKey: cfg.S3.SecretKey,
	}
}

// places is where a Manager keeps files.
type places struct {
	local  *file.Store // of the Manager itself
	bucket *s3.Store   // of the farm, nil = the local one is
}

// openPlaces opens them, and makes sure that a bucket can be used: later it would be tasks that fail.
func openPlaces(ctx context.Context, cfg config.Config) (p places, err error) {
	if bucket := bucketOf(cfg); bucket != nil {
		p.bucket = s3.New(*bucket)
		if err := p.bucket.Check(ctx); err != nil {
			return places{}, errors.Join(err, p.bucket.Close())
		}
	}
	if p.local, err = file.New(cfg.LocalStorage); err != nil {
		return places{}, errors.Join(err, closeBucket(p.bucket))
	}
	return p, nil
}

func closeBucket(bucket *s3.Store) error {
	if bucket == nil {
		return nil
	}
	return bucket.Close()
}

func (p places) close() error { return errors.Join(p.local.Close(), closeBucket(p.bucket)) }

// shared is the bucket, nil if there is none.
func (p places) shared() blob.Store {
	if p.bucket == nil {
		return nil
	}
	return p.bucket
}

// files is where files of jobs are kept.
func (p places) files() blob.Store {
	if p.bucket == nil {
		return p.local
	}
	return p.bucket
}

// taskLogs are kept there too.
func (p places) taskLogs(cfg config.Config) (*tasklog.Store, error) {
	o := tasklog.Options{
		Folder: cfg.LocalStorage, MaxSize: int64(cfg.TaskLogs.MaxSize), Shared: store.IsPostgres(cfg.Database), // then there may be several
	}
	if p.bucket != nil {
		o.Blobs = p.bucket
	}
	return tasklog.New(o)
}

// halfWritten is how long a file may be in the making.
const halfWritten = 24 * time.Hour

// sweep removes what a Manager that was killed left half written.
func (m *Manager) sweep(p places) func(context.Context) error {
	return func(ctx context.Context) error {
		err := p.local.Sweep(ctx, halfWritten)
		if p.bucket != nil {
			err = errors.Join(err, p.bucket.Sweep(ctx, halfWritten))
		}
		if err != nil && ctx.Err() == nil {
			m.opts.Log.Warn("cannot remove files that were left half written", "error", err)
		}
		return nil
	}
}
