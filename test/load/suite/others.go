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
	var all runs
	for range s.runs {
		report, err := driver.Submit{Farm: s.farm(manager), Tasks: 50_000, Jobs: 1, Kind: oneJob, Duration: time.Minute}.Run(ctx)
		if err != nil {
			return err
		}
		all = append(all, report)
	}
	took := all.figure("submit_s")
	s.add("submit 50,000 tasks in one job", fmt.Sprintf("%.2f s", took), "≤ 4 s", verdict(took <= 4),
		fmt.Sprintf("of which the script takes %.2f s", all.figure("compile_s")), all...)
	return nil
}

// lists reads the tasks of a large job.
func lists(ctx context.Context, s *suite) error {
	database, ids, err := s.newDatabase(ctx, nil, prepare.Jobs{Jobs: 1, Tasks: 100_000, TaskType: "misc", Priority: 50})
	if err != nil {
		return err
	}
	manager, err := s.manager(ctx, database)
	if err != nil {
		return err
	}
	defer manager.stop()
	page, first, whole := "/jobs/"+ids[0]+"/tasks", 20.0, 1500.0 // milliseconds
	// What a Manager answers first takes as long as the rest of its start.
	cold, err := s.readList(ctx, manager, page+"?limit=100", "identity", 1)
	if err != nil {
		return err
	}
	for _, l := range []struct {
		what, query, encoding string
		reads                 int
		target                float64 // 0 = none
	}{
		{"first page", "?limit=100", "identity", pageReads, first},
		{"first page by name", "?limit=100&order_by=name", "identity", pageReads, 0},
		{"all", "", "identity", s.runs, whole},
		{"all, compressed", "", "gzip", s.runs, whole},
		{"all by name", "?order_by=name", "identity", s.runs, 0},
	} {
		read, err := s.readList(ctx, manager, page+l.query, l.encoding, l.reads)
		if err != nil {
			return err
		}
		what, target, judged := "tasks of a 100,000-task job: "+l.what, "", ""
		if l.target > 0 {
			target, judged = fmt.Sprintf("≤ %.0f ms", l.target), verdict(read.took <= l.target)
		}
		note := fmt.Sprintf("answer of %.2f MB", float64(read.size)/1e6)
		if l.target == first {
			note += fmt.Sprintf(", the median of %d; the first one, while the Manager started, took %.1f ms", l.reads, cold.took)
		}
		s.add(what, fmt.Sprintf("%.1f ms", read.took), target, judged, note)
		if l.target == whole {
			s.add("memory of the Manager meanwhile", fmt.Sprintf("%.0f MiB", read.peak), "< 143 MiB", verdict(read.peak < 143), "150 MB")
		}
	}
	return nil
}

// pageReads is how often a page is read, which takes milliseconds.
const pageReads = 21

// listRead is how a list was read.
type listRead struct {
	took float64 // milliseconds
	peak float64 // of the Manager's memory, in MiB
	size int64   // of the answer
}

// readList reads a list a few times, and returns the medians.
func (s *suite) readList(ctx context.Context, manager *server, path, encoding string, reads int) (read listRead, err error) {
	var times, peaks []float64
	person := driver.NewPerson(manager.url)
	for range reads {
		watch, err := measure.StartWatch([]int{manager.pid()})
		if err != nil {
			return read, err
		}
		start := time.Now()
		if read.size, _, err = person.Read(ctx, path, encoding); err != nil {
			return read, err
		}
		times = append(times, measure.Milliseconds(time.Since(start)))
		usage, err := watch.Stop()
		if err != nil {
			return read, err
		}
		peaks = append(peaks, usage[0].PeakMiB)
	}
	read.took, read.peak = median(times), median(peaks)
	return read, nil
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
	cpu, peak := report.Figures["cpu_percent"], report.Figures["peak_mib"]
	s.add("1,000 idle Workers", fmt.Sprintf("%.2f %% of a core", cpu), "< 2 %", verdict(cpu < 2), fmt.Sprintf("one run of %s", duration), report)
	s.add("1,000 idle Workers, memory", fmt.Sprintf("%.0f MiB", peak), "< 95 MiB", verdict(peak < 95), "100 MB; the same run", report)
	return nil
}

// browsers follow a job that Workers run.
func browsers(ctx context.Context, s *suite) error {
	manager, err := s.newManager(ctx)
	if err != nil {
		return err
	}
	defer manager.stop()
	var all runs
	for range s.runs {
		report, err := driver.Events{Clients: 50, Drain: driver.Drain{
			Farm: s.farm(manager), Workers: 50, TaskTypes: driver.MixedTypes, Tasks: 20_000, Kind: oneJob, Duration: s.length,
		}}.Run(ctx)
		if err != nil {
			return err
		}
		all = append(all, report)
	}
	p99 := all.p99(driver.UpdateToEvent)
	s.add("update to event, 50 browsers, during a drain", fmt.Sprintf("p99 %.0f ms", p99), "≤ 250 ms", verdict(p99 <= 250),
		fmt.Sprintf("p50 %.0f ms, %.0f tasks/s meanwhile", all.p50(driver.UpdateToEvent), all.rate()), all...)
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
	s.add("task cycles while 3 people look each second", fmt.Sprintf("%.0f /s", report.Rate), "", "", fmt.Sprintf("one run; list of jobs p99 %.0f ms, page of tasks p99 %.0f ms, all 2,000 tasks p99 %.0f ms",
		sampled(report.Calls["jobs"]).P99, sampled(report.Calls["page of tasks"]).P99, sampled(report.Calls["all tasks of a job"]).P99), report)
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
	s.add("append 2 kB to logs and read their ends, 10 Workers", fmt.Sprintf("%.0f /s", report.Rate), "", "",
		fmt.Sprintf("one run; append p99 %.1f ms, tail p99 %.1f ms", sampled(report.Calls["append"]).P99, sampled(report.Calls["tail"]).P99), report)
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
		fmt.Sprintf("one run; checkout of 20 files p99 %.0f ms", sampled(report.Calls["checkout"]).P99), report)
	return nil
}
