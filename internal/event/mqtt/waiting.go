// SPDX-License-Identifier: GPL-3.0-or-later

package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/eclipse/paho.golang/autopaho/queue"
)

// waiting is what waits for the broker, oldest first. When it is full, the oldest makes room for the newest.
type waiting struct {
	limit int
	log   *slog.Logger

	mu      sync.Mutex
	packets []*packet
	dropped bool
	stats   Stats
	filled  chan struct{} // closed while there is something
	empty   chan struct{} // closed while there is nothing
}

// packet is one message as it will be sent; it is an entry of the queue that the connection takes messages from.
type packet struct {
	from *waiting
	data []byte
}

func newWaiting(limit int, log *slog.Logger) *waiting {
	w := &waiting{limit: limit, log: log, filled: make(chan struct{}), empty: make(chan struct{})}
	close(w.empty)
	return w
}

// Wait is closed when there is something to send.
func (w *waiting) Wait() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.filled
}

// Enqueue adds a message.
func (w *waiting) Enqueue(message io.Reader) error {
	data, err := io.ReadAll(message)
	if err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.packets) == 0 {
		close(w.filled)
		w.empty = make(chan struct{})
	}
	if len(w.packets) == w.limit {
		if !w.dropped {
			w.dropped = true
			w.log.Warn("the MQTT broker does not take events fast enough, or is away: the oldest are dropped", "waiting", w.limit)
		}
		w.packets = w.packets[1:]
		w.stats.Dropped++
	}
	w.packets = append(w.packets, &packet{from: w, data: data})
	return nil
}

// Peek is the oldest message.
func (w *waiting) Peek() (queue.Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.packets) == 0 {
		return nil, queue.ErrEmpty
	}
	return w.packets[0], nil
}

// emptied waits until everything was sent or ctx ends.
func (w *waiting) emptied(ctx context.Context) {
	w.mu.Lock()
	empty := w.empty
	w.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// Reader reads the message.
func (p *packet) Reader() (io.Reader, error) { return bytes.NewReader(p.data), nil }

// Leave keeps the message for another attempt.
func (p *packet) Leave() error { return nil }

// Quarantine gives up a message that cannot be sent.
func (p *packet) Quarantine() error {
	p.takeOut(&p.from.stats.Dropped)
	return nil
}

// Remove takes the message out, unless it had to make room for others while it was sent.
func (p *packet) Remove() error {
	p.takeOut(&p.from.stats.Told)
	return nil
}

// takeOut adds one to what counts what became of the message.
func (p *packet) takeOut(counted *int64) {
	w := p.from
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.packets) == 0 || w.packets[0] != p {
		return
	}
	*counted++
	w.packets = w.packets[1:]
	if len(w.packets) == 0 {
		w.dropped = false
		w.filled = make(chan struct{})
		close(w.empty)
	}
}
