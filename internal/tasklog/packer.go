// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
)

// Jobs tells which jobs have ended, and remembers which of them were dealt with. A job that runs again counts as new.
type Jobs interface {
	// LogsToPack lists jobs that have ended since they were last packed.
	LogsToPack(ctx context.Context, limit int) ([]farm.FinishedJob, error)
	// LogsPacked notes that the logs of a job are packed, unless it has changed since it was seen.
	LogsPacked(ctx context.Context, job farm.FinishedJob) error
	// LogsToPrune lists jobs that are packed, not pruned, and ended up to a moment; next is when the next one did.
	LogsToPrune(ctx context.Context, until time.Time, limit int) (jobs []farm.FinishedJob, next time.Time, err error)
	// LogsPruned notes that the logs of a job are pruned, unless it has changed since it was seen.
	LogsPruned(ctx context.Context, job farm.FinishedJob) error
}

// PackerOptions is what a Packer works on.
type PackerOptions struct {
	Jobs    Jobs
	Changed <-chan struct{} // receives when jobs have changed
	// Retention is how long after the end of a job the logs of attempts that are not the newest are kept; 0 = as long as the job.
	Retention time.Duration
	// Enter begins what must not happen during a maintenance of the farm, or is an error; nil = it may always happen.
	// Changed receives when the maintenance is over.
	Enter func() (leave func(), err error)
	Log   *slog.Logger
}

// Packer compresses logs that are finished, in the background: those of earlier attempts, and all of a job that has ended.
type Packer struct {
	PackerOptions
	store *Store
}

// NewPacker makes a Packer of a Store. A Manager has one.
func NewPacker(store *Store, opts PackerOptions) *Packer {
	if opts.Enter == nil {
		opts.Enter = func() (func(), error) { return func() {}, nil }
	}
	return &Packer{PackerOptions: opts, store: store}
}

const (
	// packDelay is how long after a change the packer begins: what comes late to a log comes in this time.
	packDelay = 5 * time.Second
	// packRetry is the pause after something went wrong.
	packRetry = time.Minute
	// keptOpen is how long a log stays open at least that nobody appends to.
	keptOpen = time.Minute
	// packNap is the longest pause: timers do not notice that the machine was suspended.
	packNap = time.Hour
	// packAtOnce is how many jobs are asked for at once.
	packAtOnce = 20
)

// Run works until ctx ends. What a run of the Manager did not get done the next one does.
func (p *Packer) Run(ctx context.Context) error {
	unused := time.NewTicker(keptOpen)
	defer unused.Stop()
	for {
		nap := packNap
		next, err := p.round(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			p.Log.Error("cannot compress task logs, will try again", "error", err)
			nap = packRetry
		case !next.IsZero():
			nap = min(max(time.Until(next), packDelay), packNap)
		}
		if err := p.wait(ctx, nap, unused.C); err != nil {
			return err
		}
	}
}

// wait waits for something to do, and then until the dust has settled. Meanwhile it closes logs that nobody uses.
func (p *Packer) wait(ctx context.Context, nap time.Duration, unused <-chan time.Time) error {
	timer := time.NewTimer(nap)
	defer timer.Stop()
	for {
		select {
		case <-unused:
			p.store.closeUnused(time.Now().Add(-keptOpen))
			continue
		case <-timer.C:
			return nil
		case <-p.Changed:
		case <-p.store.queue.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		break
	}
	timer.Reset(packDelay)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// round does what there is to do now, and returns when there will be more, as far as that is known.
func (p *Packer) round(ctx context.Context) (next time.Time, err error) {
	leave, refused := p.Enter()
	if refused != nil {
		return time.Time{}, nil
	}
	defer leave()
	packed := p.store.packAll(ctx, p.store.queue.take())
	if ctx.Err() != nil {
		return time.Time{}, ctx.Err()
	}
	if err := errors.Join(packed, p.packJobs(ctx)); err != nil || p.Retention == 0 {
		return time.Time{}, err
	}
	return p.pruneJobs(ctx)
}

func (p *Packer) packJobs(ctx context.Context) error {
	for {
		jobs, err := p.Jobs.LogsToPack(ctx, packAtOnce)
		if err != nil || len(jobs) == 0 {
			return err
		}
		if err := each(ctx, jobs, p.store.PackJob, p.Jobs.LogsPacked); err != nil {
			return err
		}
	}
}

func (p *Packer) pruneJobs(ctx context.Context) (next time.Time, err error) {
	for {
		jobs, next, err := p.Jobs.LogsToPrune(ctx, time.Now().Add(-p.Retention), packAtOnce)
		if err != nil {
			return time.Time{}, err
		}
		if len(jobs) == 0 {
			if !next.IsZero() {
				next = next.Add(p.Retention)
			}
			return next, nil
		}
		if err := each(ctx, jobs, p.store.PruneJob, p.Jobs.LogsPruned); err != nil {
			return time.Time{}, err
		}
	}
}

// each deals with jobs and notes those with which that went well.
func each(ctx context.Context, jobs []farm.FinishedJob, do func(context.Context, string) error, note func(context.Context, farm.FinishedJob) error) error {
	var problems []error
	for _, job := range jobs {
		err := do(ctx, job.ID)
		if err == nil {
			err = note(ctx, job)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("job %s: %w", job.ID, err))
		}
	}
	return errors.Join(problems...)
}

// maxQueue is how many logs wait to be compressed at most. One for which there is no room waits for the end of its job.
const maxQueue = 10_000

// queue is a set of logs that could be compressed.
type queue struct {
	wake  chan struct{}
	mu    sync.Mutex
	files map[string]logFile
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1), files: map[string]logFile{}} }

func (q *queue) take() []logFile {
	q.mu.Lock()
	defer q.mu.Unlock()
	files := make([]logFile, 0, len(q.files))
	for _, f := range q.files {
		files = append(files, f)
	}
	clear(q.files)
	return files
}

// Ended says that an attempt has ended, after its last line. Logs in files are one file each and wait for the end of the job;
// in objects each chunk is one until then.
func (s *Store) Ended(id farm.LogID) {
	if checkIDs(id.JobID, id.TaskID) != nil {
		return
	}
	if home, err := s.home(id); err == nil { // else it waits for the end of the job
		home.ended(id)
	}
}

func (s *Store) closeUnused(since time.Time) {
	s.place.closeUnused(since)
	if s.older != nil {
		s.older.closeUnused(since)
	}
}

// packAll compresses logs where they are: files one by one, objects several at a time, as requests take a while.
func (s *Store) packAll(ctx context.Context, all []logFile) error {
	work := newWork(mergeAtOnce)
	var problems []error
	for _, file := range all {
		if ctx.Err() != nil {
			break
		}
		pack := func(in backend) error {
			if err := in.pack(ctx, file); err != nil {
				return fmt.Errorf("%s: %w", file.name, err)
			}
			return nil
		}
		switch {
		case file.object:
			problems = append(problems, work.do(ctx, func() error { return pack(s.place) }))
		case s.older != nil:
			problems = append(problems, pack(s.older))
		default:
			problems = append(problems, pack(s.place))
		}
	}
	return errors.Join(append(problems, work.wait())...)
}

// finished notes a log that could be compressed. It never blocks.
func (s *Store) finished(file logFile) {
	q := s.queue
	q.mu.Lock()
	if len(q.files) < maxQueue {
		q.files[file.name] = file
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default: // it has not begun to look yet
	}
}
