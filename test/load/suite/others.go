// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"fmt"
	"time"

	"flamenco.farm/test/load/driver"
	"flamenco.farm/test/load/measure"
	"flamenco.farm/test/load/prepare"
)

// submission submits a large job.
func submission(ctx context.Context, s *suite) error {
	manager, err := s.newManager(ctx)
	if err != nil {
		return err
	}
	defer manager.stop()
	var all, compile []float64
	for range s.runs {
		report, err := driver.Submit{Farm: s.farm(manager), Tasks: 50_000, Jobs: 1, Kind: oneJob, Duration: time.Minute}.Run(ctx)
		if err != nil {
			return err
		}
		all, compile = append(all, report.Figures["submit_s"]), append(compile, report.Figures["compile_s"])
	}
	s.add("submit 50,000 tasks in one job", fmt.Sprintf("%.2f s", median(all)), "≤ 4 s", verdict(median(all) <= 4),
		fmt.Sprintf("of which the script takes %.2f s", median(compile)))
	return nil
}

// lists reads the tasks of a large job.
func lists(ctx context.Context, s *suite) error {
	folder, err := s.newFolder()
	if err != nil {
		return err
	}
	database, err := s.engine.database(ctx, folder)
	if err != nil {
		return err
	}
	ids, err := prepare.Fill(ctx, database, nil, prepare.Jobs{Jobs: 1, Tasks: 100_000, TaskType: "misc", Priority: 50})
	if err != nil {
		return err
	}
	manager, err := s.manager(ctx, database)
	if err != nil {
		return err
	}
	defer manager.stop()
	person := driver.NewPerson(manager.url)
	var first, whole, peak []float64
	for range s.runs {
		start := time.Now()
		if _, _, err := person.Read(ctx, "/jobs/"+ids[0]+"/tasks?limit=100"); err != nil {
			return err
		}
		first = append(first, measure.Milliseconds(time.Since(start)))
		watch, err := measure.StartWatch([]int{manager.pid()})
		if err != nil {
			return err
		}
		start = time.Now()
		if _, _, err := person.Read(ctx, "/jobs/"+ids[0]+"/tasks"); err != nil {
			return err
		}
		whole = append(whole, time.Since(start).Seconds())
		usage, err := watch.Stop()
		if err != nil {
			return err
		}
		peak = append(peak, usage[0].PeakMiB)
	}
	s.add("tasks of a 100,000-task job: first page", fmt.Sprintf("%.1f ms", median(first)), "≤ 20 ms", verdict(median(first) <= 20), "100 tasks")
	s.add("tasks of a 100,000-task job: all", fmt.Sprintf("%.2f s", median(whole)), "≤ 1.5 s", verdict(median(whole) <= 1.5), "")
	s.add("memory of the Manager meanwhile", fmt.Sprintf("%.0f MiB", median(peak)), "< 143 MiB", verdict(median(peak) < 143), "150 MB")
	return nil
}

// idleWorkers lets 1,000 Workers wait for longer than a request is held, once: it is slow to measure and hardly varies.
func idleWorkers(ctx context.Context, s *suite) error {
	manager, err := s.newManager(ctx)
	if err != nil {
		return err
	}
	defer manager.stop()
	duration := time.Minute
	if s.Quick {
		duration = s.length
	}
	farm := s.farm(manager)
	farm.PIDs = []int{manager.pid()}
	report, err := driver.Idle{Farm: farm, Workers: 1000, TaskTypes: driver.MixedTypes, Duration: duration}.Run(ctx)
	if err != nil {
		return err
	}
	if err := s.check(report); err != nil {
		return err
	}
	cpu, peak := report.Figures["cpu_percent"], report.Figures["peak_mib"]
	s.add("1,000 idle Workers", fmt.Sprintf("%.2f %% of a core", cpu), "< 2 %", verdict(cpu < 2), fmt.Sprintf("over %s", duration))
	s.add("1,000 idle Workers, memory", fmt.Sprintf("%.0f MiB", peak), "< 95 MiB", verdict(peak < 95), "100 MB")
	return nil
}

