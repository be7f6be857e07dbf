// SPDX-License-Identifier: GPL-3.0-or-later

package farmstatus_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/farmstatus"
)

func TestTheFarmsStatusIsOneWord(t *testing.T) {
	t.Parallel()
	type jobs = map[farm.JobStatus]int
	type workers = map[farm.WorkerStatus]int
	for _, c := range []struct {
		jobs    jobs
		workers workers
		want    string
	}{
		{jobs{}, workers{}, "inoperative"},
		{jobs{farm.JobActive: 1}, workers{farm.WorkerOffline: 2, farm.WorkerError: 1}, "inoperative"},
		{jobs{farm.JobActive: 1}, workers{farm.WorkerAwake: 1}, "active"},
		{jobs{farm.JobActive: 1}, workers{farm.WorkerAsleep: 1}, "waiting"},
		{jobs{farm.JobQueued: 1}, workers{farm.WorkerAwake: 1}, "waiting"},
		{jobs{farm.JobCompleted: 1}, workers{farm.WorkerAwake: 1, farm.WorkerAsleep: 1}, "idle"},
		{jobs{}, workers{farm.WorkerAsleep: 1}, "asleep"},
	} {
		if got := farmstatus.Of(c.jobs, c.workers); string(got) != c.want {
			t.Errorf("%v %v: %s, want %s", c.jobs, c.workers, got, c.want)
		}
	}
}

// farmOf is how many jobs and workers there are.
type farmOf struct {
	mu      sync.Mutex
	workers map[farm.WorkerStatus]int
	mode    farm.Maintenance
}

func (f *farmOf) Maintenance(context.Context) (farm.Maintenance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mode, nil
}

func (f *farmOf) JobCounts(context.Context) (map[farm.JobStatus]int, error) { return nil, nil }

func (f *farmOf) WorkerCounts(context.Context) (map[farm.WorkerStatus]int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.workers, nil
}

func (f *farmOf) maintain(m farm.Maintenance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode = m
}

func (f *farmOf) set(s farm.WorkerStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workers = map[farm.WorkerStatus]int{s: 1}
}

func TestTheStatusFollowsTheFarmAndIsToldWhenItChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, counts := &event.Bus{}, &farmOf{}
		feed := bus.Attach(nil, slog.New(slog.DiscardHandler), func(farm.Change) bool { return true })
		feed.Listen(farm.ChangeStatus)
		told := func() (all []string) {
			for _, m := range feed.Rest(t.Context()) {
				all = append(all, string(m.Data))
			}
			return all
		}
		k := farmstatus.New(counts, bus, slog.New(slog.DiscardHandler))
		expect := func(want farm.Status, events ...string) {
			t.Helper()
			if got := k.Report().Status; got != want {
				t.Errorf("the farm is %s, want %s", got, want)
			}
			if got := told(); !slices.Equal(got, events) {
				t.Errorf("told %v, want %v", got, events)
			}
		}
		expect(farm.StatusStarting)

		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		synctest.Wait()
		expect(farm.StatusInoperative, `{"status":"inoperative"}`)

		counts.set(farm.WorkerAwake)
		bus.Publish([]farm.Change{{Kind: farm.ChangeTask}, {Kind: farm.ChangeWorker}})
		time.Sleep(time.Second)
		expect(farm.StatusInoperative) // nobody said that a worker has another status
		bus.Publish([]farm.Change{{Kind: farm.ChangeWorker, Moved: true}})
		time.Sleep(time.Second)
		expect(farm.StatusIdle, `{"status":"idle"}`)

		counts.set(farm.WorkerAsleep)
		time.Sleep(time.Minute)
		expect(farm.StatusAsleep, `{"status":"asleep"}`)

		k.SetInoperative("the database is damaged")
		expect(farm.StatusInoperative, `{"status":"inoperative","problems":["the database is damaged"]}`)
		time.Sleep(time.Minute)
		expect(farm.StatusInoperative)
		k.SetInoperative("")
		synctest.Wait()
		expect(farm.StatusAsleep, `{"status":"asleep"}`)

		counts.maintain(farm.Maintenance{On: true, Reason: "a new disk"})
		bus.Publish([]farm.Change{{Kind: farm.ChangeMaintenance}})
		time.Sleep(time.Second)
		expect(farm.StatusAsleep, `{"status":"asleep","problems":["the farm is in maintenance: a new disk"]}`)
		counts.maintain(farm.Maintenance{})
		bus.Publish([]farm.Change{{Kind: farm.ChangeMaintenance}})
		time.Sleep(time.Second)
		expect(farm.StatusAsleep, `{"status":"asleep"}`)
		cancel()
		<-ended
	})
}
