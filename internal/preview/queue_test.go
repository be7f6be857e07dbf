// SPDX-License-Identifier: GPL-3.0-or-later

package preview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
)

// stopped is a service whose queue nobody works off.
func stopped(t *testing.T) *service {
	t.Helper()
	s := setup(t)
	s.stop()
	return s
}

// queued is what waits, in the order in which it would be taken.
func (s *service) queued() (all []string) {
	for {
		w, ok := s.queue.first()
		if !ok {
			return all
		}
		all = append(all, w.jobID+" "+string(w.data))
	}
}

func TestTheNewestPictureOfAJobWaitsAndJobsTakeTurns(t *testing.T) {
	t.Parallel()
	s := stopped(t)
	for _, p := range []string{"a 1", "b 1", "a 2", "c 1", "a 3", "c 2"} {
		job, data, _ := strings.Cut(p, " ")
		s.take(job, []byte(data))
	}
	if diff := cmp.Diff([]string{"a 3", "b 1", "c 2"}, s.queued()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAFullQueueTakesOnlyPicturesOfJobsThatWait(t *testing.T) {
	t.Parallel()
	s := stopped(t)
	for i := range maxWaiting {
		s.take(fmt.Sprint(i), []byte("old"))
	}
	if err := s.Take("another", strings.NewReader("x"), 1); farm.CodeOf(err) != farm.CodeFull {
		t.Errorf("another job: %v", err)
	}
	s.take("0", []byte("new"))
	if diff := cmp.Diff([]string{"0 new", "1 old", "2 old"}, s.queued()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.take("another", []byte("x"))
}

func TestAPictureThatBeganEarlierDoesNotReplaceALaterOne(t *testing.T) {
	t.Parallel()
	s := stopped(t)
	slow, feed := io.Pipe()
	done := make(chan error)
	go func() { done <- s.Take("a", slow, 5) }()
	if _, err := feed.Write([]byte("fi")); err != nil { // it is being read
		t.Fatal(err)
	}
	s.take("a", []byte("second"))
	if _, err := feed.Write([]byte("rst")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a second"}, s.queued()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOnlyFewPicturesComeInAtOnce(t *testing.T) {
	t.Parallel()
	s := stopped(t)
	slow, feed := io.Pipe()
	done := make(chan error)
	for range maxReceiving {
		go func() { done <- s.Take("a", slow, 1) }()
	}
	for range maxReceiving - 1 {
		if _, err := feed.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		go func() { done <- s.Take("a", slow, 1) }()
	}
	for s.receiving() < maxReceiving { // all have come so far
		if _, err := feed.Write(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Take("a", strings.NewReader("x"), 1); farm.CodeOf(err) != farm.CodeFull {
		t.Errorf("one more: %v", err)
	}
	_ = feed.CloseWithError(io.ErrUnexpectedEOF)
	for range maxReceiving {
		if err := <-done; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	}
	s.take("a", []byte("x"))
}

func (s *service) receiving() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.receiving
}

func TestWhatDoesNotComeWholeIsForgotten(t *testing.T) {
	t.Parallel()
	s := stopped(t)
	failure := errors.New("the line is cut")
	if err := s.Take("a", iotest.ErrReader(failure), 3); !errors.Is(err, failure) {
		t.Error(err)
	}
	if err := s.Take("a", strings.NewReader("ab"), 3); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	for _, length := range []int64{0, -1, MaxSize + 1} {
		if err := s.Take("a", strings.NewReader("abc"), length); farm.CodeOf(err) != farm.CodeTooLarge {
			t.Errorf("length %d: %v", length, err)
		}
	}
	if got := s.queued(); got != nil || s.receiving() != 0 {
		t.Errorf("waiting %v, receiving %d", got, s.receiving())
	}
}

func TestWaitingForAPictureEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newQueue().next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
