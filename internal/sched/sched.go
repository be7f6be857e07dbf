// SPDX-License-Identifier: GPL-3.0-or-later

// Package sched decides who runs what: it hands out tasks, takes reports, watches the clocks and carries out what people
// ask of jobs, tasks and workers. It joins flow, which knows the rules, to store, which keeps the state; it holds no
// state of its own that a restart would miss, and it knows nothing of HTTP.
package sched

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
	"flamenco.farm/internal/store"
)

// Options are the clocks and limits of a farm; the defaults are those of the configuration.
type Options struct {
	TaskLog TaskLog
	Bus     *event.Bus // hears what the store commits
	Log     *slog.Logger

	WorkerTimeout time.Duration // the lease: a worker silent for this long loses its tasks
	TaskTimeout   time.Duration // a task not named for this long is taken away; 0 = never
	TimeoutGrace  time.Duration // after a start nothing expires for this long
	RequestHold   time.Duration // how long a request for a task waits for work

	BlocklistThreshold int // failures of a worker for a task type of a job that block it; 0 = never
	SoftFailLimit      int // workers that must fail a task until it is failed for good

	TimeZone *time.Location // of the sleep schedules; nil = that of this machine

	// Enter begins what must not happen during a maintenance of the farm, or is an error of farm.CodeMaintenance; nil = it
	// may always happen.
	Enter func() (leave func(), err error)
}

// Limits are the options that may change while the Manager runs.
type Limits struct {
	TaskTimeout        time.Duration
	RequestHold        time.Duration
	BlocklistThreshold int
	SoftFailLimit      int
}

// Service is the scheduler of one Manager.
type Service struct {
	Options
	limits atomic.Pointer[Limits] // what counts of Options' fields of the same names
	store  *store.Store
	locks  [64]sync.Mutex // one task log is written by one call at a time
	seed   maphash.Seed
	todo   chan struct{} // there are jobs with a mass change that goes on in the background

	planned   chan struct{}          // sleep schedules may have been set
	suspended atomic.Pointer[string] // why nothing is handed out, nil = it is
	counts    counters
}

// New makes a Service on an open store.
func New(st *store.Store, opts Options) *Service {
	if opts.TimeZone == nil {
		opts.TimeZone = time.Local
	}
	if opts.Enter == nil {
		opts.Enter = func() (func(), error) { return func() {}, nil }
	}
	s := &Service{
		Options: opts, store: st, seed: maphash.MakeSeed(), todo: make(chan struct{}, 1), planned: make(chan struct{}, 1),
	}
	s.SetLimits(Limits{
		TaskTimeout: opts.TaskTimeout, RequestHold: opts.RequestHold, BlocklistThreshold: opts.BlocklistThreshold, SoftFailLimit: opts.SoftFailLimit,
	})
	return s
}

// SetLimits lets other limits hold from now on; a request that waits already waits as long as it was going to.
func (s *Service) SetLimits(limits Limits) { s.limits.Store(&limits) }

// Run watches the clocks, follows the sleep schedules, and finishes changes of whole jobs, also those that an earlier Manager left half done.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.settleInBackground(ctx) })
	g.Go(func() error { return s.watchClocks(ctx) })
	g.Go(func() error { return s.watchSchedules(ctx) })
	return g.Wait()
}

// LookAgain makes the background look at the whole farm again, after somebody else has changed any of it.
func (s *Service) LookAgain() {
	s.settleLater()
	s.lookAtSchedules()
}

func (s *Service) logLock(taskID string) *sync.Mutex {
	return &s.locks[maphash.String(s.seed, taskID)%uint64(len(s.locks))]
}

// logLine adds a line of the Manager to the log of an attempt. A log that cannot be written stops nothing.
func (s *Service) logLine(id farm.LogID, line string) {
	lock := s.logLock(id.TaskID)
	lock.Lock()
	defer lock.Unlock()
	if err := s.TaskLog.AppendLine(id, line); err != nil {
		s.Log.Error("cannot write task log", "task", id.TaskID, "error", err)
	}
}

// logOf is the log of the last attempt of a task.
func logOf(t *store.Task) farm.LogID {
	return farm.LogID{JobID: t.JobID, TaskID: t.ID, Generation: t.Generation}
}

// worker loads the worker of a call and notes that it was heard of. A call that names a session that is over is refused.
func (s *Service) worker(tx *store.Tx, c Caller) (*store.Worker, error) {
	w, err := tx.Worker(c.WorkerID)
	if err != nil {
		return nil, err
	}
	if c.Session != "" && c.Session != w.Session {
		return nil, errSessionOver
	}
	return w, s.seen(tx, w)
}

var errSessionOver = farm.Errorf(farm.CodeConflict, "this session is over: the worker signed on again since")

// seen renews the lease of a worker.
func (s *Service) seen(tx *store.Tx, w *store.Worker) error {
	if tx.Latest().Sub(w.LastSeen) < s.writeEvery() {
		return nil
	}
	return tx.TouchWorker(w)
}

// writeEvery is how old a stored time of contact may be before it is written again: at most a sixth of the lease, to
// spare the disk, and never more than the margin, because by so much the Manager may believe a lease to end too early.
func (s *Service) writeEvery() time.Duration { return min(s.WorkerTimeout/6, Margin(s.WorkerTimeout)) }

// AtRevision makes a change only if what is changed is still at this revision; anything else is CodePrecondition.
type AtRevision int64

func unchanged(revision int64, wanted []AtRevision) error {
	for _, w := range wanted {
		if revision != int64(w) {
			return farm.Errorf(farm.CodePrecondition, "it has changed meanwhile: it is at revision %d, not %d", revision, w)
		}
	}
	return nil
}

func flowJob(j *store.Job) flow.Job {
	return flow.Job{Status: j.Status, Counts: j.Counts, Ready: j.Ready, RequeueCompleted: j.RequeueCompleted}
}

// canceled reports whether err only says that the caller went away or the Manager stops.
func canceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
