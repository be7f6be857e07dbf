// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"sync"
	"time"

	"flamenco.farm/test/load/measure"
)

// Idle is Workers that wait for work which does not come.
type Idle struct {
	Farm
	Workers   int
	TaskTypes []string
	Duration  time.Duration
}

// settleTime is how long the Workers may take to have all asked for a task before the measurement begins.
const settleTime = 2 * time.Second

// Run lets the Workers wait.
func (i Idle) Run(ctx context.Context) (*measure.Report, error) {
	workers, err := hire(ctx, i.Farm, i.Workers, i.TaskTypes, nil, newSightings())
	if err != nil {
		return nil, err
	}
	defer dismiss(context.WithoutCancel(ctx), workers)
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	for _, w := range workers {
		group.Go(func() { w.drain(waiting, waiting, nil, func() {}) })
	}
	if !wait(ctx, time.NewTimer(settleTime)) {
		return nil, ctx.Err()
	}
	watch, err := measure.StartWatch(i.PIDs)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	wait(ctx, time.NewTimer(i.Duration))
	took := time.Since(start)
	report := &measure.Report{What: "idle", Managers: i.names(), Workers: i.Workers}
	if report.Servers, err = watch.Stop(); err != nil {
		return nil, err
	}
	stop()
	group.Wait()
	all := measure.NewRecorder()
	for _, w := range workers {
		all.Merge(w.rec)
	}
	report.Finish(all, took)
	report.Figures = map[string]float64{}
	for _, u := range report.Servers {
		report.Figures["cpu_percent"] += 100 * u.CPUSeconds / took.Seconds()
		report.Figures["peak_mib"] = max(report.Figures["peak_mib"], u.PeakMiB)
	}
	return report, nil
}
