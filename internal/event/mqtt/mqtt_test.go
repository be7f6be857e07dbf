// SPDX-License-Identifier: GPL-3.0-or-later

package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho/queue"
	"go.uber.org/goleak"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// text is a log that can be looked at while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func add(t *testing.T, w *waiting, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := w.Enqueue(strings.NewReader(m)); err != nil {
			t.Fatal(err)
		}
	}
}

func oldest(t *testing.T, w *waiting) (string, queue.Entry) {
	t.Helper()
	e, err := w.Peek()
	if errors.Is(err, queue.ErrEmpty) {
		return "", nil
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Reader()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), e
}

func TestTheOldestMakesRoomForTheNewest(t *testing.T) {
	t.Parallel()
	log := &text{}
	w := newWaiting(3, slog.New(slog.NewTextHandler(log, nil)))
	add(t, w, "1", "2", "3")
	_, sending := oldest(t, w)
	add(t, w, "4", "5")
	if err := sending.Remove(); err != nil { // it was sent although it had to make room meanwhile
		t.Fatal(err)
	}
	for _, want := range []string{"3", "4", "5", ""} {
		got, e := oldest(t, w)
		if got != want {
			t.Errorf("the oldest is %q, want %q", got, want)
		}
		if e != nil {
			if err := e.Leave(); err != nil { // a first attempt that failed
				t.Error(err)
			}
			if err := e.Remove(); err != nil {
				t.Error(err)
			}
		}
	}
	if n := strings.Count(log.String(), "dropped"); n != 1 {
		t.Errorf("two messages were dropped, which is said %d times:\n%s", n, log)
	}
}

func TestWhoWaitsForMessagesIsWoken(t *testing.T) {
	t.Parallel()
	w := newWaiting(3, slog.New(slog.DiscardHandler))
	filled := w.Wait()
	select {
	case <-filled:
		t.Fatal("there is nothing, and yet somebody was woken")
	default:
	}
	add(t, w, "1")
	<-filled
	<-w.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.emptied(ctx) // returns, because ctx has ended
	_, e := oldest(t, w)
	if err := e.Remove(); err != nil {
		t.Fatal(err)
	}
	w.emptied(t.Context())
	select {
	case <-w.Wait():
		t.Error("there is nothing again, and yet somebody is woken")
	default:
	}
}

func TestSettingsThatCannotWorkAreExplained(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ broker, prefix, want string }{
		{"broker", "", "has no host"},
		{"", "", "has no host"},
		{"http://broker", "", "http is no way to reach a broker"},
		{"tcp://bro ker\x7f:1883", "", "cannot be understood"},
		{"tcp://broker", "farm/#", "topic prefix"},
	} {
		_, err := New(Options{Bus: &event.Bus{}, Log: slog.New(slog.DiscardHandler), Broker: c.broker, TopicPrefix: c.prefix})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %q: %v, want %q", c.broker, c.prefix, err, c.want)
		}
	}
	for address, want := range map[string]string{
		"tcp://broker": "broker:1883", "mqtts://broker": "broker:8883", "ssl://broker": "broker:8883", "ws://broker/mqtt": "broker", "mqtt://broker:7": "broker:7",
	} {
		u, err := parseBroker(address)
		if err != nil || u.Host != want {
			t.Errorf("%s: %v, %v, want %s", address, u, err, want)
		}
	}
}

func TestWhatAnotherManagerDidIsNotPublishedTwice(t *testing.T) {
	t.Parallel()
	bus := &event.Bus{}
	c, err := New(Options{Bus: bus, Log: slog.New(slog.DiscardHandler), Broker: "tcp://broker"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"theirs", "mine"} {
		bus.Announce(farm.Change{Kind: farm.ChangeLastRendered, JobID: id, Now: &farm.LastRendered{JobID: id}, Remote: id == "theirs"})
	}
	batch := c.feed.Rest(t.Context())
	if len(batch) != 1 || !strings.Contains(string(batch[0].Data), `"mine"`) {
		t.Errorf("%d messages: %+v", len(batch), batch)
	}
}

func TestABrokerThatIsAwayStopsNothingAndNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	log, bus := &text{}, &event.Bus{}
	c, err := New(Options{
		Bus: bus, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Broker: "ws://me:s3cret@127.0.0.1:1/mqtt", Username: "me", Password: "pa55word", ReconnectAfter: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	for i := 0; !strings.Contains(log.String(), "dropped") || strings.Count(log.String(), "cannot connect") < 2; i++ {
		bus.Announce(farm.Change{Kind: farm.ChangeLastRendered, JobID: fmt.Sprint(i), Now: &farm.LastRendered{}})
		if t.Context().Err() != nil {
			t.Fatal("the test was stopped")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	for _, secret := range []string{"s3cret", "pa55word"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log:\n%.2000s", secret, log)
		}
	}
}
