// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import "flamenco.farm/internal/telemetry"

// The metrics of a Manager. Names, labels and meanings are a promise to the dashboards of others: docs/usage/monitoring.md
// and a golden file are made from them.

var requestSeconds = telemetry.Metric{
	Name: "flamenco_http_request_duration_seconds", Kind: telemetry.Histogram, Labels: []string{"operation", "status"},
	Help:   "How long answers took, by operation of the API (other: pages, files, events) and class of the status (cut: the connection was dropped instead); scheduleTask is held until there is work",
	Bounds: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1, 5, 60},
}

var compileSeconds = telemetry.Metric{
	Name: "flamenco_job_compile_duration_seconds", Kind: telemetry.Histogram, Labels: []string{"result"},
	Help:   "How long making tasks of a submission took, the wait for a free compiler included",
	Bounds: []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30},
}

var commitTransactions = telemetry.Metric{
	Name: "flamenco_database_commit_transactions", Kind: telemetry.Histogram,
	Help:   "How many transactions shared one commit; on PostgreSQL each has its own",
	Bounds: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
}

var commitSeconds = telemetry.Metric{
	Name: "flamenco_database_commit_duration_seconds", Kind: telemetry.Histogram,
	Help:   "How long a commit took with the transactions in it",
	Bounds: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5},
}

var managerMetrics = []telemetry.Metric{
	gauge("flamenco_build_info", "Always 1; the labels say which build of the Manager this is", "version", "commit", "goversion"),
	gauge("flamenco_http_requests_in_flight", "Requests that are being answered, held ones and websockets included"),
	gauge("flamenco_stopping", "1 while the Manager stops"),
	gauge("flamenco_suspended", "1 while no task is handed out and no job taken because the database is damaged"),
}

var farmMetrics = []telemetry.Metric{
	gauge("flamenco_farm_counted", "1 if the numbers of jobs, tasks, Workers and operations could be read; without them those are missing"),
	gauge("flamenco_jobs", "Jobs by status", "status"),
	gauge("flamenco_tasks", "Tasks of jobs that have not ended, by status", "status"),
	gauge("flamenco_tasks_ready", "Tasks that a Worker could get now"),
	gauge("flamenco_queue_age_seconds", "How long the longest-waiting of the tasks next in line waits, one of each job and task type; 0 if none does"),
	gauge("flamenco_database_size_bytes", "The size of the database"),
	gauge("flamenco_workers", "Workers by status", "status"),
	gauge("flamenco_operations", "Operations that wait or run", "status"),
}

var workMetrics = []telemetry.Metric{
	gauge("flamenco_task_requests_held", "Requests of Workers for a task that wait for one"),
	counter("flamenco_task_requests_total", "Requests of Workers for a task, by answer (gone: the Worker went away, or the Manager stopped)", "answer"),
	counter("flamenco_task_updates_total", "Updates of Workers about tasks, by answer (late and not-assigned: refused with 409; repeated: it had been taken before)", "answer"),
	counter("flamenco_attempts_ended_total", "Attempts at tasks that ended, by outcome (lost: the Worker was not heard of, or gave the task back)", "outcome"),
}

var databaseMetrics = []telemetry.Metric{
	gauge("flamenco_database_log_size_bytes", "The size of the write-ahead log of SQLite; that of PostgreSQL is the server's"),
	counter("flamenco_database_transactions_total", "Transactions by result (undone: refused or failed, nothing of them stays)", "result"),
	counter("flamenco_database_retries_total", "Transactions that were begun again because the database was locked, was away, or ended them in favour of others"),
	gauge("flamenco_database_connections", "Open connections by pool and state", "pool", "state"),
	gauge("flamenco_database_connections_max", "How many connections a pool may open", "pool"),
	counter("flamenco_database_waits_total", "How often a connection of the pool had to be waited for", "pool"),
	counter("flamenco_database_wait_seconds_total", "How long connections of the pool were waited for", "pool"),
}

var eventMetrics = []telemetry.Metric{
	counter("flamenco_events_published_total", "Changes that somebody listens to, before those of the same thing become one"),
	counter("flamenco_events_delivered_total", "Events that were handed to clients, once for each of them", "sink"),
	counter("flamenco_events_dropped_total", "Times that events were given up, and by whose fault (not-read: the Manager itself is too slow)", "reason"),
	gauge("flamenco_event_clients", "Socket.IO clients that are connected", "transport"),
	counter("flamenco_event_clients_refused_total", "Socket.IO clients that were refused because too many are connected"),
	gauge("flamenco_mqtt_connected", "1 while the MQTT broker is connected"),
	gauge("flamenco_mqtt_waiting_events", "Events that wait for the MQTT broker"),
}

func gauge(name, help string, labels ...string) telemetry.Metric {
	return telemetry.Metric{Name: name, Kind: telemetry.Gauge, Help: help, Labels: labels}
}

func counter(name, help string, labels ...string) telemetry.Metric {
	return telemetry.Metric{Name: name, Kind: telemetry.Counter, Help: help, Labels: labels}
}
