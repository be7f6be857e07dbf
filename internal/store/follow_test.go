// SPDX-License-Identifier: GPL-3.0-or-later

package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/testkit/postgres"
)

// patience is how long something may take that happens at once on a machine that has nothing else to do.
const patience = time.Minute

// hearing is one Manager's store, and what it hears of others.
type hearing struct {
	*store.Store
	mu    sync.Mutex
	heard []farm.Change
	more  chan struct{}
}

func (h *hearing) hear(changes []farm.Change) {
	h.mu.Lock()
	for _, c := range changes {
		if c.Remote || c.Kind == farm.ChangeRefresh {
			h.heard = append(h.heard, c)
		}
	}
	h.mu.Unlock()
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// await waits until as many changes were heard that match.
func (h *hearing) await(t *testing.T, n int, match func(farm.Change) bool) []farm.Change {
	t.Helper()
	late := time.After(patience)
	for {
		var found []farm.Change
		h.mu.Lock()
		for _, c := range h.heard {
			if match(c) {
				found = append(found, c)
			}
		}
		h.mu.Unlock()
		if len(found) >= n {
			return found
		}
		select {
		case <-h.more:
		case <-late:
			t.Fatalf("only %d of %d changes were heard", len(found), n)
		}
	}
}

// managers are several stores on one database, each following the others until the test ends.
func managers(t *testing.T, address string, n int) []*hearing {
	t.Helper()
	all := make([]*hearing, n)
	for i := range all {
		all[i] = &hearing{more: make(chan struct{}, 1)}
		all[i].Store = storetest.OpenPostgres(t, address, all[i].hear)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = all[i].Run(ctx) // ends with ctx
		}()
		t.Cleanup(func() { stop(); <-ended })
	}
	for _, m := range all { // what was before, nobody tells
		m.await(t, 1, func(c farm.Change) bool { return c.Kind == farm.ChangeRefresh })
	}
	return all
}

func isTag(c farm.Change) bool { return c.Kind == farm.ChangeTag }

func TestWhatOneManagerCommitsTheOthersHearOnce(t *testing.T) {
	t.Parallel()
	all := managers(t, postgres.Database(t), 3)
	first := make([]string, len(all))
	for i, m := range all {
		tag, err := m.CreateTag(t.Context(), farm.Tag{Name: "of " + string(rune('a'+i))})
		if err != nil {
			t.Fatal(err)
		}
		first[i] = tag.ID
	}
	for i, m := range all {
		for _, c := range m.await(t, len(all)-1, isTag) {
			if c.TagID == first[i] {
				t.Error("a Manager hears of its own change as of another one's")
			}
		}
	}
	// Writers of all sizes at once: what a slow one commits late must not be passed over.
	const each = 100
	var writers sync.WaitGroup
	for _, m := range all {
		for range 4 {
			writers.Go(func() {
				for range each / 4 {
					err := m.Do(t.Context(), func(tx *store.Tx) error {
						tx.Changed(farm.Change{Kind: farm.ChangeJob, JobID: "one"})
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	writers.Wait()
	for _, m := range all {
		heard := m.await(t, each*(len(all)-1), func(c farm.Change) bool { return c.JobID == "one" })
		if len(heard) != each*(len(all)-1) {
			t.Errorf("%d changes were heard instead of %d", len(heard), each*(len(all)-1))
		}
	}
}

func TestAManagerThatWasCutOffHearsAllWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t, "fsync=off")
	all := managers(t, server.Database(t), 2)
	a, b := all[0], all[1]
	create := func(name string) {
		t.Helper()
		late := time.After(patience)
		for {
			_, err := a.CreateTag(t.Context(), farm.Tag{Name: name})
			if err == nil {
				return
			}
			if farm.CodeOf(err) != farm.CodeBusy {
				t.Fatal(err)
			}
			select {
			case <-late:
				t.Fatal(err)
			default: // the call itself waits for the database
			}
		}
	}
	create("before")
	b.await(t, 1, isTag)
	for _, end := range []func() error{server.Stop, server.Kill} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	create("after")
	b.await(t, 2, isTag)
}
