// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/internal/testkit/postgres"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

const (
	tasksPerJob      = 2000
	simulatedWorkers = 22
	realWorkers      = 2
	manySlots        = 4 // of every fourth simulated Worker
)

// howLong is for how long things go wrong: 90 s, or what SOAK says.
func howLong(t *testing.T) time.Duration {
	t.Helper()
	text, given := os.LookupEnv("SOAK")
	if !given {
		return 90 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SOAK: %v", err)
	}
	return d
}

// seedOf is the seed of the dice, which CHAOS_SEED repeats.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64N(1_000_000)
	if text, given := os.LookupEnv("CHAOS_SEED"); given {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	fmt.Printf("%s: CHAOS_SEED=%d\n", t.Name(), seed) // also when nothing fails
	return seed
}

func TestThreeManagersOnPostgreSQLCountEveryTaskOnceInChaos(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	server := postgres.Start(t, "fsync=on", "synchronous_commit=on")
	s := newSite(t, seed, 3, server)
	wrong := s.chaos(howLong(t))
	found, err := storetest.NewChecker(storetest.LookAtPostgres(t, s.database)).Violations(t.Context())
	if err != nil {
		t.Error(err)
	}
	s.verdict(append(wrong, found...))
	if s.record.restarts < 2 {
		t.Errorf("the database was restarted %d times, want 2", s.record.restarts)
	}
}

func TestAManagerOnSQLiteCountsEveryTaskOnceInChaos(t *testing.T) {
	t.Parallel()
	s := newSite(t, seedOf(t), 1, nil)
	wrong := s.chaos(howLong(t))
	storetest.CheckInvariants(t, s.database)
	s.verdict(wrong)
}

// verdict shows what is wrong, not all of it when that is much.
func (s *site) verdict(wrong []string) {
	s.t.Helper()
	s.t.Log(s.record)
	for i, w := range wrong {
		if i == 30 {
			s.t.Errorf("and %d more", len(wrong)-i)
			break
		}
		s.t.Error(w)
	}
}

// chaos lets a farm work while everything goes wrong, ends that, waits until all is done, and answers what is wrong then.
func (s *site) chaos(d time.Duration) (wrong []string) {
	s.t.Helper()
	c := s.client()
	if err := s.submit(s.t.Context(), c, tasksPerJob); err != nil {
		s.t.Fatal(err)
	}
	working, stopWork := context.WithCancel(context.Background())
	defer stopWork()
	var late, workers sync.WaitGroup
	all := s.simulate(working, &late, &workers)
	processes := s.realWorkers()

	failing, stopFaults := context.WithCancel(working)
	var faults sync.WaitGroup
	for i, p := range s.managers {
		faults.Go(func() { s.torment(failing, p, newDice(s.seed, uint64(1000+i)), 50, 18*time.Second) })
	}
	for i, p := range processes {
		faults.Go(func() { s.torment(failing, p, newDice(s.seed, uint64(1500+i)), 30, 10*time.Second) })
	}
	for _, p := range append(processes, s.managers...) {
		workers.Go(func() { s.keepUp(working, p) })
	}
	if s.server != nil {
		faults.Go(func() { s.restartDatabase(failing, newDice(s.seed, 2000), d/3) })
	}
	began := time.Now()
	s.keepBusy(c, d)
	stopFaults()
	faults.Wait()
	s.heal()
	s.dice.settle()
	for _, w := range all {
		w.dice.settle()
	}
	after := time.Now()
	s.awaitEnd(c)
	s.t.Logf("%.0f s of faults, %d connections broken; the rest took %.0f s", after.Sub(began).Seconds(), s.hurt(), time.Since(after).Seconds())
	stopWork()
	workers.Wait()
	late.Wait()
	for _, p := range processes {
		p.end()
	}
	found := s.readLogs()
	tasks := s.end()
	attempts := 0
	for _, t := range tasks {
		attempts += len(t.Attempts)
	}
	s.t.Logf("%d tasks, %d attempts", len(tasks), attempts)
	if len(tasks) < tasksPerJob {
		s.t.Errorf("%d tasks, want %d", len(tasks), tasksPerJob)
	}
	runs, err := history.ReadTally(s.tally(), tasks)
	if err != nil {
		s.t.Error(err)
	}
	s.t.Logf("%d lines of logs have to be there", len(s.record.lines))
	return append(s.record.check(tasks, runs), s.record.checkLogs(tasks, found)...)
}

// simulate starts the simulated Workers.
func (s *site) simulate(ctx context.Context, late, workers *sync.WaitGroup) (all []*simulated) {
	s.t.Helper()
	for i := range simulatedWorkers {
		w := &simulated{line: s.line(uint64(i + 1)), name: fmt.Sprint("simulated-", i+1), slots: 1, late: late}
		if i%4 == 0 {
			w.slots = manySlots
		}
		all = append(all, w)
		workers.Go(func() {
			if err := w.enlist(ctx, w.name); err != nil {
				s.record.complain("%v", err)
				return
			}
			w.live(ctx)
		})
	}
	return all
}

// minima are how often things must have gone wrong at least, or the test would prove little.
func (s *site) enough() bool {
	r := s.record
	for _, one := range []struct {
		n    *int
		want int
	}{{&r.kills, 4}, {&r.stops, 4}, {&r.outages, 10}, {&r.freezes, 10}, {&r.crashes, 10}, {&r.doubled, 40}, {&r.delayed, 40}, {&r.refused, 5}, {&r.fenced, 5}} {
		if r.read(one.n) < one.want {
			return false
		}
	}
	return s.hurt() >= 200 && (s.server == nil || r.read(&r.restarts) == 2)
}

// keepBusy submits another job whenever all are done, until time is over and enough went wrong.
func (s *site) keepBusy(c *client.Client, d time.Duration) {
	s.t.Helper()
	limit := time.Now().Add(5*d + patience)
	for end := time.Now().Add(d); time.Now().Before(end) || !s.enough(); {
		if time.Now().After(limit) {
			s.t.Errorf("too little went wrong to prove anything: %v", s.record)
			return
		}
		if left, err := s.open(c); err != nil {
			s.t.Log("looking at the jobs: ", err)
		} else if left == 0 {
			if err := s.submit(s.t.Context(), c, tasksPerJob); err != nil {
				s.t.Log("submitting a job: ", err)
			}
		}
		_ = pause(s.t.Context(), time.Second)
	}
}

// open is how many tasks are not completed.
func (s *site) open(c *client.Client) (n int, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for job, err := range c.Jobs(ctx, client.List{}) {
		if err != nil {
			return 0, err
		}
		if job.Status != api.JobStatusCompleted {
			n += max(1, job.StepsTotal-job.StepsCompleted)
		}
	}
	return n, nil
}

// awaitEnd waits until all jobs are completed, as long as there is progress.
func (s *site) awaitEnd(c *client.Client) {
	s.t.Helper()
	last, since := -1, time.Now()
	for {
		left, err := s.open(c)
		if err == nil && left == 0 {
			return
		}
		if err == nil && left != last {
			last, since = left, time.Now()
		}
		if time.Since(since) > patience {
			s.t.Errorf("%d steps are left and nothing moves: %v", left, err)
			return
		}
		if pause(s.t.Context(), time.Second) != nil {
			return
		}
	}
}
