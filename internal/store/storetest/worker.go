// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"errors"
	"slices"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func workerTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"a worker keeps what it registers with":           keepsWorkers,
		"task types keep their order":                     keepsTaskTypes,
		"a deleted worker is gone, but its past is not":   deletesWorkers,
		"workers that fell silent are found":              findsSilentWorkers,
		"a worker was not heard of earlier than before":   keepsLastSeen,
		"tags of a worker are replaced, unknown left out": replacesTags,
		"workers can be counted by status":                countsWorkers,
	}
}

func keepsWorkers(f *Farm) {
	id := f.Worker("render-01", "blender", "ffmpeg")
	f.change(id, func(tx *store.Tx, w *store.Worker) error {
		w.Name, w.Address, w.Software, w.Session, w.CanRestart = "new", "10.0.0.9", "3.9", "s1", true
		w.Requested = &farm.StatusRequest{Status: farm.WorkerAsleep, Lazy: true}
		return tx.SaveWorker(w, store.ByManager(""))
	})
	got, err := f.Store.Worker(f.ctx, id)
	f.must(err)
	if got.ID != id || got.Name != "new" || got.Address != "10.0.0.9" || got.Platform != "linux" || got.Software != "3.9" ||
		got.Status != farm.WorkerAwake || got.Session != "s1" || !got.CanRestart || got.Requested == nil ||
		*got.Requested != (farm.StatusRequest{Status: farm.WorkerAsleep, Lazy: true}) || got.Created.IsZero() ||
		got.LastSeen.IsZero() || !slices.Equal(got.TaskTypes, []string{"blender", "ffmpeg"}) {
		f.t.Errorf("the worker is %+v", got)
	}
	f.change(id, func(tx *store.Tx, w *store.Worker) error {
		w.Requested = nil
		return tx.SaveWorker(w, store.ByManager(""))
	})
	if got, err = f.Store.Worker(f.ctx, id); err != nil || got.Requested != nil {
		f.t.Errorf("the worker is %+v, %v", got, err)
	}
	if secret, err := f.Store.WorkerSecret(f.ctx, id); err != nil || secret != "hash of render-01" {
		f.t.Errorf("its secret is %q, %v", secret, err)
	}
}

// A transaction of another Manager that began earlier and comes later.
func keepsLastSeen(f *Farm) {
	id := f.Worker("w", "a")
	var seen time.Time
	f.change(id, func(tx *store.Tx, w *store.Worker) error {
		seen = tx.Now().Add(time.Hour)
		w.LastSeen = seen
		return tx.SaveWorker(w, store.ByManager(""))
	})
	for _, change := range []func(tx *store.Tx, w *store.Worker) error{
		func(tx *store.Tx, w *store.Worker) error { return tx.TouchWorker(w) },
		func(tx *store.Tx, w *store.Worker) error {
			tx.Seen(w)
			return tx.SaveWorker(w, store.ByManager(""))
		},
	} {
		f.change(id, change)
		if got, err := f.Store.Worker(f.ctx, id); err != nil || !got.LastSeen.Equal(seen) {
			f.t.Errorf("last seen at %v, %v, want %v", got.LastSeen, err, seen)
		}
	}
}

func keepsTaskTypes(f *Farm) {
	id := f.Worker("w", "c", "a", "b", "a")
	f.wantTypes(id, "c", "a", "b")
	f.change(id, func(tx *store.Tx, w *store.Worker) error { return tx.SetTaskTypes(w, []string{"b", "c"}) })
	f.wantTypes(id, "b", "c")
	f.change(id, func(tx *store.Tx, w *store.Worker) error { return tx.SetTaskTypes(w, nil) })
	f.wantTypes(id)
}

func (f *Farm) wantTypes(id string, want ...string) {
	f.t.Helper()
	outside, err := f.Store.Worker(f.ctx, id)
	f.must(err)
	var inside []string
	f.change(id, func(tx *store.Tx, w *store.Worker) (err error) {
		inside, err = tx.TaskTypes(w)
		return err
	})
	if !slices.Equal(outside.TaskTypes, want) || !slices.Equal(inside, want) {
		f.t.Errorf("the worker runs %v, inside a transaction %v, not %v", outside.TaskTypes, inside, want)
	}
}

