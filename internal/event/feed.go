// SPDX-License-Identifier: GPL-3.0-or-later

package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"flamenco.farm/internal/farm"
)

// Pace is the least time between two events about the same thing; what changes meanwhile goes into the second one.
const Pace = 50 * time.Millisecond

const (
	// gather is the least time between two batches of a feed: under load a batch carries more instead of coming more often.
	gather = 4 * time.Millisecond
	// maxWaiting is how many tasks and logs may wait in a feed.
	maxWaiting = 4096
	// maxWaitingAll is how many things of any kind may wait.
	maxWaitingAll = 1 << 16
	// readTries is how often it is tried to read what events are about while the database is away, every readAgain.
	readTries, readAgain = 5, time.Second
	// maxLog is how much of one log may wait, in bytes.
	maxLog = 256 << 10
)

// logGap stands where a part of a log was left out.
const logGap = "(Some of the log is left out here. The whole log is kept by the Manager.)\n"

// Loader reads what changes did not say. What is not there is left out; ids are at most loadAtOnce.
type Loader interface {
	JobsByID(ctx context.Context, ids []string) (map[string]farm.Job, error)
	TasksByID(ctx context.Context, ids []string) (map[string]farm.Task, error)
	WorkersByID(ctx context.Context, ids []string) (map[string]farm.Worker, error)
	Tag(ctx context.Context, id string) (farm.Tag, error)
}

// Feed brings changes to one who tells clients of them. Changes of the same thing that come fast become one. A feed that
// is not read loses details, never the fact: a job whose tasks had no room says that they have to be read again.
type Feed struct {
	bus   *Bus
	load  Loader
	log   *slog.Logger
	wants func(farm.Change) bool
	wake  chan struct{}
	kinds atomic.Uint32 // written under the bus's lock

	mu      sync.Mutex
	waiting map[key]*entry
	queue   []*entry // in the order of their first change
	bounded int      // how many of them are tasks or logs
	told    map[key]time.Time
	tolds   []toldAt // told, oldest first
	batched time.Time
	lost    bool
}

// key is a thing of which clients hear.
type key struct {
	kind farm.ChangeKind
	id   string
}

type toldAt struct {
	key  key
	when time.Time
}

// entry is what will be told of one thing.
type entry struct {
	key     key
	change  farm.Change // the newest
	seq     int64
	refresh bool   // of a job: its tasks have to be read again
	since   string // the status before the first change that was not told
	isNew   bool
	due     time.Time
}

