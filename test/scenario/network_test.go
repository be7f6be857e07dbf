// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/testkit/fault"
	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/pkg/api"
)

const manyTasks = `
const JOB_TYPE = { label: "Many tasks", settings: [ { key: "count", type: "int32", required: true } ] };
function compileJob(job) {
  for (let i = 1; i <= job.settings.count; i++) {
    const task = author.Task("task-" + i, i % 2 ? "misc" : "blender");
    task.addCommand(i % 50 ? author.Command("echo", { message: "task " + i })
                           : author.Command("sleep", { duration_in_seconds: 1 }));
    job.addTask(task);
  }
}
`

func TestTwentyWorkersBehindABadNetworkCountEveryTaskOnceAndLoseNone(t *testing.T) {
	t.Parallel()
	f := newFarm(t, manyTasks, func(c *config.Config) {
		c.WorkerTimeout = 4 * time.Second // so that silent connections cost leases
		c.TaskFailAfterSoftFails = 1000
	})
	network := fault.New(t, f.config.Listen, fault.Plan{
		Seed: 1, Cut: 90, Silent: 10, Silence: 6 * time.Second, Bytes: 60 << 10, Delay: 2 * time.Millisecond,
	})
	saw := &witness{runs: map[string]history.Run{}}
	for n := range 20 {
		f.worker(fmt.Sprintf("worker-%02d", n+1), network.Address(), saw)
	}
	began := time.Now()
	const count = manyTasksCount
	job := f.submit(api.JobSettings{"count": count})
	watch(t, f.Client, job, patience, func(api.Job) {})
	took := time.Since(began)
	f.stop()
	tasks := load(t, f.config.Database, job)
	check(t, tasks, saw.all())
	if len(tasks) != count {
		t.Errorf("%d tasks, want %d", len(tasks), count)
	}
	t.Logf("%d tasks in %s, %d attempts, %d connections broken", len(tasks), seconds(took), attempts(tasks), network.Hurt())
	if network.Hurt() < 50 {
		t.Error("too few connections were broken to prove anything")
	}
}

// witness is a log handler that notes what the Workers run.
type witness struct {
	mu   sync.Mutex
	runs map[string]history.Run // by assignment
}

func (w *witness) all() (runs []history.Run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runs {
		runs = append(runs, r)
	}
	return runs
}

func (w *witness) Enabled(context.Context, slog.Level) bool { return true }

func (w *witness) WithGroup(string) slog.Handler { return w }

func (w *witness) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withAttrs{w, attrs}
}

func (w *witness) Handle(context.Context, slog.Record) error { return nil }

// withAttrs is a witness of one task.
type withAttrs struct {
	*witness
	attrs []slog.Attr
}

func (w withAttrs) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withAttrs{w.witness, append(append([]slog.Attr(nil), w.attrs...), attrs...)}
}

func (w withAttrs) Handle(_ context.Context, r slog.Record) error {
	if !strings.HasPrefix(r.Message, "task ") {
		return nil
	}
	said := map[string]string{}
	for _, a := range w.attrs {
		said[a.Key] = a.Value.String()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	run := w.runs[said["assignment"]]
	if r.Message == "task started" {
		run = history.Run{Task: said["task"], Assignment: said["assignment"], Started: r.Time}
	}
	run.Ended = r.Time
	run.Finished = run.Finished || r.Message == "task completed"
	w.runs[said["assignment"]] = run
	return nil
}
