// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// heard collects the commits of a store: for each, the ids of the jobs that its changes name.
type heard struct {
	mu      sync.Mutex
	commits [][]string
}

func (h *heard) onCommit(changes []farm.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []string
	for _, c := range changes {
		ids = append(ids, c.JobID)
	}
	h.commits = append(h.commits, ids)
}

func (h *heard) all() [][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.commits)
}

func open(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.Database == "" {
		opts.Database = filepath.Join(t.TempDir(), "farm.sqlite")
	}
	opts.Log = slog.New(slog.DiscardHandler)
	s, err := Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	groupOf(s).work = time.Hour // so that the slowest machine makes one commit of what meets
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func groupOf(s *Store) *group { return s.writer.(*group) }

// addTag writes one row and says so.
func addTag(name string) func(*Tx) error {
	return func(tx *Tx) error {
		tx.Changed(farm.Change{JobID: name})
		_, err := tx.q.InsertTag(tx.ctx, query.InsertTagParams{Uuid: name, Name: name, CreatedAt: tx.stamp()})
		return err
	}
}

// hold keeps the group busy until release is called, so that what is queued meanwhile meets in the next commit.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	running, free := make(chan struct{}), make(chan struct{})
	held := queue(t, s, alone, func(*Tx) error {
		close(running)
		<-free
		return nil
	})
	<-running
	return func() {
		close(free)
		<-held.done
	}
}

func queue(t *testing.T, s *Store, c company, fn func(*Tx) error) *entry {
	t.Helper()
	return queueFor(t.Context(), s, c, fn)
}

func queueFor(ctx context.Context, s *Store, c company, fn func(*Tx) error) *entry {
	e := &entry{ctx: ctx, fn: fn, company: c, since: time.Now(), done: make(chan struct{})}
	groupOf(s).queue <- e
	return e
}

// results waits for entries.
func results(entries ...*entry) (errs []error) {
	for _, e := range entries {
		<-e.done
		errs = append(errs, wrap(e.err))
	}
	return errs
}

