// SPDX-License-Identifier: GPL-3.0-or-later

package telemetry_test

import (
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"flamenco.farm/internal/telemetry"
)

func TestPrometheusReadsWhatIsMeasuredAndWhatIsCounted(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	observe := m.Spread(telemetry.Metric{
		Name: "pond_dive_seconds", Kind: telemetry.Histogram, Help: "How long dives took", Labels: []string{"bird"}, Bounds: []float64{1, 10},
	})("duck")
	ducks := 3.0
	m.Source(func(emit telemetry.Emit) {
		emit("pond_ducks", ducks, "wild")
		emit("pond_quacks_total", 40)
	}, telemetry.Metric{Name: "pond_ducks", Kind: telemetry.Gauge, Help: "Ducks", Labels: []string{"kind"}},
		telemetry.Metric{Name: "pond_quacks_total", Kind: telemetry.Counter, Help: "Quacks"})
	observe(0.5)
	observe(5)
	ducks = 4 // read when somebody asks

	answer := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	text := answer.Body.String()
	for _, line := range []string{
		`pond_ducks{kind="wild"} 4`, `# TYPE pond_ducks gauge`, `# HELP pond_ducks Ducks.`, `pond_quacks_total 40`, `# TYPE pond_quacks_total counter`,
		`pond_dive_seconds_bucket{bird="duck",le="1"} 1`, `pond_dive_seconds_bucket{bird="duck",le="10"} 2`, `pond_dive_seconds_sum{bird="duck"} 5.5`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing in\n%s", line, regexp.MustCompile(`(?m)^.*pond.*$`).FindAllString(text, -1))
		}
	}
	if !strings.Contains(text, "\ngo_goroutines ") || !strings.Contains(text, "\nprocess_start_time_seconds ") {
		t.Error("there is nothing of the process and its runtime")
	}
	var names []string
	for _, d := range m.Declared() {
		names = append(names, d.Name)
	}
	if got := strings.Join(names, " "); got != "pond_dive_seconds pond_ducks pond_quacks_total" {
		t.Errorf("declared: %s", got)
	}
}

func TestProfilesAreForThisMachineOnly(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"127.0.0.1:6060": true, "[::1]:0": true, "localhost:6060": true, "127.3.2.1:1": true,
		":6060": false, "0.0.0.0:6060": false, "[::]:6060": false, "192.168.1.2:6060": false, "manager:6060": false, "6060": false, "": false,
	} {
		if err := telemetry.CheckProfilesAddress(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
	if err := telemetry.ServeProfiles(t.Context(), "0.0.0.0:0", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("profiles were served to everybody")
	}
}

func TestTheFlagOfProfilesMayStandAlone(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"":                          "",
		"-pprof":                    "-pprof 127.0.0.1:6060",
		"--pprof -quiet":            "--pprof 127.0.0.1:6060 -quiet",
		"-quiet -pprof localhost:1": "-quiet -pprof localhost:1",
		"-pprof=localhost:1 -debug": "-pprof=localhost:1 -debug",
	} {
		if got := strings.Join(telemetry.WithProfilesAddress(strings.Fields(given)), " "); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
}
