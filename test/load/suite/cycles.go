// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	bareDatabase, _, err := s.newDatabase(ctx, nil, prepare.Jobs{Jobs: 1, Tasks: s.runs * 30_000, TaskType: "misc", Priority: 50})
	if err != nil {
		return err
	}
	bare, err := s.bare(ctx, bareDatabase)
	if err != nil {
		return err
	}
	defer bare.stop()

	base := s.base()
	variants := []*variant{}
	for _, workers := range []int{1, 10, 200, 1000} {
		d := base
		d.Workers = workers
		if workers == 1000 { // a cycle takes a second or more for each of them
			d.Duration = max(d.Duration, 10*time.Second)
		}
		variants = append(variants, &variant{what: fmt.Sprintf("task cycles, Workers: %d", workers), load: d, server: manager})
	}
	large, mixed := base, base
	large.Tasks = 100_000
	mixed.Jobs, mixed.Mixed = 10, true
	variants = append(variants, &variant{what: "task cycles, a 100,000-task job", load: large, server: manager},
		&variant{what: "task cycles, 10 jobs of mixed types and tags", load: mixed, server: manager})

	var ours, theirs runs
	ceiling := base
	ceiling.Jobs, ceiling.KeepJobs, ceiling.Tasks = 0, true, 0
	for n := range s.runs {
		first, err := s.drain(ctx, base, manager)
		if err != nil {
			return err
		}
		limit, err := s.drain(ctx, ceiling, bare)
		if err != nil {
			return err
		}
		ours, theirs = append(ours, first), append(theirs, limit)
		if n < s.rounds() {
			if err := s.compare(ctx, first, manager, variants); err != nil {
				return err
			}
		}
	}
	s.addCycles(ours, theirs)
	for _, v := range variants {
		s.addVariant(v)
	}
	return nil
}

// base is the load of the first row.
func (s *suite) base() driver.Drain {
	return driver.Drain{Workers: 50, TaskTypes: driver.MixedTypes, Tasks: 20_000, Jobs: 1, Kind: oneJob, Duration: s.length}
}

// addCycles adds the first row and its distance to the bare ceiling.
func (s *suite) addCycles(ours, theirs runs) {
	rate, target := ours.rate(), 1000.0
	if s.engine.name() == postgresName {
		target = 600
	}
	var ratios []float64
	for i := range ours {
		ratios = append(ratios, ratio(ours[i].Rate, theirs[i].Rate))
	}
	s.add("task cycles, 50 Workers", fmt.Sprintf("%.0f /s", rate), fmt.Sprintf("≥ %.0f /s", target), verdict(rate >= target),
		fmt.Sprintf("servers use %.2f ms of CPU a cycle", ours.median(cpuPerCycle)), ours...)
	s.add("bare ceiling, 50 Workers", fmt.Sprintf("%.0f /s", theirs.rate()), "", "",
		fmt.Sprintf("servers use %.2f ms of CPU a cycle", theirs.median(cpuPerCycle)), theirs...)
	s.add("distance to the bare ceiling", percent(median(ratios)), "≥ 60 %", verdict(median(ratios) >= 0.6), "", slices.Concat(ours, theirs)...)
}

// cyclesAfterHistory is the first row in a farm that has 100 finished jobs, beside one that has none.
func cyclesAfterHistory(ctx context.Context, s *suite) error {
	empty, err := s.newManager(ctx)
	if err != nil {
		return err
	}
	defer empty.stop()
	manager, err := s.newManager(ctx, prepare.Jobs{Jobs: 100, Tasks: 1000, TaskType: "misc", Priority: 50, Done: true})
	if err != nil {
		return err
	}
	defer manager.stop()
	v := &variant{what: "task cycles, 100 finished jobs of 1,000 tasks", load: s.base(), server: manager}
	first, err := s.drain(ctx, s.base(), empty)
	if err != nil {
		return err
	}
	for range s.rounds() {
		if err := s.compare(ctx, first, empty, []*variant{v}); err != nil {
			return err
		}
		first = v.first[len(v.first)-1]
	}
	s.addVariant(v)
	return nil
}

// oneJob is the job of most rows.
var oneJob = driver.JobKind{Type: driver.ScriptName, TaskType: "misc", Priority: 50}

// variant is a row that is compared with the first one.
type variant struct {
	what   string
	load   driver.Drain
	server *server
	runs   runs
	first  runs      // of the first row, before and after each run
	ratios []float64 // of each run to the first row around it
}

// rounds is how often variants are run: once with full durability, for which they have no targets.
func (s *suite) rounds() int {
	if s.full {
		return 1
	}
	return s.runs
}

// compare runs each variant once. The first row is run before them and after every second one, as a machine that is shared is
// not equally fast all the time; a variant is compared with the mean of the two around it. before is the last run of that row.
func (s *suite) compare(ctx context.Context, before *measure.Report, manager *server, variants []*variant) error {
	for pair := range slices.Chunk(variants, 2) {
		for _, v := range pair {
			report, err := s.drain(ctx, v.load, v.server)
			if err != nil {
				return err
			}
			v.runs = append(v.runs, report)
		}
		after, err := s.drain(ctx, s.base(), manager)
		if err != nil {
			return err
		}
		for _, v := range pair {
			v.first = append(v.first, before, after)
			v.ratios = append(v.ratios, ratio(v.runs[len(v.runs)-1].Rate, (before.Rate+after.Rate)/2))
		}
		before = after
	}
	return nil
}

// addVariant adds the row of a variant.
func (s *suite) addVariant(v *variant) {
	share := median(v.ratios)
	target, ok := "≥ 75 % of 50 Workers", share >= 0.75
	if v.load.Workers == 1 {
		target, ok = "≥ 300 /s", v.runs.rate() >= 300
	}
	note := percent(share) + " of 50 Workers and one job, in turns"
	if len(v.runs) == 1 {
		note += ", one run"
	}
	s.add(v.what, fmt.Sprintf("%.0f /s", v.runs.rate()), target, verdict(ok), note, slices.Concat(v.runs, v.first)...)
}

func percent(f float64) string { return fmt.Sprintf("%.0f %%", 100*f) }

// newDatabase makes a database with Workers and jobs in it.
func (s *suite) newDatabase(ctx context.Context, workers []prepare.Worker, jobs ...prepare.Jobs) (database string, ids []string, err error) {
	folder, err := s.newFolder()
	if err != nil {
		return "", nil, err
	}
	if database, err = s.engine.database(ctx, folder); err != nil || len(jobs) == 0 {
		return database, nil, err
	}
	ids, err = prepare.Fill(ctx, database, workers, jobs...)
	return database, ids, err
}

// newManager starts a Manager on a new database with jobs in it.
func (s *suite) newManager(ctx context.Context, jobs ...prepare.Jobs) (*server, error) {
	database, _, err := s.newDatabase(ctx, nil, jobs...)
	if err != nil {
		return nil, err
	}
	return s.manager(ctx, database)
}

var errDouble = errors.New("a task was given to two Workers")

// drain runs one load and looks for what must never happen.
func (s *suite) drain(ctx context.Context, d driver.Drain, servers ...*server) (*measure.Report, error) {
	d.Farm = s.farm(servers...)
	report, err := d.Run(ctx)
	if err == nil && report.Double > 0 {
		err = fmt.Errorf("%w, %d times", errDouble, report.Double)
	}
	return report, err
}

func cpuPerCycle(r *measure.Report) float64 {
	total := 0.0
	for _, u := range r.Servers {
		total += u.CPUSeconds
	}
	return ratio(1000*total, float64(r.Calls["cycle"].N))
}
