// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"flamenco.farm/test/load/measure"
)

// Logs is Workers that write much log, and people who read its end.
type Logs struct {
	Farm
	Workers   int
	TaskTypes []string
	Kind      JobKind
	Updates   int // of each Worker; 0 = until the time is over
	Duration  time.Duration
}

// Run lets every Worker take a task and append chunks of log to it; each is followed by a look at the end of the log.
func (l Logs) Run(ctx context.Context) (*measure.Report, error) {
	job, err := l.person().Submit(ctx, l.Kind, l.Workers)
	if err != nil {
		return nil, err
	}
	defer Drain{Farm: l.Farm}.cancelJobs(context.WithoutCancel(ctx), []string{job.ID})
	workers, err := hire(ctx, l.Farm, l.Workers, l.TaskTypes, nil, newSightings())
	if err != nil {
		return nil, err
	}
	defer dismiss(context.WithoutCancel(ctx), workers)
	watch, err := measure.StartWatch(l.PIDs)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	done := make(chan struct{})
	for _, w := range workers {
		go func() {
			l.write(ctx, w, start)
			done <- struct{}{}
		}()
	}
	all := measure.NewRecorder()
	for range workers {
		<-done
	}
	took := time.Since(start)
	for _, w := range workers {
		all.Merge(w.rec)
	}
	report := &measure.Report{What: "logs", Managers: l.names(), Workers: l.Workers}
	appended := float64(all.Calls()["append"].N)
	report.Rate = appended / took.Seconds()
	report.Finish(all, took)
	report.Figures = map[string]float64{"mib_per_s": appended * logChunk / (1 << 20) / took.Seconds()}
	report.Servers, err = watch.Stop()
	return report, err
}

func (l Logs) write(ctx context.Context, w *worker, start time.Time) {
	task, outcome := w.claim(ctx)
	if outcome != gotTask {
		return
	}
	headers, path := w.headers(task.assignment), "/worker/task/"+task.id
	for i := 1; (l.Updates == 0 || i <= l.Updates) && time.Since(start) < l.Duration && ctx.Err() == nil; i++ {
		if !w.update(ctx, "append", path, headers, i, w.log) {
			return
		}
		a, ok := w.call(ctx, "tail", http.MethodGet, fmt.Sprintf("/tasks/%s/logtail", task.id), "", nil)
		if !ok {
			return
		}
		if a.status != http.StatusOK {
			w.rec.Status("tail", a.status)
		}
	}
}
