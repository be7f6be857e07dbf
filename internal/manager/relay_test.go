// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
)

func TestWhatAnotherManagerAddedToALogThatWasCutIsTold(t *testing.T) {
	t.Parallel()
	logs, err := tasklog.New(tasklog.Options{Folder: t.TempDir(), MaxSize: 4_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { logs.Close() })
	bus := &event.Bus{}
	feed := bus.Attach(nil, slog.New(slog.DiscardHandler), func(farm.Change) bool { return true })
	feed.Listen(farm.ChangeTaskLog)
	r := newRelay(bus, logs, slog.New(slog.DiscardHandler))
	id := farm.LogID{JobID: "11111111-1111-4111-8111-111111111111", TaskID: "22222222-2222-4222-8222-222222222222", Generation: 1}
	var size int64
	tell := func(from, to int64) {
		r.tellLog(farm.Change{Kind: farm.ChangeTask, JobID: id.JobID, TaskID: id.TaskID, Log: &farm.LogPart{Generation: 1, From: from, To: to}})
	}
	for n := range 20 {
		text := fmt.Sprintf("%d%s\n", 1000+n, strings.Repeat("x", 995))
		before := size
		if size, err = logs.AppendChunk(id, -1, text); err != nil {
			t.Fatal(err)
		}
		tell(9_000, 9_000) // nothing
		tell(before, size)
		told, _, err := feed.Next(t.Context())
		if err != nil || len(told) != 1 || !strings.Contains(string(told[0].Data), strings.TrimSpace(text)) {
			t.Fatalf("at %d clients are told %v, %v", before, told, err)
		}
	}
	before := bus.Stats().Published
	tell(8_000, 9_000) // was left out since
	if n := bus.Stats().Published - before; n != 0 {
		t.Errorf("clients are told of nothing %d times", n)
	}
}
