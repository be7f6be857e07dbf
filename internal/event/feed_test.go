// SPDX-License-Identifier: GPL-3.0-or-later

package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
)

// library is a farm that can be read.
type library struct {
	jobs    map[string]farm.Job
	tasks   map[string]farm.Task
	workers map[string]farm.Worker
	tags    map[string]farm.Tag
	broken  func() error // nil = it works
}

func (l library) err() error {
	if l.broken == nil {
		return nil
	}
	return l.broken()
}

func read[T any](l library, from map[string]T, id string) (T, error) {
	found, ok := from[id]
	if err := l.err(); err != nil {
		return found, err
	}
	if !ok {
		return found, farm.ErrNotExist
	}
	return found, nil
}

func readAll[T any](l library, from map[string]T, ids []string) (map[string]T, error) {
	found := map[string]T{}
	for _, id := range ids {
		if one, err := read(l, from, id); err == nil {
			found[id] = one
		}
	}
	return found, l.err()
}

func (l library) JobsByID(_ context.Context, ids []string) (map[string]farm.Job, error) {
	return readAll(l, l.jobs, ids)
}

func (l library) TasksByID(_ context.Context, ids []string) (map[string]farm.Task, error) {
	return readAll(l, l.tasks, ids)
}

func (l library) WorkersByID(_ context.Context, ids []string) (map[string]farm.Worker, error) {
	return readAll(l, l.workers, ids)
}

func (l library) Tag(_ context.Context, id string) (farm.Tag, error) { return read(l, l.tags, id) }

func everything(farm.Change) bool { return true }

// attach makes a feed that listens to jobs, tasks, workers, logs and tags.
func attach(bus *event.Bus, load event.Loader) *event.Feed {
	f := bus.Attach(load, slog.New(slog.DiscardHandler), everything)
	f.Listen(farm.ChangeJob, farm.ChangeTask, farm.ChangeWorker, farm.ChangeTaskLog, farm.ChangeTag, farm.ChangeStatus)
	return f
}

// told is what a client gets to know of an event.
type told struct {
	Name, ID         string
	From, To         string
	Refresh, Deleted bool
	Log              string
	After            time.Duration // since the test began
}

// next is the next batch of a feed.
func next(t *testing.T, f *event.Feed, since time.Time) (batch []told) {
	t.Helper()
	messages, lost, err := f.Next(t.Context())
	if err != nil || lost {
		t.Fatalf("lost %v, error %v", lost, err)
	}
	return tell(t, messages, since)
}

func tell(t *testing.T, messages []event.Message, since time.Time) (batch []told) {
	t.Helper()
	for _, m := range messages {
		var p struct {
			ID             string `json:"id"`
			TaskID         string `json:"task_id"`
			PreviousStatus string `json:"previous_status"`
			Status         string `json:"status"`
			RefreshTasks   bool   `json:"refresh_tasks"`
			WasDeleted     bool   `json:"was_deleted"`
			Log            string `json:"log"`
		}
		if err := json.Unmarshal(m.Data, &p); err != nil {
			t.Fatalf("%s: %v", m.Data, err)
		}
		batch = append(batch, told{
			Name: m.Name, ID: p.ID + p.TaskID, From: p.PreviousStatus, To: p.Status, Refresh: p.RefreshTasks,
			Deleted: p.WasDeleted, Log: p.Log, After: time.Since(since),
		})
	}
	return batch
}

func compare(t *testing.T, want, got []told) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func job(id string, from, to farm.JobStatus) farm.Change {
	return farm.Change{Kind: farm.ChangeJob, JobID: id, Now: &farm.JobChange{ID: id, Previous: from, Status: to}}
}

func task(id string, from, to farm.TaskStatus) farm.Change {
	return farm.Change{Kind: farm.ChangeTask, JobID: "j", TaskID: id, Now: &farm.TaskChange{ID: id, JobID: "j", Previous: from, Status: to}}
}

func TestABurstIsOneEventThatSpansItAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, bus := time.Now(), &event.Bus{}
		f := attach(bus, library{})
		bus.Publish([]farm.Change{task("t", farm.TaskQueued, farm.TaskActive)})
		compare(t, []told{{Name: "/task", ID: "t", From: "queued", To: "active"}}, next(t, f, start))

		bus.Publish([]farm.Change{task("t", farm.TaskActive, farm.TaskSoftFailed), task("other", farm.TaskQueued, farm.TaskActive)})
		bus.Publish([]farm.Change{task("t", farm.TaskSoftFailed, farm.TaskQueued)})
		compare(t, []told{{Name: "/task", ID: "other", From: "queued", To: "active", After: 4 * time.Millisecond}}, next(t, f, start))
		time.Sleep(10 * time.Millisecond)
		bus.Publish([]farm.Change{task("t", farm.TaskQueued, farm.TaskCompleted)})
		compare(t, []told{{Name: "/task", ID: "t", From: "active", To: "completed", After: event.Pace}}, next(t, f, start))

		time.Sleep(time.Second)
		bus.Publish([]farm.Change{task("t", farm.TaskCompleted, farm.TaskQueued)})
		compare(t, []told{{Name: "/task", ID: "t", From: "completed", To: "queued", After: time.Second + event.Pace}}, next(t, f, start))
	})
}

func TestANewJobStaysNewUntilItIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, bus := time.Now(), &event.Bus{}
		f := attach(bus, library{})
		bus.Publish([]farm.Change{job("j", "", farm.JobQueued)})
		bus.Publish([]farm.Change{job("j", farm.JobQueued, farm.JobActive)})
		compare(t, []told{{Name: "/jobs", ID: "j", To: "active"}}, next(t, f, start))
		bus.Publish([]farm.Change{{Kind: farm.ChangeJob, JobID: "j", Now: &farm.JobChange{ID: "j", Deleted: true}}})
		compare(t, []told{{Name: "/jobs", ID: "j", Deleted: true, After: event.Pace}}, next(t, f, start))
	})
}

func TestManyTasksAtOnceAreOneEventOfTheirJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, bus := time.Now(), &event.Bus{}
		f := attach(bus, library{})
		changed := job("j", farm.JobActive, farm.JobActive)
		changed.Mass = true
		bus.Publish([]farm.Change{{Kind: farm.ChangeTask, JobID: "j", TaskID: "t", Mass: true}, changed})
		bus.Publish([]farm.Change{job("j", farm.JobActive, farm.JobCanceled)})
		messages, _, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		compare(t, []told{{Name: "/jobs", ID: "j", From: "active", To: "canceled", Refresh: true}}, tell(t, messages, start))
		if got := append(slices.Clone(messages[0].Rooms), messages[0].Also); !slices.Equal(got, []string{"/jobs", "/jobs/j"}) {
			t.Errorf("told in %v: those who look at the tasks of the job have to hear it too", got)
		}
	})
}

func TestAFeedThatFallsBehindLetsTheJobSpeakForItsTasks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &event.Bus{}
		f := attach(bus, library{jobs: map[string]farm.Job{"j": {ID: "j", Status: farm.JobActive}}})
		for i := range 5000 {
			bus.Publish([]farm.Change{task(fmt.Sprint(i), farm.TaskQueued, farm.TaskActive)})
		}
		batch := next(t, f, time.Now())
		last := batch[len(batch)-1]
		if len(batch) != 4097 || last.Name != "/jobs" || !last.Refresh || last.To != "active" {
			t.Errorf("%d events, the last is %+v", len(batch), last)
		}
		bus.Publish([]farm.Change{task("again", farm.TaskQueued, farm.TaskActive)})
		if batch := next(t, f, time.Now()); len(batch) != 1 || batch[0].ID != "again" {
			t.Errorf("afterwards %+v", batch)
		}
	})
}