func deletesWorkers(f *Farm) {
	w := f.Worker("w", "a")
	_, tasks := f.Submit(NewJob("j", NewTask("a")))
	f.wantClaim(w, tasks[0])
	f.End(tasks[0], farm.TaskQueued)
	f.change(w, func(tx *store.Tx, w *store.Worker) error {
		w.Deleted, w.Status = true, farm.WorkerOffline
		return tx.SaveWorker(w, store.Why{Who: "user", Reason: "sold"})
	})
	_, err := f.Store.Worker(f.ctx, w)
	f.wantCode(err, farm.CodeNotFound)
	_, err = f.Store.WorkerSecret(f.ctx, w)
	f.wantCode(err, farm.CodeNotFound)
	f.wantCode(f.Store.Do(f.ctx, func(tx *store.Tx) error { _, err := tx.Worker(w); return err }), farm.CodeNotFound)
	f.do(func(tx *store.Tx) error {
		gone, err := tx.AnyWorker(w)
		if err == nil && gone.Name != "w" {
			err = errors.New("the deleted worker has another name")
		}
		return err
	})
	if attempts, err := f.Store.Attempts(f.ctx, tasks[0]); err != nil || len(attempts) != 1 || attempts[0].WorkerName != "w" {
		f.t.Errorf("its attempts are %+v, %v", attempts, err)
	}
	if history, err := f.Store.WorkerHistory(f.ctx, w); err != nil || len(history) != 1 {
		f.t.Errorf("its history is %v, %v", history, err)
	}
	if t := f.task(tasks[0]); t.Worker == nil || t.Worker.ID != w {
		f.t.Errorf("its last task is %+v", t)
	}
}

func findsSilentWorkers(f *Farm) {
	ids := map[farm.WorkerStatus]string{}
	old := time.Now().Add(-time.Hour)
	for _, status := range farm.WorkerStatuses {
		ids[status] = f.Worker(string(status))
		f.change(ids[status], func(tx *store.Tx, w *store.Worker) error {
			w.Status, w.LastSeen = status, old
			return tx.SaveWorker(w, store.ByManager(""))
		})
	}
	gone := f.Worker("gone")
	f.change(gone, func(tx *store.Tx, w *store.Worker) error {
		w.LastSeen, w.Deleted = old, true
		return tx.SaveWorker(w, store.ByManager(""))
	})
	f.Worker("heard of just now")
	want := []string{
		ids[farm.WorkerStarting], ids[farm.WorkerAwake], ids[farm.WorkerAsleep], ids[farm.WorkerTesting], ids[farm.WorkerRestart],
	}
	got, err := f.Store.SilentWorkers(f.ctx, time.Now().Add(-time.Minute))
	if f.must(err); !slices.Equal(got, want) {
		f.t.Errorf("silent are %v, not %v", got, want)
	}
	f.change(ids[farm.WorkerAwake], func(tx *store.Tx, w *store.Worker) error { return tx.TouchWorker(w) })
	got, err = f.Store.SilentWorkers(f.ctx, time.Now().Add(-time.Minute))
	if f.must(err); slices.Contains(got, ids[farm.WorkerAwake]) {
		f.t.Errorf("a worker that was heard of is silent")
	}
}

func replacesTags(f *Farm) {
	w, a, b := f.Worker("w"), f.tag("a"), f.tag("b")
	for _, tags := range [][]string{{b, a, b}, {a, "no such tag"}, {}} {
		f.setTags(w, tags...)
		want := slices.Compact(slices.Sorted(slices.Values(tags)))
		want = slices.DeleteFunc(want, func(id string) bool { return id == "no such tag" })
		var inside, outside []string
		f.change(w, func(tx *store.Tx, w *store.Worker) (err error) {
			inside, err = tx.TagIDs(w)
			return err
		})
		worker, err := f.Store.Worker(f.ctx, w)
		f.must(err)
		for _, t := range worker.Tags {
			outside = append(outside, t.ID)
		}
		slices.Sort(inside)
		slices.Sort(outside)
		if !slices.Equal(inside, want) || !slices.Equal(outside, want) {
			f.t.Errorf("the tags are %v, inside a transaction %v, not %v", outside, inside, want)
		}
	}
}

func countsWorkers(f *Farm) {
	f.Worker("a")
	f.Worker("b")
	gone := f.Worker("c")
	f.change(gone, func(tx *store.Tx, w *store.Worker) error {
		w.Deleted = true
		return tx.SaveWorker(w, store.ByManager(""))
	})
	counts, err := f.Store.WorkerCounts(f.ctx)
	if f.must(err); len(counts) != 1 || counts[farm.WorkerAwake] != 2 {
		f.t.Errorf("the counts are %v", counts)
	}
}
