// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"flamenco.farm/test/load/driver"
	"flamenco.farm/test/load/measure"
	"flamenco.farm/test/load/prepare"
)

// asked is the claims of a drain with their times.
type asked struct {
	mu     sync.Mutex
	claims [][2]time.Time
}

func (a *asked) note(asked, got time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.claims = append(a.claims, [2]time.Time{asked, got})
}

// during is the latency of the claims of which at least a part was between two times.
func (a *asked) during(from, to time.Time) measure.Latency {
	a.mu.Lock()
	defer a.mu.Unlock()
	var took []time.Duration
	for _, c := range a.claims {
		if c[1].After(from) && c[0].Before(to) {
			took = append(took, c[1].Sub(c[0]))
		}
	}
	return sampled(measure.LatencyOf(took))
}

// change is what it took to change a job.
type change struct {
	priority, answered float64 // milliseconds
	done               float64 // seconds
	claims             measure.Latency
}

// wholeJob changes the priority of a large job and cancels it, while Workers run tasks of another one.
func wholeJob(ctx context.Context, s *suite) error {
	database, ids, err := s.newDatabase(ctx, nil,
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
	longest, n := 0.0, 0
	var reports runs
	for _, id := range ids[:s.runs] {
		c, report, err := s.changeBeside(ctx, manager, id)
		if err != nil {
			return err
		}
		reports = append(reports, report)
		priority, answered, done = append(priority, c.priority), append(answered, c.answered), append(done, c.done)
		p99, longest, n = append(p99, c.claims.P99), max(longest, c.claims.Max), n+c.claims.N
	}
	s.add("change the priority of a 100,000-task job", fmt.Sprintf("%.1f ms", median(priority)), "≤ 50 ms", verdict(median(priority) <= 50),
		"while 8 Workers run tasks", reports...)
	s.add("cancel a 100,000-task job: answer", fmt.Sprintf("%.1f ms", median(answered)), "≤ 200 ms", verdict(median(answered) <= 200), "", reports...)
	s.add("cancel a 100,000-task job: all of it", fmt.Sprintf("%.2f s", median(done)), "≤ 3 s", verdict(median(done) <= 3), "", reports...)
	s.add("claims of others while it is canceled", fmt.Sprintf("p99 %.1f ms", median(p99)), "≤ 100 ms", verdict(median(p99) <= 100),
		fmt.Sprintf("longest of %d: %.1f ms, 8 Workers", n, longest), reports...)
	return nil
}

// settled is how long Workers run tasks before a job is changed.
const settled = time.Second

// changeBeside changes a job while Workers run tasks of another one.
func (s *suite) changeBeside(ctx context.Context, manager *server, id string) (c change, report *measure.Report, err error) {
	working, enough, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var claims asked
	var failed error
	go func() {
		defer close(ended)
		report, failed = s.drain(ctx, driver.Drain{
			Workers: 8, TaskTypes: []string{"misc"}, Duration: patience, KeepJobs: true,
			Enough: enough, Started: func() { close(working) }, OnClaim: claims.note,
		}, manager)
	}()
	select {
	case <-working:
	case <-ended:
		return c, nil, failed
	}
	c, err = s.change(ctx, driver.NewPerson(manager.url), id, &claims)
	close(enough)
	if <-ended; err == nil {
		err = failed
	}
	return c, report, err
}

func (s *suite) change(ctx context.Context, person *driver.Person, id string, claims *asked) (c change, err error) {
	select {
	case <-time.After(settled):
	case <-ctx.Done():
		return c, ctx.Err()
	}
	start := time.Now()
	if _, err := person.Call(ctx, http.MethodPost, "/jobs/"+id+"/setpriority", map[string]int{"priority": 40}); err != nil {
		return c, err
	}
	c.priority = measure.Milliseconds(time.Since(start))
	start = time.Now()
	if err := person.SetJobStatus(ctx, id, "cancel-requested"); err != nil {
		return c, err
	}
	c.answered = measure.Milliseconds(time.Since(start))
	if err := person.WaitStatus(ctx, id, "canceled"); err != nil {
		return c, err
	}
	end := time.Now()
	c.done = end.Sub(start).Seconds()
	c.claims = claims.during(start, end)
	return c, nil
}
