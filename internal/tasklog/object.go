// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

// requestTime is how long one step of work on the objects of a log may take, its requests repeated as often as it may be.
const requestTime = 2 * time.Minute

// objects keeps each log as objects of a blob.Store, in a folder task-<id>/<generation> beside the pictures of its job:
//
//	chunk/<offset>.txt                 a chunk, named after the place where it begins
//	merged/<begin>-<end>-<size>.zst    what several chunks held, compressed, from one place to another; size is that of the text
//
// Places count everything that was ever appended, also what a log lost for its length: then size is less than the
// distance of the two places, and the text holds the note.
//
// Objects are never changed. A chunk is stored only if its name is free, so that of two Managers one is first and the
// other goes on behind it. A merged object is stored before what it covers is deleted, so that every place is covered by
// an object at all times. Where objects overlap merged ones win, and of these the longest. A chunk whose place was merged
// before it was stored, by a Manager that had not heard of it, therefore counts for nothing; whoever stored it looks for
// that afterwards and stores it again at the end.
type objects struct {
	blobs blob.Store
	codec
	maxSize  int64
	hear     func(id farm.LogID, text string)
	finished func(logFile)
	known    *known
}

func newObjects(blobs blob.Store, c codec, maxSize int64, hear func(farm.LogID, string), finished func(logFile)) *objects {
	return &objects{blobs: blobs, codec: c, maxSize: maxSize, hear: hear, finished: finished, known: newKnown()}
}

// ended implements backend.
func (o *objects) ended(id farm.LogID) {
	o.finished(logFile{name: logFolder(id) + "/ended", id: id, object: true, ended: true})
}

// closeUnused implements backend.
func (o *objects) closeUnused(time.Time) {}

func (o *objects) close() error { return nil }

const (
	placeDigits      = 20
	generationDigits = 10
	chunkFolder      = "chunk"
	mergedFolder     = "merged"
)

// taskFolder is where the logs of a task are.
func taskFolder(jobID, taskID string) string { return path.Join(Folder(jobID), "task-"+taskID) }

// logFolder is where the log of an attempt is. What is logged before the first attempt belongs to it.
func logFolder(id farm.LogID) string {
	return path.Join(taskFolder(id.JobID, id.TaskID), fmt.Sprintf("%0*d", generationDigits, max(id.Generation, 1)))
}

func chunkName(id farm.LogID, at int64) string {
	return fmt.Sprintf("%s/%s/%0*d.txt", logFolder(id), chunkFolder, placeDigits, at)
}

func mergedName(id farm.LogID, begin, end, size int64) string {
	return fmt.Sprintf("%s/%s/%0*d-%0*d-%d%s", logFolder(id), mergedFolder, placeDigits, begin, placeDigits, end, size, packedSuffix)
}

// object is one of the objects of a log.
type object struct {
	blob.Info
	id         farm.LogID
	merged     bool
	begin, end int64 // the places that it covers
	size       int64 // of its text
}

// parseObject reads the name of an object in the folder of a job.
func parseObject(jobID string, info blob.Info) (object, bool) {
	rest, ok := strings.CutPrefix(info.Name, Folder(jobID)+"/task-")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 4 || checkIDs(parts[0]) != nil {
		return object{}, false
	}
	ob := object{Info: info, id: farm.LogID{JobID: jobID, TaskID: parts[0]}, merged: parts[2] == mergedFolder}
	var err error
	if ob.id.Generation, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
		return object{}, false
	}
	if ob.merged {
		var given string
		numbers := strings.SplitN(strings.TrimSuffix(parts[3], packedSuffix), "-", 3)
		if len(numbers) == 3 {
			ob.begin, ob.end, given = number(numbers[0]), number(numbers[1]), numbers[2]
			ob.size = number(given)
		}
		return ob, ob.end > ob.begin && info.Name == mergedName(ob.id, ob.begin, ob.end, ob.size)
	}
	ob.begin, ob.size = number(strings.TrimSuffix(parts[3], ".txt")), info.Size
	ob.end = ob.begin + ob.size
	return ob, ob.size > 0 && info.Name == chunkName(ob.id, ob.begin)
}

// number is a number that is not negative; -1 for anything else.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// listing is the objects of one log, and what they make.
type listing struct {
	id      farm.LogID
	all     []object // in any order
	pieces  []piece  // what the log consists of, in order
	end     int64    // the place where the next chunk begins
	size    int64    // of the text
	changed time.Time
}

// piece is the part of an object that is a part of the log.
type piece struct {
	object
	skip int64 // of the object's text
	at   int64 // where it begins in the text of the log
}

func (p piece) length() int64 { return p.size - p.skip }

// resolve says what a log consists of.
func resolve(id farm.LogID, all []object) *listing {
	l := &listing{id: id, all: all}
	chunks := make(map[int64]object, len(all))
	var merged []object
	for _, ob := range all {
		if ob.merged {
			merged = append(merged, ob)
		} else {
			chunks[ob.begin] = ob
		}
	}
	for {
		next, found := longest(merged, l.end)
		if !found {
			next, found = chunks[l.end]
		}
		if !found {
			return l
		}
		l.add(next)
	}
}

