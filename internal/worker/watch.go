// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"runtime"
	"sync"

	"flamenco.farm/internal/telemetry"
	"flamenco.farm/internal/version"
)

// metrics are what a Worker tells Prometheus of itself; docs/usage/monitoring.md lists them.
var metrics = []telemetry.Metric{
	{Name: "flamenco_worker_build_info", Kind: telemetry.Gauge, Labels: []string{"version", "commit", "goversion"}, Help: "Always 1; the labels say which build of the Worker this is"},
	{Name: "flamenco_worker_outbox_updates", Kind: telemetry.Gauge, Help: "Updates that no Manager has taken yet"},
	{Name: "flamenco_worker_outbox_bytes", Kind: telemetry.Gauge, Help: "The size of these updates"},
	{Name: "flamenco_worker_tasks_running", Kind: telemetry.Gauge, Help: "Tasks that run now"},
	{Name: "flamenco_worker_manager_silence_seconds", Kind: telemetry.Gauge, Help: "How long ago the last call was begun that a Manager answered well; missing before the first sign-on"},
}

func (w *Worker) emit(emit telemetry.Emit) {
	count, bytes := w.box.Size()
	w.mu.Lock()
	running := 0.0
	if w.running != nil {
		running = 1
	}
	w.mu.Unlock()
	emit("flamenco_worker_build_info", 1, version.Version, version.Commit, runtime.Version())
	emit("flamenco_worker_outbox_updates", float64(count))
	emit("flamenco_worker_outbox_bytes", float64(bytes))
	emit("flamenco_worker_tasks_running", running)
	if silence, met := w.client.lastContact(); met {
		emit("flamenco_worker_manager_silence_seconds", silence.Seconds())
	}
}

// watch lets those who want to look into the Worker. That it cannot be looked at is no reason not to work.
func (w *Worker) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // how it stops is worth a look too
	var all sync.WaitGroup
	serve := func(what string, run func() error) {
		all.Go(func() {
			if err := run(); err != nil {
				w.log.Error("cannot serve "+what, "error", err)
			}
		})
	}
	if w.opts.Profiles != "" {
		serve("profiles", func() error { return telemetry.ServeProfiles(ctx, w.opts.Profiles, w.log) })
	}
	if w.opts.Metrics != "" {
		m := telemetry.NewMetrics()
		m.Source(w.emit, metrics...)
		serve("metrics", func() error { return m.Serve(ctx, w.opts.Metrics, w.log) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}
