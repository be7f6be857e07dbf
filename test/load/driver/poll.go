// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"flamenco.farm/test/load/measure"
)

// Poll is people who read lists and pages while Workers drain.
type Poll struct {
	Drain
	People int
	Pause  time.Duration // of each person between two looks
}

// Run drains and reads at the same time.
func (l Poll) Run(ctx context.Context) (*measure.Report, error) {
	job, err := l.person().Submit(ctx, l.Kind, max(1, l.Tasks/10))
	if err != nil {
		return nil, err
	}
	defer l.cancelJobs(context.WithoutCancel(ctx), []string{job.ID})
	reading, stop := context.WithCancel(ctx)
	defer stop()
	shared := measure.NewShared()
	var group sync.WaitGroup
	l.Started = func() {
		for range l.People {
			group.Go(func() {
				rec := measure.NewRecorder()
				l.look(reading, job.ID, rec)
				shared.Merge(rec)
			})
		}
	}
	report, err := l.Drain.Run(ctx)
	stop()
	group.Wait()
	if err != nil {
		return nil, err
	}
	report.What = "poll"
	for call, latency := range shared.Take().Calls() {
		report.Calls[call] = latency
	}
	for kind, n := range shared.Take().Errors() {
		report.Errors[kind] += n
	}
	return report, nil
}

// look reads the jobs, all tasks of a job and then the same page by page, again and again.
func (l Poll) look(ctx context.Context, job string, rec *measure.Recorder) {
	p := l.person()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for wait(ctx, pause) {
		timed(ctx, p, rec, "jobs", "/jobs")
		timed(ctx, p, rec, "all tasks of a job", "/jobs/"+job+"/tasks")
		next := ""
		for range 5 {
			path := fmt.Sprintf("/jobs/%s/tasks?limit=100", job)
			if next != "" {
				path += "&after=" + url.QueryEscape(next)
			}
			if next = timed(ctx, p, rec, "page of tasks", path); next == "" {
				break
			}
		}
		timed(ctx, p, rec, "workers", "/worker-mgt/workers")
		pause.Reset(l.Pause)
	}
}

func timed(ctx context.Context, p *Person, rec *measure.Recorder, name, path string) (next string) {
	start := time.Now()
	_, next, err := p.Read(ctx, path, "gzip")
	switch {
	case err == nil:
		rec.Took(name, time.Since(start))
	case !errors.Is(err, context.Canceled):
		rec.Failed(name, err)
	}
	return next
}
