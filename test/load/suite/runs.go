// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"flamenco.farm/test/load/measure"
)

// runs is one load that was run a few times. A figure that was not measured is no number, which meets no target.
type runs []*measure.Report

func (r runs) median(figure func(*measure.Report) float64) float64 {
	var figures []float64
	for _, report := range r {
		figures = append(figures, figure(report))
	}
	return median(figures)
}

func (r runs) rate() float64 {
	return r.median(func(report *measure.Report) float64 { return report.Rate })
}

func (r runs) figure(name string) float64 {
	return r.median(func(report *measure.Report) float64 { return report.Figures[name] })
}

func (r runs) p50(call string) float64 {
	return r.median(func(report *measure.Report) float64 { return sampled(report.Calls[call]).P50 })
}

func (r runs) p99(call string) float64 {
	return r.median(func(report *measure.Report) float64 { return sampled(report.Calls[call]).P99 })
}

// sampled is the latency of a kind of call, no numbers when there was no such call.
func sampled(l measure.Latency) measure.Latency {
	if l.N == 0 {
		l.P50, l.P90, l.P99, l.Max = math.NaN(), math.NaN(), math.NaN(), math.NaN()
	}
	return l
}

// troubles is what went wrong in the runs, "" = nothing. Figures of such runs meet no target.
func (r runs) troubles() string {
	counts := map[string]int{}
	for _, report := range r {
		for kind, n := range report.Errors {
			counts[kind] += n
		}
		if n := int(report.Figures[measure.EventsMissing]); n > 0 {
			counts["events missing"] += n
		}
	}
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s (%d times)", kind, counts[kind]))
	}
	return strings.Join(all, ", ")
}

// median of a few figures; no number if one of them is none, or there are none.
func median(figures []float64) float64 {
	if len(figures) == 0 || slices.ContainsFunc(figures, math.IsNaN) {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}

// ratio is no number where there is nothing to compare with.
func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}
