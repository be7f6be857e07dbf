// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"flamenco.farm/test/load/driver"
	"flamenco.farm/test/load/measure"
	"flamenco.farm/test/load/prepare"
)

// frontType is a task type that the measured Workers do not run.
const frontType = "rare"

// claims measures how long it takes to get a task, in a small and in a large database. One Worker asks, so that the figure is
// that of a claim and not of a queue.
func claims(ctx context.Context, s *suite) error {
	small, err := s.claim(ctx, 1, prepare.Jobs{Jobs: 1, Tasks: 1000, TaskType: "misc", Priority: 50})
	if err != nil {
		return err
	}
	s.add("claim, 1,000 tasks", fmt.Sprintf("p50 %.2f ms", small.P50), "", "", fmt.Sprintf("p99 %.2f ms", small.P99))
	done := prepare.Jobs{Jobs: 90, Tasks: 10_000, TaskType: "misc", Priority: 50, Done: true}
	queued := prepare.Jobs{Jobs: 10, Tasks: 10_000, TaskType: "misc", Priority: 50}
	large, err := s.claim(ctx, s.runs, done, queued)
	if err != nil {
		return err
	}
	s.add("claim, 1,000,000 tasks, 100,000 queued", fmt.Sprintf("p50 %.2f ms", large.P50), "≤ 1 ms, ≤ 1.5 × small",
		verdict(large.P50 <= 1 && large.P50 <= 1.5*small.P50), fmt.Sprintf("%.2f × the small database", large.P50/small.P50))
	s.add("claim, 1,000,000 tasks, 100,000 queued", fmt.Sprintf("p99 %.2f ms", large.P99), "≤ 10 ms", verdict(large.P99 <= 10), "")
	fronts := []struct {
		what string
		jobs prepare.Jobs
	}{
		{"claim behind 50,000 tasks that the Worker cannot run", prepare.Jobs{Jobs: 1, Tasks: 50_000, TaskType: frontType, Priority: 90}},
		{"claim behind 50,000 tasks that the Worker is blocked on", prepare.Jobs{Jobs: 1, Tasks: 50_000, TaskType: "misc", Priority: 90, Blocked: []string{measuredWorker.ID}}},
	}
	for _, front := range fronts {
		behind, err := s.claim(ctx, s.runs, front.jobs, queued)
		if err != nil {
			return err
		}
		s.add(front.what, fmt.Sprintf("p99 %.2f ms", behind.P99), "≤ 20 ms", verdict(behind.P99 <= 20), fmt.Sprintf("p50 %.2f ms", behind.P50))
	}
	return nil
}

// measuredWorker asks for tasks in the measurement of claims.
var measuredWorker = prepare.NewWorker(driver.MixedTypes...)

// claim lets one Worker run tasks of a prepared database and returns the median of what claims took.
func (s *suite) claim(ctx context.Context, runs int, jobs ...prepare.Jobs) (measure.Latency, error) {
	folder, err := s.newFolder()
	if err != nil {
		return measure.Latency{}, err
	}
	database, err := s.engine.database(ctx, folder)
	if err != nil {
		return measure.Latency{}, err
	}
	if _, err := prepare.Fill(ctx, database, []prepare.Worker{measuredWorker}, jobs...); err != nil {
		return measure.Latency{}, err
	}
	begin := time.Now()
	manager, err := s.manager(ctx, database)
	if err != nil {
		return measure.Latency{}, err
	}
	defer manager.stop()
	if err := driver.NewPerson(manager.url).Answers(ctx); err != nil {
		return measure.Latency{}, err
	}
	if total := tasksOf(jobs); total >= 1_000_000 {
		took := time.Since(begin)
		s.add("start-up with 1,000,000 tasks", fmt.Sprintf("%.2f s", took.Seconds()), "≤ 1 s", verdict(took <= time.Second), "")
	}
	var p50, p99 []float64
	for range runs {
		report, err := s.drain(ctx, driver.Drain{
			Workers: 1, Known: []driver.Identity{{ID: measuredWorker.ID, Secret: measuredWorker.Secret}},
			TaskTypes: driver.MixedTypes, Duration: s.length / 2, KeepJobs: true, Tasks: 900,
		}, manager)
		if err != nil {
			return measure.Latency{}, err
		}
		p50, p99 = append(p50, report.Calls["claim"].P50), append(p99, report.Calls["claim"].P99)
	}
	return measure.Latency{P50: median(p50), P99: median(p99)}, nil
}

func tasksOf(jobs []prepare.Jobs) (n int) {
	for _, j := range jobs {
		n += j.Jobs * j.Tasks
	}
	return n
}

// wholeJob changes the priority of a large job and cancels it, while Workers run tasks of another one.
func wholeJob(ctx context.Context, s *suite) error {
	folder, err := s.newFolder()
	if err != nil {
		return err
	}
	database, err := s.engine.database(ctx, folder)
	if err != nil {
		return err
	}
	ids, err := prepare.Fill(ctx, database, nil,
		prepare.Jobs{Jobs: s.runs, Tasks: 100_000, TaskType: frontType, Priority: 50}, prepare.Jobs{Jobs: 1, Tasks: 100_000, TaskType: "misc", Priority: 60})
	if err != nil {
		return err
	}
	manager, err := s.manager(ctx, database)
	if err != nil {
		return err
	}
	defer manager.stop()
	var priority, answered, done, p99 []float64
	for _, id := range ids[:s.runs] {
		person := driver.NewPerson(manager.url)
		working, begun := make(chan struct{}), make(chan error, 1)
		var report *measure.Report
		go func() {
			var err error
			report, err = s.drain(ctx, driver.Drain{
				Workers: 8, TaskTypes: []string{"misc"}, Duration: s.length / 2, KeepJobs: true, Started: func() { close(working) },
			}, manager)
			begun <- err
		}()
		select {
		case <-working:
		case err := <-begun:
			return err
		}
		start := time.Now()
		if _, err := person.Call(ctx, http.MethodPost, "/jobs/"+id+"/setpriority", map[string]int{"priority": 40}); err != nil {
			return err
		}
		priority = append(priority, measure.Milliseconds(time.Since(start)))
		start = time.Now()
		if err := person.SetJobStatus(ctx, id, "cancel-requested"); err != nil {
			return err
		}
		answered = append(answered, measure.Milliseconds(time.Since(start)))
		if err := person.WaitStatus(ctx, id, "canceled"); err != nil {
			return err
		}
		done = append(done, time.Since(start).Seconds())
		if err := <-begun; err != nil {
			return err
		}
		p99 = append(p99, report.Calls["claim"].P99)
	}
	s.add("change the priority of a 100,000-task job", fmt.Sprintf("%.1f ms", median(priority)), "≤ 50 ms", verdict(median(priority) <= 50), "while 8 Workers run tasks")
	s.add("cancel a 100,000-task job: answer", fmt.Sprintf("%.1f ms", median(answered)), "≤ 200 ms", verdict(median(answered) <= 200), "")
	s.add("cancel a 100,000-task job: all of it", fmt.Sprintf("%.2f s", median(done)), "≤ 3 s", verdict(median(done) <= 3), "")
	s.add("claims of others meanwhile", fmt.Sprintf("p99 %.1f ms", median(p99)), "≤ 100 ms", verdict(median(p99) <= 100), "8 Workers")
	return nil
}
