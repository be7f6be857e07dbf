// SPDX-License-Identifier: GPL-3.0-or-later

package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Kind is what a metric is to Prometheus.
type Kind string

// The kinds of metrics: what only grows, what goes up and down, and how values are spread.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Metric describes one metric. Its name carries its unit, after the rules of Prometheus. A label may only take few values:
// never an id, a path or a name that somebody chose.
type Metric struct {
	Name   string
	Kind   Kind
	Help   string // one sentence, without a full stop at its end
	Labels []string
	Bounds []float64 // upper ends of the buckets of a histogram
}

// Metrics is what a program tells Prometheus of itself.
type Metrics struct {
	registry *prometheus.Registry

	mu       sync.Mutex
	declared []Metric
}

// NewMetrics are those that every program in Go has: of its process and its runtime.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Declared lists the program's own metrics by name.
func (m *Metrics) Declared() []Metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.declared)
	slices.SortFunc(list, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (m *Metrics) declare(metrics ...Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.declared = append(m.declared, metrics...)
}

// Emit says one value; labels are in the order of the metric's description.
type Emit func(name string, value float64, labels ...string)

// Source adds counters and gauges that are read when somebody asks for them. read may run several times at once; what it
// leaves out is not shown. It panics when a name is taken, which is a mistake in the program.
func (m *Metrics) Source(read func(Emit), metrics ...Metric) {
	s := &source{read: read, described: map[string]described{}}
	for _, metric := range metrics {
		kind := prometheus.GaugeValue
		if metric.Kind == Counter {
			kind = prometheus.CounterValue
		}
		s.described[metric.Name] = described{prometheus.NewDesc(metric.Name, metric.Help+".", metric.Labels, nil), kind}
	}
	m.registry.MustRegister(s)
	m.declare(metrics...)
}

type described struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

type source struct {
	read      func(Emit)
	described map[string]described
}

// Describe and Collect are what the registry calls.
func (s *source) Describe(to chan<- *prometheus.Desc) {
	for _, d := range s.described {
		to <- d.desc
	}
}

func (s *source) Collect(to chan<- prometheus.Metric) {
	s.read(func(name string, value float64, labels ...string) {
		d, ok := s.described[name]
		if !ok {
			panic(fmt.Sprintf("telemetry: metric %s was never described", name))
		}
		to <- prometheus.MustNewConstMetric(d.desc, d.kind, value, labels...)
	})
}

// Spread adds a histogram. What it returns makes the function that takes the values for given labels: making it costs a
// lookup, calling it next to nothing, so it is made once.
func (m *Metrics) Spread(metric Metric) func(labels ...string) (observe func(float64)) {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: metric.Name, Help: metric.Help + ".", Buckets: metric.Bounds}, metric.Labels)
	m.registry.MustRegister(vec)
	m.declare(metric)
	return func(labels ...string) func(float64) { return vec.WithLabelValues(labels...).Observe }
}

// Serve answers Prometheus at an address of its own until ctx ends, for a program that has no other. The log tells it.
func (m *Metrics) Serve(ctx context.Context, address string, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler(log))
	return serve(ctx, address, "metrics", "/metrics", mux, log)
}

// What one that asks for metrics may cost.
const (
	scrapesAtOnce = 3
	scrapeTime    = 10 * time.Second
)

// Handler answers Prometheus.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeTime,
	})
}
