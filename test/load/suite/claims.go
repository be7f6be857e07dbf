// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"fmt"
	"time"

	"flamenco.farm/test/load/driver"
	"flamenco.farm/test/load/prepare"
)

// frontType is a task type that the measured Workers do not run.
const frontType = "rare"

// measuredWorker asks for tasks in the measurement of claims.
var measuredWorker = prepare.NewWorker(driver.MixedTypes...)

// claims measures how long it takes to get a task, in a small and in a large database. One Worker asks, so that the figure is
// that of a claim and not of a queue. The large database is used for all rows, and each start on it is one of start-up.
func claims(ctx context.Context, s *suite) error {
	worker := []prepare.Worker{measuredWorker}
	database, _, err := s.newDatabase(ctx, worker, prepare.Jobs{Jobs: 1, Tasks: 1000, TaskType: "misc", Priority: 50})
	if err != nil {
		return err
	}
	small, _, err := s.claim(ctx, database, 900/s.runs)
	if err != nil {
		return err
	}
	s.add("claim, 1,000 tasks", fmt.Sprintf("p50 %.2f ms", small.p50("claim")), "", "", fmt.Sprintf("p99 %.2f ms", small.p99("claim")), small...)
	database, _, err = s.newDatabase(ctx, worker,
		prepare.Jobs{Jobs: 90, Tasks: 10_000, TaskType: "misc", Priority: 50, Done: true},
		prepare.Jobs{Jobs: 10, Tasks: 10_000, TaskType: "misc", Priority: 50})
	if err != nil {
		return err
	}
	large, started, err := s.claim(ctx, database, 900)
	if err != nil {
		return err
	}
	starts := []float64{started}
	p50, p99, times := large.p50("claim"), large.p99("claim"), ratio(large.p50("claim"), small.p50("claim"))
	s.add("claim, 1,000,000 tasks, 100,000 queued", fmt.Sprintf("p50 %.2f ms", p50), "≤ 1 ms, ≤ 1.5 × small",
		verdict(p50 <= 1 && times <= 1.5), fmt.Sprintf("%.2f × the small database", times), append(large, small...)...)
	s.add("claim, 1,000,000 tasks, 100,000 queued", fmt.Sprintf("p99 %.2f ms", p99), "≤ 10 ms", verdict(p99 <= 10), "", large...)
	fronts := []struct {
		what string
		jobs prepare.Jobs
	}{
		{"the same behind 50,000 tasks that the Worker cannot run", prepare.Jobs{Jobs: 1, Tasks: 50_000, TaskType: frontType, Priority: 90}},
		{"the same behind 50,000 tasks that the Worker is blocked on", prepare.Jobs{Jobs: 1, Tasks: 50_000, TaskType: "misc", Priority: 90, Blocked: []string{measuredWorker.ID}}},
	}
	for _, front := range fronts {
		ids, err := prepare.Fill(ctx, database, nil, front.jobs)
		if err != nil {
			return err
		}
		behind, started, err := s.claim(ctx, database, 900, ids...)
		if err != nil {
			return err
		}
		starts = append(starts, started)
		s.add(front.what, fmt.Sprintf("p99 %.2f ms", behind.p99("claim")), "≤ 20 ms", verdict(behind.p99("claim") <= 20),
			fmt.Sprintf("p50 %.2f ms", behind.p50("claim")), behind...)
	}
	s.add("start-up with 1,000,000 tasks", fmt.Sprintf("%.2f s", median(starts)), "≤ 1 s", verdict(median(starts) <= 1), "the starts for the three rows above")
	return nil
}

// claim starts a Manager, says how many seconds that took, lets one Worker run so many tasks of a prepared database a few times,
// and cancels jobs afterwards.
func (s *suite) claim(ctx context.Context, database string, tasks int, cancel ...string) (all runs, started float64, err error) {
	begin := time.Now()
	manager, err := s.manager(ctx, database)
	if err != nil {
		return nil, 0, err
	}
	defer manager.stop()
	person := driver.NewPerson(manager.url)
	if err := person.Answers(ctx); err != nil {
		return nil, 0, err
	}
	started = time.Since(begin).Seconds()
	for range s.runs {
		report, err := s.drain(ctx, driver.Drain{
			Workers: 1, Known: []driver.Identity{{ID: measuredWorker.ID, Secret: measuredWorker.Secret}},
			TaskTypes: driver.MixedTypes, Duration: s.length, KeepJobs: true, Tasks: tasks,
		}, manager)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, report)
	}
	for _, id := range cancel {
		if err := person.SetJobStatus(ctx, id, "cancel-requested"); err != nil {
			return nil, 0, err
		}
		if err := person.WaitStatus(ctx, id, "canceled"); err != nil {
			return nil, 0, err
		}
	}
	return all, started, nil
}