// browsers follow a job that Workers run.
func browsers(ctx context.Context, s *suite) error {
	manager, err := s.newManager(ctx)
	if err != nil {
		return err
	}
	defer manager.stop()
	var p50, p99, rate, missing []float64
	for range s.runs {
		report, err := driver.Events{Clients: 50, Drain: driver.Drain{
			Farm: s.farm(manager), Workers: 50, TaskTypes: driver.MixedTypes, Tasks: 20_000, Kind: oneJob, Duration: s.length,
		}}.Run(ctx)
		if err != nil {
			return err
		}
		if err := s.check(report); err != nil {
			return err
		}
		delay := report.Calls["update to event"]
		p50, p99, rate = append(p50, delay.P50), append(p99, delay.P99), append(rate, report.Rate)
		missing = append(missing, report.Figures["events_missing"])
	}
	s.add("update to event, 50 browsers, during a drain", fmt.Sprintf("p99 %.0f ms", median(p99)), "≤ 250 ms", verdict(median(p99) <= 250),
		fmt.Sprintf("p50 %.0f ms, %.0f tasks/s meanwhile, %.0f events missing", median(p50), median(rate), median(missing)))
	return nil
}

// readers look at lists while Workers run tasks.
func readers(ctx context.Context, s *suite) error {
	manager, err := s.newManager(ctx)
	if err != nil {
		return err
	}
	defer manager.stop()
	report, err := driver.Poll{People: 3, Pause: time.Second, Drain: driver.Drain{
		Farm: s.farm(manager), Workers: 50, TaskTypes: driver.MixedTypes, Tasks: 20_000, Jobs: 1, Kind: oneJob, Duration: s.length,
	}}.Run(ctx)
	if err != nil {
		return err
	}
	if err := s.check(report); err != nil {
		return err
	}
	s.add("task cycles while 3 people look each second", fmt.Sprintf("%.0f /s", report.Rate), "", "", fmt.Sprintf("list of jobs p99 %.0f ms, page of tasks p99 %.0f ms, all 2,000 tasks p99 %.0f ms",
		report.Calls["jobs"].P99, report.Calls["page of tasks"].P99, report.Calls["all tasks of a job"].P99))
	return nil
}

// taskLogs appends to logs and reads their ends.
func taskLogs(ctx context.Context, s *suite) error {
	manager, err := s.newManager(ctx)
	if err != nil {
		return err
	}
	defer manager.stop()
	report, err := driver.Logs{Farm: s.farm(manager), Workers: 10, TaskTypes: driver.MixedTypes, Kind: oneJob, Duration: s.length}.Run(ctx)
	if err != nil {
		return err
	}
	if err := s.check(report); err != nil {
		return err
	}
	s.add("append 2 kB to logs and read their ends, 10 Workers", fmt.Sprintf("%.0f /s", report.Rate), "", "",
		fmt.Sprintf("append p99 %.1f ms, tail p99 %.1f ms", report.Calls["append"].P99, report.Calls["tail"].P99))
	return nil
}

// uploads stores files and makes checkouts.
func uploads(ctx context.Context, s *suite) error {
	manager, err := s.newManager(ctx)
	if err != nil {
		return err
	}
	defer manager.stop()
	report, err := driver.Shaman{Farm: s.farm(manager), Files: 20, Size: 1 << 20, Rounds: 20, Duration: s.length}.Run(ctx)
	if err != nil {
		return err
	}
	s.add("upload files of 1 MiB, one after the other", fmt.Sprintf("%.0f MiB/s", report.Figures["mib_per_s"]), "", "",
		fmt.Sprintf("checkout of 20 files p99 %.0f ms", report.Calls["checkout"].P99))
	return nil
}