func wantTags(t *testing.T, s *Store, want ...string) {
	t.Helper()
	tags, err := s.Tags(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tag := range tags {
		names = append(names, tag.Name)
	}
	if !slices.Equal(names, want) {
		t.Errorf("stored are %v, not %v", names, want)
	}
}

func TestCallersWhoMeetShareACommitAndEachSeesItsOwnResult(t *testing.T) {
	t.Parallel()
	var h heard
	s := open(t, Options{OnCommit: h.onCommit})
	odd := errors.New("odd")
	const callers = 100
	release := hold(t, s)
	var group sync.WaitGroup
	errs := make([]error, callers)
	for i := range callers {
		group.Go(func() {
			errs[i] = s.Do(t.Context(), func(tx *Tx) error {
				if err := addTag(fmt.Sprintf("%03d", i))(tx); err != nil {
					return err
				}
				if i%2 == 1 {
					return odd
				}
				return nil
			})
		})
	}
	for len(groupOf(s).queue) < callers {
		select {
		case <-t.Context().Done():
			t.Fatal("not all callers queue up")
		case <-time.After(time.Millisecond):
		}
	}
	release()
	group.Wait()
	var want []string
	for i, err := range errs {
		if i%2 == 0 {
			want = append(want, fmt.Sprintf("%03d", i))
		}
		if (i%2 == 0 && err != nil) || (i%2 == 1 && !errors.Is(err, odd)) {
			t.Errorf("caller %d got %v", i, err)
		}
	}
	wantTags(t, s, want...)
	if n := len(h.all()); n > callers/2+1 { // each odd one that comes first in its commit ends it
		t.Errorf("%d callers made %d commits", callers, n)
	}
}

func TestAMemberThatFailsIsUndoneAlone(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	for what, bad := range map[string]func(*Tx) error{
		"an error":            func(tx *Tx) error { return errors.Join(addTag("bad")(tx), stop) },
		"a broken constraint": func(tx *Tx) error { return errors.Join(addTag("bad")(tx), addTag("bad")(tx), stop) },
		"a panic": func(tx *Tx) error {
			_ = addTag("bad")(tx)
			panic("oops")
		},
	} {
		for place := range 3 {
			t.Run(fmt.Sprintf("%s in place %d", what, place), func(t *testing.T) {
				t.Parallel()
				var h heard
				s := open(t, Options{OnCommit: h.onCommit})
				release := hold(t, s)
				fns := slices.Insert([]func(*Tx) error{addTag("a"), addTag("b")}, place, bad)
				var entries []*entry
				for _, fn := range fns {
					entries = append(entries, queue(t, s, shared, fn))
				}
				release()
				for i, err := range results(entries...) {
					switch {
					case i != place && err != nil:
						t.Errorf("member %d: %v", i, err)
					case i == place && what == "a panic" && (err == nil || !strings.Contains(err.Error(), "oops")):
						t.Errorf("the panic became %v", err)
					case i == place && what != "a panic" && !errors.Is(err, stop):
						t.Errorf("the error became %v", err)
					}
				}
				wantTags(t, s, "a", "b")
				if got := slices.Concat(h.all()...); !slices.Equal(got, []string{"a", "b"}) {
					t.Errorf("heard of %v", got)
				}
				if err := s.Do(t.Context(), addTag("c")); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestAFullDiskFailsEveryMemberOfTheCommit(t *testing.T) {
	t.Parallel()
	for place := range 2 {
		t.Run(fmt.Sprintf("in place %d", place), func(t *testing.T) {
			t.Parallel()
			var h heard
			s := open(t, Options{OnCommit: h.onCommit})
			var pages int
			if err := s.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
				t.Fatal(err)
			}
			setMaxPages(t, s, pages)
			large := func(tx *Tx) error { return addTag(strings.Repeat("x", 1_000_000))(tx) }
			release := hold(t, s)
			var entries []*entry
			for _, fn := range slices.Insert([]func(*Tx) error{addTag("a")}, place, large) {
				entries = append(entries, queue(t, s, shared, fn))
			}
			release()
			errs := results(entries...)
			wantStorage(t, errs[place])
			if place == 1 { // the first of a commit fails alone, because nobody was before it
				wantStorage(t, errs[0])
				wantTags(t, s)
				if len(h.all()) > 0 {
					t.Errorf("heard of %v", h.all())
				}
			}
			setMaxPages(t, s, 1<<30)
			if err := s.Do(t.Context(), large); err != nil {
				t.Errorf("with room again: %v", err)
			}
		})
	}
}

func setMaxPages(t *testing.T, s *Store, n int) {
	t.Helper()
	if _, err := s.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
		t.Fatal(err)
	}
}

func wantStorage(t *testing.T, err error) {
	t.Helper()
	if farm.CodeOf(err) != farm.CodeStorage || !strings.Contains(err.Error(), "disk of the Manager's database is full") {
		t.Errorf("the error is %v", err)
	}
}

func TestACommitThatFailsFailsEveryMemberAndTheNextOneWorks(t *testing.T) {
	t.Parallel()
	var h heard
	s := open(t, Options{OnCommit: h.onCommit})
	release := hold(t, s)
	entries := []*entry{
		queue(t, s, shared, addTag("a")),
		queue(t, s, shared, func(tx *Tx) error { // a foreign key that is looked at by COMMIT only
			_, err := tx.db.ExecContext(tx.ctx, "PRAGMA defer_foreign_keys = ON; INSERT INTO worker_tags (worker_id, tag_id) VALUES (7, 7)")
			return err
		}),
		queue(t, s, shared, addTag("b")),
	}
	release()
	for i, err := range results(entries...) {
		if err == nil {
			t.Errorf("member %d has no error", i)
		}
	}
	if err := s.Do(t.Context(), addTag("c")); err != nil {
		t.Error(err)
	}
	wantTags(t, s, "c")
	if got := h.all(); len(got) != 1 {
		t.Errorf("heard of %v", got)
	}
}

func TestWhoGaveUpBeforeItsTurnIsLeftOut(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	ran := false
	entries := []*entry{
		queueFor(ctx, s, shared, func(*Tx) error { ran = true; return nil }),
		queue(t, s, shared, addTag("a")),
		queueFor(ctx, s, shared, func(*Tx) error { ran = true; return nil }),
	}
	cancel()
	release()
	errs := results(entries...)
	if !errors.Is(errs[0], context.Canceled) || errs[1] != nil || !errors.Is(errs[2], context.Canceled) || ran {
		t.Errorf("the errors are %v, it ran: %v", errs, ran)
	}
	if err := s.Do(ctx, addTag("b")); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that had ended before: %v", err)
	}
	wantTags(t, s, "a")
}

func TestWhoGivesUpWhileItsCallRunsStillGetsTheResult(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Do(ctx, func(tx *Tx) error {
		cancel()
		return addTag("a")(tx)
	})
	if err != nil {
		t.Error(err)
	}
	wantTags(t, s, "a")
}

func TestALargeTransactionSharesItsCommitWithNobody(t *testing.T) {
	t.Parallel()
	var h heard
	s := open(t, Options{OnCommit: h.onCommit})
	release := hold(t, s)
	var entries []*entry
	for i, c := range []company{shared, alone, shared, alone, alone} {
		entries = append(entries, queue(t, s, c, addTag(fmt.Sprint(i))))
	}
	release()
	if err := errors.Join(results(entries...)...); err != nil {
		t.Fatal(err)
	}
	if got := h.all(); !slices.EqualFunc(got, [][]string{{"0"}, {"1"}, {"2"}, {"3"}, {"4"}}, slices.Equal) {
		t.Errorf("the commits are %v", got)
	}
}

func TestChangesAreHeardInTheOrderOfCommitsAndBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	var h heard
	s := open(t, Options{OnCommit: h.onCommit})
	var want []string
	for i := range 20 {
		name := fmt.Sprintf("%02d", i)
		want = append(want, name)
		if err := s.Do(t.Context(), addTag(name)); err != nil {
			t.Fatal(err)
		}
		if got := slices.Concat(h.all()...); !slices.Equal(got, want) {
			t.Fatalf("heard of %v, not %v", got, want)
		}
	}
}

func TestCloseWaitsForTheWritesThatWereAskedFor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	s := open(t, Options{Database: path})
	release := hold(t, s)
	var entries []*entry
	for i := range 8 {
		entries = append(entries, queue(t, s, alone, addTag(fmt.Sprint(i))))
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-groupOf(s).quit
	select {
	case <-closed:
		t.Error("closed while a write ran")
	default:
	}
	release()
	if err := errors.Join(append(results(entries...), <-closed)...); err != nil {
		t.Error(err)
	}
	if err := s.Do(context.Background(), addTag("late")); !errors.Is(err, errClosed) {
		t.Errorf("a call after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	wantTags(t, open(t, Options{Database: path}), "0", "1", "2", "3", "4", "5", "6", "7")
}

func TestWhoWantsToKnowHearsHowManyShareACommit(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var shared []int
	began, release := make(chan struct{}), make(chan struct{})
	s := open(t, Options{Observe: func(transactions int, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		shared = append(shared, transactions)
		if took <= 0 {
			t.Errorf("a commit took %s", took)
		}
	}})
	var writers sync.WaitGroup
	writers.Go(func() {
		_ = s.DoAlone(context.Background(), func(*Tx) error { // keeps the others waiting
			close(began)
			<-release
			return nil
		})
	})
	<-began
	for range 3 {
		writers.Go(func() { _ = s.Do(context.Background(), func(*Tx) error { return nil }) })
	}
	eventually(t, "three wait", func() bool { return len(groupOf(s).queue) == 3 })
	close(release)
	writers.Wait()
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(shared, []int{1, 3}) {
		t.Errorf("commits of %v transactions", shared)
	}
}