// longest is the merged object that reaches farthest from a place. One with a note can only be read from its beginning.
func longest(merged []object, at int64) (best object, found bool) {
	for _, ob := range merged {
		if ob.begin <= at && at < ob.end && (ob.begin == at || ob.size == ob.end-ob.begin) && ob.end > best.end {
			best, found = ob, true
		}
	}
	return best, found
}

// add makes an object that covers the end of the log the next piece.
func (l *listing) add(ob object) {
	p := piece{object: ob, skip: l.end - ob.begin, at: l.size}
	l.pieces = append(l.pieces, p)
	l.size += p.length()
	l.end = ob.end
	if ob.Modified.After(l.changed) {
		l.changed = ob.Modified
	}
}

// merges counts the merged objects of the log.
func (l *listing) merges() (n int) {
	for _, p := range l.pieces {
		if p.merged {
			n++
		}
	}
	return n
}

// listTask finds the objects of all logs of a task, the newest log last.
func (o *objects) listTask(ctx context.Context, jobID, taskID string) ([]*listing, error) {
	var logs []*listing
	err := o.eachLog(ctx, jobID, taskFolder(jobID, taskID), func(l *listing) error {
		logs = append(logs, l)
		return nil
	})
	return logs, err
}

// eachLog calls do for each log below a folder, in order.
func (o *objects) eachLog(ctx context.Context, jobID, folder string, do func(*listing) error) error {
	var all []object
	flush := func() error {
		if len(all) == 0 {
			return nil
		}
		l := resolve(all[0].id, all)
		all = nil
		return do(l)
	}
	for info, err := range o.blobs.List(ctx, folder) {
		if err != nil {
			return fmt.Errorf("tasklog: %w", err)
		}
		ob, ok := parseObject(jobID, info)
		if !ok {
			continue
		}
		if len(all) > 0 && all[0].id != ob.id {
			if err := flush(); err != nil {
				return err
			}
		}
		all = append(all, ob)
	}
	return flush()
}

// list finds the objects of one log.
func (o *objects) list(ctx context.Context, id farm.LogID) (*listing, error) {
	l := resolve(id, nil)
	err := o.eachLog(ctx, id.JobID, logFolder(id), func(found *listing) error {
		l = found
		l.id = id
		return nil
	})
	return l, err
}

// open implements backend.
func (o *objects) open(id farm.LogID) (*Log, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	logs, err := o.listTask(ctx, id.JobID, id.TaskID)
	if err != nil {
		return nil, err
	}
	logs = slices.DeleteFunc(logs, func(l *listing) bool { return len(l.pieces) == 0 })
	for i, l := range logs {
		last := i == len(logs)-1
		if l.id.Generation == max(id.Generation, 1) && id.Generation != Newest || id.Generation == Newest && last {
			return o.openLog(l, last), nil
		}
	}
	return nil, fmt.Errorf("tasklog: task %s has no log: %w", id.TaskID, farm.ErrNotExist)
}

func (o *objects) openLog(l *listing, newest bool) *Log {
	r := &objectReader{objects: o, log: l}
	log := &Log{ReaderAt: r, Size: l.size, Modified: l.changed, path: pathOf(l.id, newest), close: func() error { return nil }}
	if len(l.pieces) == 1 && l.pieces[0].merged {
		only := l.pieces[0].Info
		log.compressed = io.NewSectionReader(&blockReader{blobs: o.blobs, of: only}, 0, only.Size)
	}
	return log
}

func pathOf(id farm.LogID, newest bool) string {
	if newest {
		return Path(id.JobID, id.TaskID)
	}
	return attemptPath(id)
}

// stat implements backend.
func (o *objects) stat(jobID, taskID string, generations []int64) (map[int64]Info, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	logs, err := o.listTask(ctx, jobID, taskID)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]Info, len(generations))
	for i, l := range logs {
		for _, generation := range generations {
			if l.size > 0 && max(generation, 1) == l.id.Generation {
				id := farm.LogID{JobID: jobID, TaskID: taskID, Generation: generation}
				found[generation] = Info{ID: id, Path: pathOf(l.id, i == len(logs)-1), Size: l.size}
			}
		}
	}
	return found, nil
}

// pruneJob implements backend.
func (o *objects) pruneJob(ctx context.Context, jobID string) error {
	var before *listing // the newest log of a task so far
	return o.eachLog(ctx, jobID, Folder(jobID), func(l *listing) error {
		if len(l.pieces) == 0 {
			return nil // remains that are not read
		}
		earlier := before
		before = l
		if earlier == nil || earlier.id.TaskID != l.id.TaskID {
			return nil
		}
		return o.remove(ctx, earlier.all)
	})
}

func (o *objects) remove(ctx context.Context, all []object) error {
	if len(all) == 0 {
		return nil
	}
	names := make([]string, len(all))
	for i, ob := range all {
		names[i] = ob.Name
	}
	if err := o.blobs.Delete(ctx, names...); err != nil {
		return fmt.Errorf("tasklog: %w", err)
	}
	return nil
}

var errChanges = errors.New("the log is changed all the time")
