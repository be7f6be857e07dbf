// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"flamenco.farm/internal/manager"
)

var update = flag.Bool("update", false, "write what is generated instead of comparing it")

// scrape is what a Manager tells Prometheus: the labels of each metric as they were seen, by name, and the whole text.
func scrape(t *testing.T, client *http.Client, url string) (labels map[string][]string, text string) {
	t.Helper()
	status, text := call(t, client, "GET", url+"/metrics", "")
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	labels = map[string][]string{}
	kinds := map[string]string{}
	sample := regexp.MustCompile(`^(\w+)(?:\{(.*)\})? \S+$`)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			kinds[name] = kind
			labels[name] = nil
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, suffix); kinds[base] == "histogram" || kinds[base] == "summary" {
				name = base
			}
		}
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			if label[1] != "le" && !slices.Contains(labels[name], label[1]) {
				labels[name] = append(labels[name], label[1])
			}
		}
	}
	for _, list := range labels {
		slices.Sort(list)
	}
	return labels, text
}

// busyFarm is a Manager that has seen a bit of everything; what it says of ids must not show in its metrics.
func busyFarm(t *testing.T) (client *http.Client, url string) {
	t.Helper()
	client = newClient(t)
	url, stop := start(t, configured(t))
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	const job = `{"name":"x","type":"echo-sleep-test","submitter_platform":"linux","settings":{"message":"x"}}`
	call(t, client, "POST", url+"/api/v3/jobs", job)
	call(t, client, "POST", url+"/api/v3/jobs", job)
	call(t, client, "POST", url+"/api/v3/jobs", `{"name":"x","type":"nothing","submitter_platform":"linux"}`)
	id := signOn(t, client, url, "anna")
	_, text := call(t, client, "POST", url+"/api/v3/worker/task", "", id, "s")
	var task struct{ UUID, Job string }
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, body := range []string{`{"taskStatus":"active"}`, `{"taskStatus":"completed"}`} {
		if status, text := call(t, client, "POST", url+"/api/v3/worker/task/"+task.UUID, body, id, "s"); status != 204 {
			t.Fatalf("%d %s", status, text)
		}
	}
	call(t, client, "GET", url+"/api/v3/jobs/"+task.Job, "")
	call(t, client, "GET", url+"/nowhere/"+task.Job, "")
	return client, url
}

// signOn makes a Worker known that is awake; its secret is s.
func signOn(t *testing.T, client *http.Client, url, name string) (id string) {
	t.Helper()
	_, text := call(t, client, "POST", url+"/api/v3/worker/register-worker", `{"name":"`+name+`","secret":"s","platform":"linux","supported_task_types":["misc"]}`)
	var registered struct{ UUID string }
	if err := json.Unmarshal([]byte(text), &registered); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	call(t, client, "POST", url+"/api/v3/worker/sign-on", `{"name":"`+name+`","supported_task_types":["misc"],"software_version":"1"}`, registered.UUID, "s")
	call(t, client, "POST", url+"/api/v3/worker/state-changed", `{"status":"awake"}`, registered.UUID, "s")
	return registered.UUID
}

func TestTheMetricsOfAManagerAreThoseThatAreDescribed(t *testing.T) {
	t.Parallel()
	client, url := busyFarm(t)
	seen, text := scrape(t, client, url)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	declared := map[string][]string{}
	for _, m := range manager.DescribedMetrics() {
		labels := slices.Clone(m.Labels)
		slices.Sort(labels)
		declared[m.Name] = labels
	}
	maps.DeleteFunc(seen, func(name string, _ []string) bool { return !strings.HasPrefix(name, "flamenco_") })
	if diff := cmp.Diff(declared, seen); diff != "" {
		t.Errorf("described and seen (-described +seen):\n%s", diff)
	}
	if id := regexp.MustCompile(`="[^"\n]*([0-9a-f]{8}-[0-9a-f]{4}-|/)[^"\n]*"`).FindString(text); id != "" {
		t.Errorf("the label value %s is an id or a path", id)
	}
	for _, line := range []string{
		`flamenco_jobs{status="active"} 1`, `flamenco_jobs{status="queued"} 1`, `flamenco_tasks{status="completed"} 1`, `flamenco_tasks{status="queued"} 3`,
		`flamenco_tasks_ready 2`, `flamenco_workers{status="awake"} 1`, `flamenco_attempts_ended_total{outcome="completed"} 1`,
		`flamenco_task_requests_total{answer="task"} 1`, `flamenco_task_updates_total{answer="accepted"} 2`, `flamenco_farm_counted 1`,
		`flamenco_job_compile_duration_seconds_count{result="ok"} 2`, `flamenco_job_compile_duration_seconds_count{result="refused"} 1`,
		`flamenco_http_request_duration_seconds_count{operation="taskUpdate",status="2xx"} 2`, `flamenco_stopping 0`,
		`flamenco_http_request_duration_seconds_count{operation="other",status="4xx"} 1`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			t.Errorf("there is no %s, but\n%s", line, strings.Join(regexp.MustCompile(`(?m)^`+name+`.*$`).FindAllString(text, 30), "\n"))
		}
	}
}

