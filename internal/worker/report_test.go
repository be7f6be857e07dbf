// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/worker/outbox"
)

func TestOutputThatIsLeftOutIsNeverItsEnd(t *testing.T) {
	t.Parallel()
	box, _, err := outbox.Open(t.Context(), filepath.Join(t.TempDir(), "outbox.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	backlog := outbox.Update{TaskID: "t", Assignment: "a", Body: make([]byte, backlogLimit+1)}
	if kept, err := box.Append(backlog); err != nil || !kept {
		t.Fatalf("Append: kept %v, %v", kept, err)
	}
	r := newReporter(box, slog.New(slog.DiscardHandler), &run{task: assignedTask{ID: "t"}, assignment: "a"}, numbering{})
	const lines, width = 20000, 50
	for i := range lines {
		r.line(fmt.Sprintf("%0*d", width-1, i))
		if len(r.text) > 2*tailKept {
			t.Fatalf("%d bytes are held in memory", len(r.text))
		}
	}
	r.line("the very last line")
	r.finished(farm.TaskCompleted, "Completed")

	first, _, err := box.First()
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Remove(first); err != nil {
		t.Fatal(err)
	}
	last, ok, err := box.First()
	if err != nil || !ok {
		t.Fatalf("the last update: %v, %v", ok, err)
	}
	var got update
	if err := json.Unmarshal(last.Body, &got); err != nil {
		t.Fatal(err)
	}
	note, rest, _ := strings.Cut(got.Log, "\n")
	var leftOut int
	if _, err := fmt.Sscanf(note, "[%d bytes of output left out", &leftOut); err != nil {
		t.Fatalf("the log begins with %q: %v", note, err)
	}
	if !strings.HasSuffix(rest, "the very last line\n") || len(rest) < tailKept {
		t.Errorf("%d bytes kept, which end with %q", len(rest), rest[max(0, len(rest)-40):])
	}
	if all := lines*width + len("the very last line\n"); leftOut+len(rest) != all {
		t.Errorf("%d bytes left out and %d kept, of %d", leftOut, len(rest), all)
	}
	if first, _, _ := strings.Cut(rest, "\n"); len(first) != width-1 {
		t.Errorf("the kept part begins within a line: %q", first)
	}
}
