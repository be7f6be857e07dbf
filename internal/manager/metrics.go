// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/event/mqtt"
	"flamenco.farm/internal/event/socketio"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/telemetry"
	"flamenco.farm/internal/version"
)

// metrics measures a Manager. What is measured on the way of a request is resolved before; everything else is counted
// where it happens and read when Prometheus asks.
type metrics struct {
	*telemetry.Metrics
	requests  func(labels ...string) func(float64)
	grouped   func(float64)
	committed func(float64)
	compiled  map[string]func(float64)
	inFlight  atomic.Int64
}

func newMetrics() *metrics {
	m := &metrics{Metrics: telemetry.NewMetrics(), compiled: map[string]func(float64){}}
	m.requests = m.Spread(requestSeconds)
	m.grouped = m.Spread(commitTransactions)()
	m.committed = m.Spread(commitSeconds)()
	compiled := m.Spread(compileSeconds)
	for _, result := range []string{"ok", "refused", "failed"} {
		m.compiled[result] = compiled(result)
	}
	return m
}

// request is who hears of the answers of an operation.
func (m *metrics) request(operation, status string) httpapi.Observer {
	observe := m.requests(operation, status)
	return func(took time.Duration) { observe(took.Seconds()) }
}

func (m *metrics) commit(transactions int, took time.Duration) {
	m.grouped(float64(transactions))
	m.committed(took.Seconds())
}

func (m *metrics) compilation(took time.Duration, err error) {
	result := "ok"
	switch {
	case farm.CodeOf(err) != "":
		result = "refused"
	case err != nil:
		result = "failed"
	}
	m.compiled[result](took.Seconds())
}

// counted counts the requests that are in flight.
func (m *metrics) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.inFlight.Add(1)
		defer m.inFlight.Add(-1)
		next.ServeHTTP(w, r)
	})
}

// measured is what is read when Prometheus asks.
type measured struct {
	counts *countsCache
	db     interface{ Usage() store.Usage }
	sched  interface {
		Stats() sched.Stats
		Suspended() string
	}
	bus      interface{ Stats() event.Stats }
	socketio interface{ Stats() socketio.Stats }
	mqtt     func() mqtt.Stats
	inFlight func() int64
	stopping func() bool
}

// read adds everything that is not measured on the way.
func (m *metrics) read(from measured) {
	from.inFlight = m.inFlight.Load
	m.Source(from.emitManager, managerMetrics...)
	m.Source(from.emitFarm, farmMetrics...)
	m.Source(from.emitWork, workMetrics...)
	m.Source(from.emitDatabase, databaseMetrics...)
	m.Source(from.emitEvents, eventMetrics...)
}

func (from measured) emitManager(emit telemetry.Emit) {
	emit("flamenco_build_info", 1, version.Version, version.Commit, runtime.Version())
	emit("flamenco_http_requests_in_flight", float64(from.inFlight()))
	emit("flamenco_stopping", number(from.stopping()))
	emit("flamenco_suspended", number(from.sched.Suspended() != ""))
}

func (from measured) emitFarm(emit telemetry.Emit) {
	counts, err := from.counts.get()
	emit("flamenco_farm_counted", number(err == nil))
	if err != nil {
		return
	}
	for _, status := range farm.JobStatuses {
		emit("flamenco_jobs", float64(counts.Jobs[status]), string(status))
	}
	for _, status := range farm.TaskStatuses {
		emit("flamenco_tasks", float64(counts.Tasks[status]), string(status))
	}
	for _, status := range farm.WorkerStatuses {
		emit("flamenco_workers", float64(counts.Workers[status]), string(status))
	}
	for _, status := range []farm.OperationStatus{farm.OperationQueued, farm.OperationRunning} {
		emit("flamenco_operations", float64(counts.Operations[status]), string(status))
	}
	emit("flamenco_database_size_bytes", float64(counts.Size))
	emit("flamenco_tasks_ready", float64(counts.Ready))
	age := time.Duration(0)
	if !counts.ReadySince.IsZero() {
		age = max(0, time.Since(counts.ReadySince))
	}
	emit("flamenco_queue_age_seconds", age.Seconds())
}

func (from measured) emitWork(emit telemetry.Emit) {
	stats := from.sched.Stats()
	emit("flamenco_task_requests_held", float64(stats.Held))
	for answer, n := range stats.Claims {
		emit("flamenco_task_requests_total", float64(n), answer)
	}
	for answer, n := range stats.Updates {
		emit("flamenco_task_updates_total", float64(n), answer)
	}
	for outcome, n := range from.db.Usage().Ended {
		emit("flamenco_attempts_ended_total", float64(n), string(outcome))
	}
}

func (from measured) emitDatabase(emit telemetry.Emit) {
	usage := from.db.Usage()
	if usage.HasLog {
		emit("flamenco_database_log_size_bytes", float64(usage.Log))
	}
	emit("flamenco_database_transactions_total", float64(usage.Committed), "committed")
	emit("flamenco_database_transactions_total", float64(usage.Undone), "undone")
	emit("flamenco_database_retries_total", float64(usage.Retries))
	for _, pool := range slices.Sorted(maps.Keys(usage.Pools)) {
		stats := usage.Pools[pool]
		emit("flamenco_database_connections", float64(stats.InUse), pool, "in-use")
		emit("flamenco_database_connections", float64(stats.Idle), pool, "idle")
		emit("flamenco_database_connections_max", float64(stats.MaxOpenConnections), pool)
		emit("flamenco_database_waits_total", float64(stats.WaitCount), pool)
		emit("flamenco_database_wait_seconds_total", stats.WaitDuration.Seconds(), pool)
	}
}

func (from measured) emitEvents(emit telemetry.Emit) {
	bus, clients, broker := from.bus.Stats(), from.socketio.Stats(), from.mqtt()
	emit("flamenco_events_published_total", float64(bus.Published))
	emit("flamenco_events_delivered_total", float64(clients.Told), "socketio")
	emit("flamenco_events_delivered_total", float64(broker.Told), "mqtt")
	emit("flamenco_events_dropped_total", float64(bus.Lost), "not-read")
	emit("flamenco_events_dropped_total", float64(clients.TooSlow), "client-too-slow")
	emit("flamenco_events_dropped_total", float64(broker.Dropped), "broker-too-slow")
	emit("flamenco_event_clients", float64(clients.Websocket), "websocket")
	emit("flamenco_event_clients", float64(clients.Polling), "polling")
	emit("flamenco_event_clients_refused_total", float64(clients.Refused))
	emit("flamenco_mqtt_connected", number(broker.Connected))
	emit("flamenco_mqtt_waiting_events", float64(broker.Waiting))
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// How often the farm is counted at most, and how long that may take.
const (
	countEvery = time.Second
	countTime  = 2 * time.Second
)

// countsCache lets the farm be counted once for all who ask in the same second.
type countsCache struct {
	count func(context.Context) (store.Counts, error)
	log   *slog.Logger

	mu     sync.Mutex
	at     time.Time
	counts store.Counts
	err    error
}

func (c *countsCache) get() (store.Counts, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < countEvery {
		return c.counts, c.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), countTime)
	defer cancel()
	counts, err := c.count(ctx)
	if err != nil && c.err == nil {
		c.log.Warn("the farm cannot be counted, its metrics are missing", "error", err)
	}
	c.counts, c.err, c.at = counts, err, time.Now()
	return counts, err
}