// generated compares what is generated with the end of a file behind mark, or writes it.
func generated(t *testing.T, path, mark, want string) {
	t.Helper()
	had, err := os.ReadFile(path)
	if err != nil && mark != "" {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(had), mark)
	if mark == "" {
		before, after = "", string(had)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+mark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(after, want); diff != "" {
		t.Errorf("%s is out of date, run: go test ./internal/manager -update\n%s", path, diff)
	}
}

// A dashboard that somebody made breaks when a name or a label changes: the golden file is there to think twice.
func TestNamesAndLabelsOfMetricsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	var golden, page strings.Builder
	page.WriteString("\n| metric | kind | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range manager.DescribedMetrics() {
		fmt.Fprintln(&golden, strings.Join(append([]string{m.Name, string(m.Kind)}, m.Labels...), " "))
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Help)
	}
	generated(t, filepath.Join("testdata", "metrics.txt"), "", golden.String())
	generated(t, filepath.Join("..", "..", "docs", "usage", "monitoring.md"), "-update; do not edit. -->\n", page.String())
}

// known are the metrics of a Manager with their labels, the histograms by the names of their series too.
func known(t *testing.T) map[string][]string {
	t.Helper()
	client, url := busyFarm(t)
	all, _ := scrape(t, client, url)
	for name, labels := range maps.Clone(all) {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			all[name+suffix] = append(slices.Clone(labels), "le")
		}
	}
	return all
}

// checkQuery checks that a query names metrics and labels that exist.
func checkQuery(t *testing.T, where, query string, metrics map[string][]string) {
	t.Helper()
	names := regexp.MustCompile(`\b(?:flamenco|process|go)_\w+`).FindAllString(query, -1)
	allowed := []string{"job", "instance"} // Prometheus adds them
	for _, name := range names {
		labels, ok := metrics[name]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
		}
		allowed = append(allowed, labels...)
	}
	used := regexp.MustCompile(`[{,]\s*(\w+)(?:=|!)`).FindAllStringSubmatch(query, -1)
	for _, by := range regexp.MustCompile(`\bby \(([^)]*)\)`).FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(by[1], ",") {
			used = append(used, []string{"", strings.TrimSpace(label)})
		}
	}
	for _, label := range used {
		if len(names) > 0 && !slices.Contains(allowed, label[1]) {
			t.Errorf("%s: none of %v has a label %s", where, names, label[1])
		}
	}
}

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "grafana", "flamenco.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	metrics := known(t)
	ids, queries := map[int]bool{}, 0
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.Title == "" {
			t.Errorf("panel %d %q has no place, no title or no number of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %q of type %s has %d queries", p.Title, p.Type, len(p.Targets))
		}
		for _, target := range p.Targets {
			queries++
			if !strings.Contains(target.Expr, "flamenco_") && !strings.Contains(target.Expr, "process_") && !strings.Contains(target.Expr, "go_") {
				t.Errorf("panel %q asks for nothing: %s", p.Title, target.Expr)
			}
			checkQuery(t, p.Title, target.Expr, metrics)
		}
	}
	if queries < 30 {
		t.Errorf("only %d queries were found", queries)
	}
}

func TestTheAlertsOfTheManualAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "usage", "monitoring.md"))
	if err != nil {
		t.Fatal(err)
	}
	metrics := known(t)
	rules := regexp.MustCompile(`(?m)^ +expr: (.*)$`).FindAllStringSubmatch(string(text), -1)
	for _, rule := range rules {
		checkQuery(t, "the manual", rule[1], metrics)
	}
	if len(rules) < 5 {
		t.Errorf("only %d alerts were found", len(rules))
	}
}
