// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flamenco.farm/test/load/driver"
	"flamenco.farm/test/load/measure"
	"flamenco.farm/test/load/prepare"
)

// cycles is the first row of the targets: how many tasks 50 Workers get done, and the bare ceiling beside it, one after the
// other so that both have the same neighbours. Then the same with other numbers and other databases.
func cycles(ctx context.Context, s *suite) error {
	manager, err := s.newManager(ctx)
	if err != nil {
		return err
	}
	defer manager.stop()
	bareFolder, err := s.newFolder()
	if err != nil {
		return err
	}
	bareDatabase, err := s.engine.database(ctx, bareFolder)
	if err != nil {
		return err
	}
	if _, err := prepare.Fill(ctx, bareDatabase, nil, prepare.Jobs{Jobs: 1, Tasks: s.runs * 30_000, TaskType: "misc", Priority: 50}); err != nil {
		return err
	}
	bare, err := s.bare(ctx, bareDatabase)
	if err != nil {
		return err
	}
	defer bare.stop()

	base := driver.Drain{Workers: 50, TaskTypes: driver.MixedTypes, Tasks: 20_000, Jobs: 1, Kind: oneJob, Duration: s.length}
	var rates, ceilings, ratios, cpu, bareCPU []float64
	for range s.runs {
		ours, err := s.drain(ctx, base, manager)
		if err != nil {
			return err
		}
		ceiling := base
		ceiling.Jobs, ceiling.KeepJobs, ceiling.Tasks = 0, true, 0
		theirs, err := s.drain(ctx, ceiling, bare)
		if err != nil {
			return err
		}
		rates, ceilings = append(rates, ours.Rate), append(ceilings, theirs.Rate)
		ratios = append(ratios, ours.Rate/theirs.Rate)
		cpu, bareCPU = append(cpu, cpuPerCycle(ours)), append(bareCPU, cpuPerCycle(theirs))
	}
	rate, target := median(rates), 1000.0
	if s.engine.name() == postgresName {
		target = 600
	}
	s.add("task cycles, 50 Workers", fmt.Sprintf("%.0f /s", rate), fmt.Sprintf("≥ %.0f /s", target), verdict(rate >= target),
		fmt.Sprintf("servers use %.2f ms of CPU a cycle", median(cpu)))
	s.add("bare ceiling, 50 Workers", fmt.Sprintf("%.0f /s", median(ceilings)), "", "", fmt.Sprintf("servers use %.2f ms of CPU a cycle", median(bareCPU)))
	s.add("distance to the bare ceiling", percent(median(ratios)), "≥ 60 %", verdict(median(ratios) >= 0.6), "")
	for _, workers := range []int{1, 10, 200, 1000} {
		d := base
		d.Workers = workers
		if workers == 1000 { // a cycle takes a second or more for each of them
			d.Duration = max(d.Duration, 10*time.Second)
		}
		if err := s.variant(ctx, fmt.Sprintf("task cycles, Workers: %d", workers), d, rate, manager); err != nil {
			return err
		}
	}
	large := base
	large.Tasks = 100_000
	if err := s.variant(ctx, "task cycles, a 100,000-task job", large, rate, manager); err != nil {
		return err
	}
	mixed := base
	mixed.Jobs, mixed.Mixed = 10, true
	return s.variant(ctx, "task cycles, 10 jobs of mixed types and tags", mixed, rate, manager)
}

// cyclesAfterHistory is the first row in a farm that has 100 finished jobs.
func cyclesAfterHistory(ctx context.Context, s *suite) error {
	manager, err := s.newManager(ctx, prepare.Jobs{Jobs: 100, Tasks: 1000, TaskType: "misc", Priority: 50, Done: true})
	if err != nil {
		return err
	}
	defer manager.stop()
	d := driver.Drain{Workers: 50, TaskTypes: driver.MixedTypes, Tasks: 20_000, Jobs: 1, Kind: oneJob, Duration: s.length}
	return s.variant(ctx, "task cycles, 100 finished jobs of 1,000 tasks", d, s.firstRate(), manager)
}

// firstRate is the figure of the first row, 0 if that was not measured.
func (s *suite) firstRate() (rate float64) {
	for _, l := range s.table.lines {
		if l.what == "task cycles, 50 Workers" && l.engine == s.engine.name() && l.durability == s.durability() {
			_, _ = fmt.Sscanf(l.measured, "%f", &rate)
		}
	}
	return rate
}

// oneJob is the job of most rows.
var oneJob = driver.JobKind{Type: driver.ScriptName, TaskType: "misc", Priority: 50}

// variant is a row that is compared with the first one.
func (s *suite) variant(ctx context.Context, what string, d driver.Drain, first float64, servers ...*server) error {
	var rates []float64
	for range s.runs {
		report, err := s.drain(ctx, d, servers...)
		if err != nil {
			return err
		}
		rates = append(rates, report.Rate)
	}
	rate, target, note := median(rates), "", ""
	ok := true
	switch {
	case d.Workers == 1:
		target, ok = "≥ 300 /s", rate >= 300
	case first > 0:
		target, ok = fmt.Sprintf("≥ %.0f /s", 0.75*first), rate >= 0.75*first
		note = percent(rate/first) + " of the first row"
	}
	s.add(what, fmt.Sprintf("%.0f /s", rate), target, verdict(ok), note)
	return nil
}

func percent(f float64) string { return fmt.Sprintf("%.0f %%", 100*f) }

// newManager starts a Manager on a new database with jobs in it.
func (s *suite) newManager(ctx context.Context, jobs ...prepare.Jobs) (*server, error) {
	folder, err := s.newFolder()
	if err != nil {
		return nil, err
	}
	database, err := s.engine.database(ctx, folder)
	if err != nil {
		return nil, err
	}
	if len(jobs) > 0 {
		if _, err := prepare.Fill(ctx, database, nil, jobs...); err != nil {
			return nil, err
		}
	}
	return s.manager(ctx, database)
}

var errDouble = errors.New("a task was given to two Workers")

// drain runs one load and looks for what must never happen.
func (s *suite) drain(ctx context.Context, d driver.Drain, servers ...*server) (*measure.Report, error) {
	d.Farm = s.farm(servers...)
	report, err := d.Run(ctx)
	if err != nil {
		return nil, err
	}
	return report, s.check(report)
}

// check shows errors of a load; a task that was given away twice is one of ours.
func (s *suite) check(report *measure.Report) error {
	if len(report.Errors) > 0 {
		fmt.Fprintln(s.Progress, "  errors:", report.Errors)
	}
	if report.Double > 0 {
		return fmt.Errorf("%w, %d times", errDouble, report.Double)
	}
	return nil
}

func cpuPerCycle(r *measure.Report) float64 {
	total := 0.0
	for _, u := range r.Servers {
		total += u.CPUSeconds
	}
	return 1000 * total / float64(max(1, r.Calls["cycle"].N))
}