func TestAFeedThatIsNotReadSaysThatItLostEverything(t *testing.T) {
	t.Parallel()
	bus := &event.Bus{}
	f := attach(bus, library{})
	for i := range 5000 {
		bus.Announce(farm.Change{Kind: farm.ChangeTaskLog, TaskID: fmt.Sprint(i), Now: farm.TaskLog("x")})
	}
	if _, lost, err := f.Next(t.Context()); !lost || err != nil {
		t.Errorf("lost %v, error %v", lost, err)
	}
}

func TestWhatAChangeDoesNotSayIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, bus := time.Now(), &event.Bus{}
		f := attach(bus, library{
			jobs:    map[string]farm.Job{"j": {ID: "j", Status: farm.JobPaused}},
			tasks:   map[string]farm.Task{"t": {ID: "t", JobID: "j", Status: farm.TaskFailed, Worker: &farm.TaskWorker{ID: "w", Name: "W"}}},
			workers: map[string]farm.Worker{"w": {ID: "w", Status: farm.WorkerAwake}},
		})
		bus.Publish([]farm.Change{
			{Kind: farm.ChangeJob, JobID: "j"},
			{Kind: farm.ChangeTask, JobID: "j", TaskID: "t"},
			{Kind: farm.ChangeWorker, WorkerID: "w"},
			{Kind: farm.ChangeTask, JobID: "j", TaskID: "gone"},
			{Kind: farm.ChangeJob, JobID: "deleted"},
		})
		compare(t, []told{
			{Name: "/jobs", ID: "j", From: "paused", To: "paused"},
			{Name: "/task", ID: "t", From: "failed", To: "failed"},
			{Name: "/workers", ID: "w", From: "awake", To: "awake"},
			{Name: "/jobs", ID: "deleted", Deleted: true},
		}, next(t, f, start))
	})
}

func TestWhatCannotBeReadIsReadAgainOrLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, bus := time.Now(), &event.Bus{}
		var now error
		end := start.Add(1500 * time.Millisecond) // of the time in which the database is away
		l := library{jobs: map[string]farm.Job{"j": {ID: "j", Status: farm.JobPaused}}, broken: func() error {
			if time.Now().Before(end) {
				return farm.ErrBusy
			}
			return now
		}}
		f := attach(bus, l)
		bus.Publish([]farm.Change{{Kind: farm.ChangeJob, JobID: "j"}, {Kind: farm.ChangeTask, JobID: "j", TaskID: "gone"}})
		compare(t, []told{{Name: "/jobs", ID: "j", From: "paused", To: "paused", After: 2 * time.Second}}, next(t, f, start))
		for _, err := range []error{farm.ErrBusy, errors.New("nobody can read this")} {
			now = err
			bus.Publish([]farm.Change{{Kind: farm.ChangeJob, JobID: "j"}, {Kind: farm.ChangeWorker, WorkerID: "w"}})
			if batch, lost, err := f.Next(t.Context()); !lost || err != nil || len(batch) > 0 {
				t.Errorf("%v: %v, lost %v, %v", now, batch, lost, err)
			}
			now = nil
			time.Sleep(time.Second)
			bus.Publish([]farm.Change{job("j", farm.JobPaused, farm.JobQueued)})
			if batch := next(t, f, start); len(batch) != 1 {
				t.Errorf("afterwards %v", batch)
			}
		}
	})
}

func TestWhatOtherProcessesDidIsHeardToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, bus := time.Now(), &event.Bus{}
		f := attach(bus, library{jobs: map[string]farm.Job{"j": {ID: "j", Status: farm.JobCanceled}}})
		bus.Publish([]farm.Change{
			{Kind: farm.ChangeJobDeleted, JobID: "gone", Job: &farm.Job{ID: "gone"}},
			{Kind: farm.ChangeRefresh, JobID: "j"},
			{Kind: farm.ChangeRefresh, Heard: true},
			{Kind: farm.ChangeRefresh, JobID: "heard", Heard: true},
		})
		compare(t, []told{
			{Name: "/jobs", ID: "gone", Deleted: true},
			{Name: "/jobs", ID: "j", From: "canceled", To: "canceled", Refresh: true},
		}, next(t, f, start))
		bus.Publish([]farm.Change{job("j", farm.JobCanceled, farm.JobQueued), {Kind: farm.ChangeRefresh}})
		if batch, lost, err := f.Next(t.Context()); !lost || err != nil || len(batch) > 0 {
			t.Errorf("anything may have changed, but %v, lost %v, %v", batch, lost, err)
		}
	})
}

func TestTheLogOfATaskArrivesInOrderAndItsMiddleMayBeLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, bus := time.Now(), &event.Bus{}
		f := attach(bus, library{})
		write := func(text string) {
			bus.Announce(farm.Change{Kind: farm.ChangeTaskLog, JobID: "j", TaskID: "t", Now: farm.TaskLog(text)})
		}
		write("one\n")
		compare(t, []told{{Name: "/tasklog", ID: "t", Log: "one\n"}}, next(t, f, start))
		write("two\n")
		write("three\n")
		compare(t, []told{{Name: "/tasklog", ID: "t", Log: "two\nthree\n", After: event.Pace}}, next(t, f, start))
		for range 400 {
			write(strings.Repeat("x", 1023) + "\n")
		}
		write("the end\n")
		got := next(t, f, start)[0].Log
		if len(got) > 256<<10 || !strings.Contains(got, "left out") || !strings.HasSuffix(got, "\nthe end\n") {
			t.Errorf("%d bytes, %.80q … %q", len(got), got, got[len(got)-20:])
		}
	})
}

func TestNothingIsWantedWhileNobodyListens(t *testing.T) {
	t.Parallel()
	bus := &event.Bus{}
	f := bus.Attach(library{}, slog.New(slog.DiscardHandler), everything)
	if bus.Wanted(farm.ChangeJob) {
		t.Error("jobs are wanted before anybody listens")
	}
	f.Listen(farm.ChangeJob)
	if !bus.Wanted(farm.ChangeJob) || bus.Wanted(farm.ChangeTask) {
		t.Error("exactly jobs should be wanted")
	}
	f.Listen()
	bus.Publish([]farm.Change{job("j", "", farm.JobQueued)})
	if bus.Wanted(farm.ChangeJob) || len(f.Rest(t.Context())) != 0 {
		t.Error("jobs are wanted although nobody listens any more")
	}
}

func TestWhatIsLeftIsToldAtTheEndWithoutWaiting(t *testing.T) {
	t.Parallel()
	bus := &event.Bus{}
	f := attach(bus, library{})
	bus.Publish([]farm.Change{task("t", farm.TaskQueued, farm.TaskActive)})
	if _, _, err := f.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	bus.Publish([]farm.Change{task("t", farm.TaskActive, farm.TaskCompleted)})
	if rest := f.Rest(t.Context()); len(rest) != 1 {
		t.Errorf("%d events are left, want 1", len(rest))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing waits, and yet: %v", err)
	}
}

func TestNumbersOfEventsGrow(t *testing.T) {
	t.Parallel()
	bus := &event.Bus{}
	f := attach(bus, library{})
	bus.Publish([]farm.Change{task("a", farm.TaskQueued, farm.TaskActive), task("b", farm.TaskQueued, farm.TaskActive)})
	last := int64(0)
	for _, m := range f.Rest(t.Context()) {
		var p struct{ Seq int64 }
		if err := json.Unmarshal(m.Data, &p); err != nil || p.Seq <= last {
			t.Errorf("%s after %d: %v", m.Data, last, err)
		}
		last = p.Seq
	}
	if last == 0 {
		t.Error("no event had a number")
	}
}
