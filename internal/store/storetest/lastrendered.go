// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func lastRenderedTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"the job that rendered last is known":                              knowsLastRendered,
		"a job that is to be deleted has no picture any more":              forgetsDeleted,
		"the newest picture is the newest although the clock stands still": outrunsClock,
	}
}

func (f *Farm) rendered(jobID string) {
	f.t.Helper()
	f.do(func(tx *store.Tx) error { return tx.SetLastRendered(jobID) })
}

func (f *Farm) wantLastRendered(jobID string) {
	f.t.Helper()
	if got, err := f.Store.LastRenderedJob(f.ctx); err != nil || got != jobID {
		f.t.Errorf("job %s has the newest picture, not %s: %v", got, jobID, err)
	}
}

func knowsLastRendered(f *Farm) {
	a, _ := f.Submit(NewJob("a", NewTask("a")))
	b, _ := f.Submit(NewJob("b", NewTask("a")))
	_, err := f.Store.LastRenderedJob(f.ctx)
	f.wantCode(err, farm.CodeNotFound)
	for range 3 {
		f.rendered(a)
		f.wantLastRendered(a)
		f.rendered(b)
		f.rendered(b)
		f.wantLastRendered(b)
	}
	first, err := f.Store.RenderedAt(f.ctx, a)
	f.must(err)
	second, err := f.Store.RenderedAt(f.ctx, b)
	f.must(err)
	if !first.Before(second) || time.Since(first) > time.Hour {
		f.t.Errorf("rendered at %v, then at %v", first, second)
	}
	none, _ := f.Submit(NewJob("none", NewTask("a")))
	_, err = f.Store.RenderedAt(f.ctx, none)
	f.wantCode(err, farm.CodeNotFound)
	f.wantCode(f.inTx(func(tx *store.Tx) error { return tx.SetLastRendered("no such job") })(), farm.CodeNotFound)
}

func outrunsClock(f *Farm) {
	a, _ := f.Submit(NewJob("a", NewTask("a")))
	b, _ := f.Submit(NewJob("b", NewTask("a")))
	f.do(func(tx *store.Tx) error { // whose time stands still
		for _, id := range []string{b, a, b, a} {
			if err := tx.SetLastRendered(id); err != nil {
				return err
			}
		}
		return nil
	})
	f.wantLastRendered(a)
}

func forgetsDeleted(f *Farm) {
	a, _ := f.Submit(NewJob("a", NewTask("a")))
	b, _ := f.Submit(NewJob("b", NewTask("a")))
	f.rendered(a)
	f.rendered(b)
	f.mark(b)
	f.wantLastRendered(a)
	_, err := f.Store.RenderedAt(f.ctx, b)
	f.wantCode(err, farm.CodeNotFound)
	f.wantCode(f.inTx(func(tx *store.Tx) error { return tx.SetLastRendered(b) })(), farm.CodeNotFound)
}
