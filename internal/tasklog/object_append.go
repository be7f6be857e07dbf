// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

const (
	// appendTries is how often a chunk is stored behind one that another Manager has just stored.
	appendTries = 50
	// mergeChunks is how many chunks a log has before they are merged while it grows: who reads it fetches them one by one.
	mergeChunks = 100
	// mergeAll is how many merged objects a log has before they are merged into one.
	mergeAll = 16
)

// append implements backend.
func (o *objects) append(id farm.LogID, since int64, text string) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	id.Generation = max(id.Generation, 1)
	log := o.known.take(id)
	defer o.known.free(log)
	size, err := o.store(ctx, log, id, since, text)
	if err != nil {
		log.now = nil
		return 0, storageError(err)
	}
	o.tidy(ctx, log, id)
	return size, nil
}

// store stores a chunk at the end of a log, wherever that is by now.
func (o *objects) store(ctx context.Context, log *knownLog, id farm.LogID, since int64, text string) (int64, error) {
	tried := false
	for range appendTries {
		if log.now == nil || since > log.now.end {
			now, err := o.list(ctx, id)
			if err != nil {
				return 0, err
			}
			log.now = now
		}
		now := log.now
		rest, err := o.missing(now, since, text)
		if errors.Is(err, farm.ErrNotExist) { // another Manager has merged it
			log.now = nil
			continue
		}
		if err != nil {
			return 0, err
		}
		if rest == "" {
			if tried {
				o.hear(id, text) // it was stored, but the answer got lost or another Manager merged it at once
			}
			return now.end, nil
		}
		at := now.end
		stored, err := o.storeAt(ctx, id, at, rest)
		if err != nil {
			return 0, err
		}
		if stored {
			o.hear(id, rest)
			chunk := object{
				Info: blob.Info{Name: chunkName(id, at), Size: int64(len(rest)), Modified: time.Now()}, id: id,
				begin: at, end: at + int64(len(rest)), size: int64(len(rest)),
			}
			now.all = append(now.all, chunk)
			now.add(chunk)
			return now.end, nil
		}
		tried, log.now = true, nil
		if since < 0 {
			since = at
		}
	}
	return 0, errChanges
}

// missing is what of text is not in the log behind its first since bytes.
func (o *objects) missing(now *listing, since int64, text string) (string, error) {
	if since < 0 || since >= now.end {
		return text, nil
	}
	r := &objectReader{objects: o, log: now, strict: true}
	e := extent{size: now.size}
	if now.size != now.end {
		var err error
		if e, err = extentOf(r, now.size, o.maxSize); err != nil {
			return "", err
		}
	}
	start := e.physical(since)
	if start >= now.size {
		return text, nil
	}
	return missing(io.NewSectionReader(r, start, now.size-start), text)
}

// storeAt stores a chunk at a place; false if another one is there, or was before it was merged.
func (o *objects) storeAt(ctx context.Context, id farm.LogID, at int64, text string) (bool, error) {
	name := chunkName(id, at)
	_, err := o.blobs.Create(ctx, name, strings.NewReader(text))
	if errors.Is(err, blob.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for info, err := range o.blobs.List(ctx, path.Join(logFolder(id), mergedFolder)) {
		if err != nil {
			return false, err
		}
		if ob, ok := parseObject(id.JobID, info); ok && ob.begin <= at && at < ob.end {
			return false, o.blobs.Delete(ctx, name) // it is in there, or counts for nothing
		}
	}
	return true, nil
}

// tidy keeps a log short, and has it merged when that is worth it. What fails here is done again after the next chunk.
func (o *objects) tidy(ctx context.Context, log *knownLog, id farm.LogID) {
	now := log.now
	if now == nil {
		return
	}
	if now.size > o.maxSize {
		if o.merge(ctx, now) != nil {
			return
		}
		log.now = nil
		return
	}
	chunks := len(now.pieces) - now.merges()
	many := chunks >= mergeChunks && chunks%(mergeChunks/4) == 0
	if begins := len(now.all) == 1 && id.Generation > 1; many || begins {
		o.finished(logFile{name: taskFolder(id.JobID, id.TaskID), id: id, object: true})
	}
}