// Attach makes a feed that listens to nothing yet. wants runs while a commit is published: it must be quick and must not
// call the bus.
func (b *Bus) Attach(load Loader, log *slog.Logger, wants func(farm.Change) bool) *Feed {
	f := &Feed{
		bus: b, load: load, log: log, wants: wants, wake: make(chan struct{}, 1),
		waiting: map[key]*entry{}, told: map[key]time.Time{},
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.feeds = append(b.feeds, f)
	return f
}

// Listen says which kinds of change the feed takes from now on; none stops it.
func (f *Feed) Listen(kinds ...farm.ChangeKind) {
	mask := uint32(0)
	for _, k := range kinds {
		mask |= bit(k)
	}
	f.bus.listen(f, mask)
}

// hear takes a change; it runs while a commit is published.
func (f *Feed) hear(c farm.Change, seq int64) {
	if f.kinds.Load()&bit(c.Kind) == 0 || !f.wants(c) {
		return
	}
	f.mu.Lock()
	f.put(c, seq)
	f.mu.Unlock()
	f.nudge()
}

// losesAll makes a feed that listens to anything read everything anew.
func (f *Feed) losesAll() {
	if f.kinds.Load() == 0 {
		return
	}
	f.mu.Lock()
	f.lose()
	f.mu.Unlock()
	f.nudge()
}

func (f *Feed) nudge() {
	select {
	case f.wake <- struct{}{}:
	default: // it has not looked yet
	}
}

func (f *Feed) put(c farm.Change, seq int64) {
	k := keyOf(c)
	if e, ok := f.waiting[k]; ok {
		e.merge(c, seq)
		return
	}
	switch {
	case len(f.queue) >= maxWaitingAll:
		f.lose()
		return
	case !k.bounded():
	case f.bounded < maxWaiting:
		f.bounded++
	case c.Kind == farm.ChangeTask:
		f.putRefresh(c.JobID, seq)
		return
	default:
		f.lose()
		return
	}
	e := &entry{key: k, change: c, seq: seq, since: previous(c), isNew: isNew(c), due: f.told[k]}
	if !e.due.IsZero() {
		e.due = e.due.Add(Pace)
	}
	e.refresh = c.Mass
	f.add(e)
}

// putRefresh lets the job speak for a task that has no room.
func (f *Feed) putRefresh(jobID string, seq int64) {
	k := key{farm.ChangeJob, jobID}
	e, ok := f.waiting[k]
	if !ok {
		e = &entry{key: k, change: farm.Change{Kind: farm.ChangeJob, JobID: jobID}, seq: seq, due: f.told[k].Add(Pace)}
		f.add(e)
	}
	e.refresh = true
}

func (f *Feed) add(e *entry) {
	f.waiting[e.key] = e
	f.queue = append(f.queue, e)
}

// lose gives up on everything that waits: whoever hears of it has to read everything again.
func (f *Feed) lose() {
	f.bus.lost.Add(1)
	clear(f.waiting)
	f.queue, f.bounded, f.lost = nil, 0, true
}

// merge lets a change that was not told yet be followed by another one.
func (e *entry) merge(c farm.Change, seq int64) {
	e.seq = seq
	if c.Kind == farm.ChangeTaskLog {
		c.Now = joinLog(e.change.LogNow(), c.LogNow())
	}
	e.refresh = e.refresh || c.Mass
	if e.since == "" && !e.isNew {
		e.since = previous(c)
	}
	e.change = c
}

func joinLog(have, more farm.TaskLog) farm.TaskLog {
	if len(have)+len(more) <= maxLog {
		return have + more
	}
	all := have + more
	return logGap + all[len(all)-maxLog/2:]
}

// Next waits for events and returns those that may be told now, in the order of their first change. lost says that
// events before them are missing, of which nothing is known.
func (f *Feed) Next(ctx context.Context) (batch []Message, lost bool, err error) {
	for {
		entries, lost, wait := f.take(time.Now())
		if len(entries) > 0 || lost {
			batch, err := f.read(ctx, entries)
			switch {
			case ctx.Err() != nil && err != nil:
				return nil, false, ctx.Err()
			case err != nil:
				f.log.Error("cannot read what events are about; whoever hears of them has to read everything anew", "error", err)
				f.losesAll()
				continue
			}
			return batch, lost, nil
		}
		if err := f.pause(ctx, wait); err != nil {
			return nil, false, err
		}
	}
}

// pause waits for a change, or for the time when what waits may be told; wait < 0 = nothing waits.
func (f *Feed) pause(ctx context.Context, wait time.Duration) error {
	var due <-chan time.Time
	wake := f.wake
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	if wait > 0 && wait <= gather {
		wake = nil // whatever comes meanwhile goes into the same batch
	}
	select {
	case <-wake:
	case <-due:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// read is messages, tried again while the database is away.
func (f *Feed) read(ctx context.Context, entries []*entry) ([]Message, error) {
	for try := 1; ; try++ {
		batch, err := f.messages(ctx, entries)
		if err == nil || try == readTries || farm.CodeOf(err) != farm.CodeBusy {
			return batch, err
		}
		select {
		case <-time.After(readAgain):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Rest returns at once what still waits, due or not, for a sink that stops.
func (f *Feed) Rest(ctx context.Context) []Message {
	f.mu.Lock()
	entries := f.queue
	clear(f.waiting)
	f.queue, f.bounded = nil, 0
	f.mu.Unlock()
	batch, err := f.messages(ctx, entries)
	if err != nil && !errors.Is(err, context.Canceled) {
		f.log.Error("cannot read what the last events are about", "error", err)
	}
	return batch
}

// take removes from the queue what may be told now, or says how long to wait for it; < 0 = nothing waits.
func (f *Feed) take(now time.Time) (due []*entry, lost bool, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lost, f.lost = f.lost, false
	f.forgetTold(now)
	if len(f.queue) == 0 {
		return nil, lost, -1
	}
	if since := now.Sub(f.batched); since < gather {
		return nil, lost, gather - since
	}
	wait = Pace
	held := f.queue[:0]
	for _, e := range f.queue {
		if left := e.due.Sub(now); left > 0 {
			held = append(held, e)
			wait = min(wait, left)
			continue
		}
		due = append(due, e)
		delete(f.waiting, e.key)
		if e.key.bounded() {
			f.bounded--
		}
		f.told[e.key] = now
		f.tolds = append(f.tolds, toldAt{e.key, now})
	}
	clear(f.queue[len(held):])
	f.queue = held
	if len(due) > 0 {
		f.batched = now
	}
	return due, lost, wait
}

func (f *Feed) forgetTold(now time.Time) {
	old := 0
	for _, t := range f.tolds {
		if now.Sub(t.when) < Pace {
			break
		}
		if f.told[t.key] == t.when {
			delete(f.told, t.key)
		}
		old++
	}
	f.tolds = f.tolds[old:]
}

// messages says what the entries mean, up to the first that cannot be read; what a change did not say is read now.
func (f *Feed) messages(ctx context.Context, entries []*entry) (batch []Message, err error) {
	batch = make([]Message, 0, len(entries))
	load := newLoaded(f.load)
	for i, e := range entries {
		if i%loadAtOnce == 0 {
			load.ahead(ctx, entries[i:min(len(entries), i+loadAtOnce)])
		}
		switch err := e.complete(ctx, load); {
		case err == nil:
			batch = append(batch, encode(e.change, e.seq))
		case !farm.IsNotExist(err):
			return batch, fmt.Errorf("%s %s: %w", e.key.kind, e.key.id, err)
		}
	}
	return batch, nil
}

func keyOf(c farm.Change) key {
	switch c.Kind {
	case farm.ChangeTask, farm.ChangeTaskLog:
		return key{c.Kind, c.TaskID}
	case farm.ChangeWorker:
		return key{c.Kind, c.WorkerID}
	case farm.ChangeTag:
		return key{c.Kind, c.TagID}
	case farm.ChangeLifecycle:
		return key{c.Kind, fmt.Sprint(c.Now)}
	}
	return key{c.Kind, c.JobID}
}

// bounded reports whether a farm may have very many of these changing at once.
func (k key) bounded() bool { return k.kind == farm.ChangeTask || k.kind == farm.ChangeTaskLog }
