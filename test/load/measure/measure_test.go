// SPDX-License-Identifier: GPL-3.0-or-later

package measure

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLatencyIsTakenFromSortedSamples(t *testing.T) {
	t.Parallel()
	var samples []time.Duration
	for n := 100; n >= 0; n-- {
		samples = append(samples, time.Duration(n)*time.Millisecond)
	}
	want := Latency{N: 101, P50: 50, P90: 90, P99: 99, Max: 100}
	if diff := cmp.Diff(want, LatencyOf(samples)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Latency{}, LatencyOf(nil)); diff != "" {
		t.Error(diff)
	}
}

func TestAReportIsOneLineWithErrorsByKind(t *testing.T) {
	t.Parallel()
	a, b := NewRecorder(), NewRecorder()
	a.Took("claim", time.Millisecond)
	a.Status("claim", 503)
	b.Status("claim", 503)
	b.Failed("active", io.EOF)
	b.Failed("active", errors.New("no JSON"))
	a.Merge(b)
	r := Report{What: "drain", Tasks: 10}
	r.Finish(a, 2*time.Second)
	if r.Rate != 5 {
		t.Errorf("rate %v, want 5", r.Rate)
	}
	want := map[string]int{"claim: 503": 2, "active: connection closed": 1, "active: answer not understood": 1}
	if diff := cmp.Diff(want, r.Errors); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	if err := r.WriteLine(&out); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Errorf("%q, %v", out.String(), err)
	}
}
