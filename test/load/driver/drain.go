// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"flamenco.farm/test/load/measure"
)

// Farm is where a load goes.
type Farm struct {
	Managers []*url.URL // Workers are spread over them; people use the first
	PIDs     []int      // what to watch, nil = nothing
}

func (f Farm) names() []string {
	names := make([]string, len(f.Managers))
	for i, m := range f.Managers {
		names[i] = m.String()
	}
	return names
}

func (f Farm) person() *Person { return NewPerson(f.Managers[0]) }

// Drain is Workers that run tasks.
type Drain struct {
	Farm
	Workers    int
	Known      []Identity // of the first Workers; the others register
	TaskTypes  []string   // that every Worker runs
	Tasks      int        // in all jobs together
	Jobs       int        // that are submitted for it; 0 = the tasks are there
	Kind       JobKind    // of the jobs
	Mixed      bool       // the jobs have different task types and tags, and Workers different tags
	Duration   time.Duration
	KeepJobs   bool                       // leave what is not done in the queue
	Enough     <-chan struct{}            // ends it before its time when closed; nil = nobody does
	Started    func()                     // is called once the Workers begin; nil = nobody wants to know
	OnClaim    func(asked, got time.Time) // hears of each claim that brought a task; nil = nobody wants to know
	OnComplete func(string)               // hears which task is about to be completed; nil = nobody wants to know
}

// MixedTypes are the task types of mixed jobs, which ScriptName makes.
var MixedTypes = []string{"misc", "blender", "ffmpeg"}

// idlePause is how long a Worker waits after it got no task at once: a Manager that does not hold requests would be
// asked without end.
const idlePause = 50 * time.Millisecond

// Run drains until the tasks are done, or the time is over.
func (d Drain) Run(ctx context.Context) (*measure.Report, error) {
	jobs, tags, err := d.submit(ctx)
	if err != nil {
		return nil, err
	}
	if !d.KeepJobs {
		defer d.cancelJobs(context.WithoutCancel(ctx), jobs)
	}
	seen := newSightings()
	workers, err := hire(ctx, d.Farm, d.Workers, d.TaskTypes, d.Known, seen)
	if err != nil {
		return nil, err
	}
	defer dismiss(context.WithoutCancel(ctx), workers)
	if err := d.giveTags(ctx, workers, tags); err != nil {
		return nil, err
	}
	watch, err := measure.StartWatch(d.PIDs)
	if err != nil {
		return nil, err
	}
	all, took, done := d.work(ctx, workers)
	report := &measure.Report{What: "drain", Managers: d.names(), Workers: d.Workers, Tasks: int(done), Double: seen.double}
	report.Finish(all, took)
	report.Servers, err = watch.Stop()
	return report, err
}

// work lets the Workers run tasks. Those that are under way when the time is over are finished, but do not count.
func (d Drain) work(ctx context.Context, workers []*worker) (all *measure.Recorder, took time.Duration, done int64) {
	timed, cancel := context.WithTimeout(ctx, d.Duration)
	defer cancel()
	enough, reached := context.WithCancel(timed)
	defer reached()
	var count, last atomic.Int64
	if d.Started != nil {
		d.Started()
	}
	start := time.Now()
	var group sync.WaitGroup
	for _, w := range workers {
		w.onClaim = d.OnClaim
		group.Go(func() {
			w.drain(enough, ctx, d.OnComplete, func() {
				if timed.Err() != nil {
					return
				}
				n := count.Add(1)
				last.Store(int64(time.Since(start)))
				if d.Tasks > 0 && n >= int64(d.Tasks) {
					reached()
				}
			})
		})
	}
	select {
	case <-enough.Done():
	case <-d.Enough:
		last.Store(int64(time.Since(start)))
		reached()
	}
	done = count.Load()
	if took = d.Duration; timed.Err() == nil || ctx.Err() != nil {
		took = time.Duration(last.Load())
	}
	group.Wait()
	all = measure.NewRecorder()
	for _, w := range workers {
		all.Merge(w.rec)
	}
	return all, took, done
}

// drain runs tasks until asking ends; the one that it has then it finishes.
func (w *worker) drain(asking, finishing context.Context, onComplete func(string), completed func()) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for asking.Err() == nil {
		start := time.Now()
		task, outcome := w.claim(asking)
		switch outcome {
		case gotTask:
			if w.perform(finishing, task, onComplete) {
				w.rec.Took("cycle", time.Since(start))
				completed()
			}
			continue
		case mustChange:
			if err := w.changeStatus(asking); err == nil {
				continue
			}
		case noTask, refused:
		}
		if pause.Reset(max(0, idlePause-time.Since(start))); !wait(asking, pause) {
			return
		}
	}
}

func wait(ctx context.Context, t *time.Timer) bool {
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d Drain) submit(ctx context.Context) (jobs, tags []string, err error) {
	p := d.person()
	if d.Mixed {
		tags = append(tags, "")
		for _, name := range []string{"bench-a", "bench-b"} {
			id, err := p.Tag(ctx, fmt.Sprintf("%s-%d", name, time.Now().UnixNano()))
			if err != nil {
				return nil, nil, err
			}
			tags = append(tags, id)
		}
	}
	for i := range d.Jobs {
		kind := d.Kind
		if d.Mixed {
			kind.TaskType, kind.Tag = MixedTypes[i%len(MixedTypes)], tags[i%len(tags)]
			kind.Priority += i % 3
		}
		job, err := p.Submit(ctx, kind, d.Tasks/d.Jobs)
		if err != nil {
			return jobs, tags, err
		}
		jobs = append(jobs, job.ID)
	}
	return jobs, tags, nil
}

// giveTags gives one Worker in three both tags, and each other one of them, so that every job can be finished.
func (d Drain) giveTags(ctx context.Context, workers []*worker, tags []string) error {
	if !d.Mixed {
		return nil
	}
	p := d.person()
	for i, w := range workers {
		mine := [][]string{tags[1:], tags[1:2], tags[2:]}[i%3]
		if err := p.SetTags(ctx, w.id, mine); err != nil {
			return err
		}
	}
	return nil
}

// cancelTime is how long the Manager may take to cancel what was not done.
const cancelTime = time.Minute

func (d Drain) cancelJobs(ctx context.Context, jobs []string) {
	ctx, cancel := context.WithTimeout(ctx, cancelTime)
	defer cancel()
	p := d.person()
	for _, id := range jobs {
		if j, err := p.Job(ctx, id); err != nil || j.Status == "completed" {
			continue
		}
		if p.SetJobStatus(ctx, id, "cancel-requested") == nil {
			_ = p.WaitStatus(ctx, id, "canceled") // what is left over makes the next measurement harder, not easier
		}
	}
}

// hire makes Workers that are awake.
func hire(ctx context.Context, f Farm, n int, types []string, known []Identity, seen *sightings) ([]*worker, error) {
	workers := make([]*worker, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range workers {
		group.Go(func() (err error) {
			var identity *Identity
			if i < len(known) {
				identity = &known[i]
			}
			workers[i], err = newWorker(ctx, f.Managers[i%len(f.Managers)], fmt.Sprintf("bench-%d", i+1), types, identity, seen)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		for _, w := range workers {
			if w != nil {
				w.conn.close()
			}
		}
		return nil, err
	}
	return workers, nil
}

func dismiss(ctx context.Context, workers []*worker) {
	ctx, cancel := context.WithTimeout(ctx, cancelTime)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(8)
	for _, w := range workers {
		group.Go(func() error {
			w.signOff(ctx)
			return nil
		})
	}
	_ = group.Wait()
}
