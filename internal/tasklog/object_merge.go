// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

// mergeAtOnce is how many logs of a job are merged at the same time.
const mergeAtOnce = 8

// pack implements backend: the logs of attempts that have ended get one object each, one that goes on gets fewer.
func (o *objects) pack(ctx context.Context, file logFile) error {
	logs, err := o.listTask(ctx, file.id.JobID, file.id.TaskID)
	if err != nil {
		return err
	}
	var problems []error
	for i, l := range logs {
		ended := i < len(logs)-1 || file.ended && l.id.Generation == max(file.id.Generation, 1)
		if !ended {
			problems = append(problems, o.mergeSome(ctx, l))
		} else {
			problems = append(problems, o.mergeWhole(ctx, l))
		}
	}
	return errors.Join(problems...)
}

// mergeSome merges the chunks of a log that grows; once they have become many merged objects, everything.
func (o *objects) mergeSome(ctx context.Context, now *listing) error {
	first := 0
	for i, p := range now.pieces {
		if p.merged {
			first = i + 1
		}
	}
	if len(now.pieces)-first < mergeChunks {
		return nil
	}
	if first < mergeAll {
		part := *now
		part.pieces = now.pieces[first:]
		now = &part
	}
	defer o.known.changed(now.id)
	return o.merge(ctx, now)
}

// packJob implements backend.
func (o *objects) packJob(ctx context.Context, jobID string) error {
	work := newWork(mergeAtOnce)
	err := o.eachLog(ctx, jobID, Folder(jobID), func(l *listing) error {
		return work.do(ctx, func() error { return o.mergeWhole(ctx, l) })
	})
	return errors.Join(work.wait(), err)
}

// mergeWhole makes one object of a log, unless it is one, or is so short that it is one chunk.
func (o *objects) mergeWhole(ctx context.Context, l *listing) error {
	if len(l.pieces) == 0 || len(l.pieces) == 1 && (l.pieces[0].merged || l.size < worthPacking) {
		return o.remove(ctx, uncovered(l))
	}
	defer o.known.changed(l.id)
	return o.merge(ctx, l)
}

// uncovered is what of the objects of a log is not read any more.
func uncovered(l *listing) []object {
	used := make(map[string]bool, len(l.pieces))
	for _, p := range l.pieces {
		used[p.Name] = true
	}
	var left []object
	for _, ob := range l.all {
		if !used[ob.Name] && ob.begin < l.end && (ob.end <= l.end || !ob.merged) {
			left = append(left, ob)
		}
	}
	return left
}

// merge makes one object of the pieces of a log, which is cut if it is too long, and deletes what that covers. Killed
// at any point, it leaves objects that are not read, at worst; the next merge deletes them.
func (o *objects) merge(ctx context.Context, l *listing) error {
	pieces := slices.Clone(l.pieces)
	begin, end := pieces[0].begin+pieces[0].skip, pieces[len(pieces)-1].end
	size := int64(0)
	for i := range pieces {
		pieces[i].at = size
		size += pieces[i].length()
	}
	r := &objectReader{objects: o, log: &listing{id: l.id, pieces: pieces, size: size}, strict: true}
	text := io.Reader(io.NewSectionReader(r, 0, size))
	if begin == 0 && size > o.maxSize {
		e, err := o.extentOf(r, pieces, size)
		if err == nil {
			text, size, err = cut(r, e, o.maxSize)
		}
		if err != nil {
			return err
		}
	}
	name := mergedName(l.id, begin, end, size)
	if err := o.storeMerged(ctx, name, text); err != nil {
		return ignoreChange(err)
	}
	var covered []object
	for _, ob := range l.all {
		if ob.Name != name && ob.begin >= begin && (ob.end <= end || !ob.merged && ob.begin < end) {
			covered = append(covered, ob)
		}
	}
	return o.remove(ctx, covered)
}

func (o *objects) extentOf(r io.ReaderAt, pieces []piece, size int64) (extent, error) {
	if pieces[0].size == pieces[0].end-pieces[0].begin {
		return extent{size: size}, nil
	}
	return extentOf(r, size, o.maxSize)
}

// storeMerged compresses text while it is stored. An object of that name holds the same.
func (o *objects) storeMerged(ctx context.Context, name string, text io.Reader) error {
	out, in := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		in.CloseWithError(o.codec.pack(in, text))
	}()
	_, err := o.blobs.Create(ctx, name, out)
	out.CloseWithError(errors.New("nobody reads it any more"))
	<-packed
	if err != nil && !errors.Is(err, blob.ErrExist) {
		return fmt.Errorf("tasklog: merging: %w", err)
	}
	return nil
}

// ignoreChange is no error for what another Manager has merged meanwhile.
func ignoreChange(err error) error {
	if farm.IsNotExist(err) {
		return nil
	}
	return err
}
