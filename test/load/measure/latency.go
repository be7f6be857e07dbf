// SPDX-License-Identifier: GPL-3.0-or-later

// Package measure owns the figures of a load: how long calls took, what failed, what the servers used of the machine, and
// the line of JSON that says it. It must not know what is being measured.
package measure

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Latency is how long the calls of one kind took, in milliseconds.
type Latency struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// Recorder takes the figures of one goroutine; Merge brings those of several together.
type Recorder struct {
	samples map[string][]time.Duration
	errors  map[string]int
}

// NewRecorder makes an empty Recorder.
func NewRecorder() *Recorder {
	return &Recorder{samples: map[string][]time.Duration{}, errors: map[string]int{}}
}

// Took notes how long a call took.
func (r *Recorder) Took(call string, d time.Duration) { r.samples[call] = append(r.samples[call], d) }

// Status notes an answer with an HTTP status that the call should not have.
func (r *Recorder) Status(call string, status int) { r.errors[call+": "+strconv.Itoa(status)]++ }

// Failed notes a call that had no answer.
func (r *Recorder) Failed(call string, err error) { r.errors[call+": "+kindOf(err)]++ }

// Merge adds what another Recorder took.
func (r *Recorder) Merge(other *Recorder) {
	for call, samples := range other.samples {
		r.samples[call] = append(r.samples[call], samples...)
	}
	for kind, n := range other.errors {
		r.errors[kind] += n
	}
}

// Calls is the latency of each kind of call.
func (r *Recorder) Calls() map[string]Latency {
	calls := make(map[string]Latency, len(r.samples))
	for call, samples := range r.samples {
		calls[call] = LatencyOf(samples)
	}
	return calls
}

// Errors is how often each kind of error happened.
func (r *Recorder) Errors() map[string]int { return r.errors }

// LatencyOf sorts samples and says how they are spread.
func LatencyOf(samples []time.Duration) Latency {
	if len(samples) == 0 {
		return Latency{}
	}
	slices.Sort(samples)
	at := func(percent int) float64 { return Milliseconds(samples[(len(samples)-1)*percent/100]) }
	return Latency{N: len(samples), P50: at(50), P90: at(90), P99: at(99), Max: at(100)}
}

// Milliseconds is a duration as a number with three decimals.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// kindOf puts an error in one of a few words, so that errors can be counted.
func kindOf(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "time-out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "connection closed"
	case errors.As(err, new(*net.OpError)):
		return "connection failed"
	}
	return "answer not understood"
}

// Shared is a Recorder that several goroutines use.
type Shared struct {
	mu  sync.Mutex
	all *Recorder
}

// NewShared makes an empty Shared.
func NewShared() *Shared { return &Shared{all: NewRecorder()} }

// Merge adds what one goroutine took.
func (s *Shared) Merge(r *Recorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Merge(r)
}

// Take is all that was added; nothing may be added after it.
func (s *Shared) Take() *Recorder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}
