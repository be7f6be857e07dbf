// SPDX-License-Identifier: GPL-3.0-or-later

package large

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamenco.farm/pkg/api"
)

// BenchmarkTaskList asks for the tasks of a job of 100,000: the first page, and all of them, plain and compressed.
// peak-MB is the most memory that the Manager took meanwhile.
func BenchmarkTaskList(b *testing.B) {
	dir := b.TempDir()
	id := prepare(b, dir, newJob("large", "blender", 100_000, 50))[0]
	p := startManager(b, dir)
	for _, c := range []struct{ name, query, encoding string }{
		{"first page", "?limit=100", "identity"},
		{"first page by name", "?limit=100&order_by=name", "identity"},
		{"whole", "", "identity"},
		{"whole by name", "?order_by=name", "identity"},
		{"whole compressed", "", "gzip"},
	} {
		b.Run(c.name, func(b *testing.B) {
			p.forgetPeak()
			var bytes int64
			before := p.processor()
			for b.Loop() {
				bytes = p.read("/jobs/"+id+"/tasks"+c.query, c.encoding)
			}
			b.ReportMetric(p.memory("VmHWM"), "peak-MB")
			b.ReportMetric(float64(bytes)/1e6, "answer-MB")
			p.reportProcessor(b, before)
		})
	}
}

// read reads a whole answer and returns its size.
func (p *process) read(path, encoding string) int64 {
	req, err := http.NewRequest(http.MethodGet, p.url+path, nil)
	must(p.b, err)
	req.Header.Set("Accept-Encoding", encoding)
	resp, err := p.client.Do(req)
	must(p.b, err)
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if must(p.b, err); resp.StatusCode != http.StatusOK {
		p.b.Fatalf("%s: %d", path, resp.StatusCode)
	}
	return n
}

// BenchmarkSubmit submits a job of 50,000 tasks. compile-ms is what checking it takes, which is all but storing it.
func BenchmarkSubmit(b *testing.B) {
	p := startManager(b, b.TempDir())
	job := `{"name":"large","type":"echo-sleep-test","submitter_platform":"linux",
		"settings":{"message":"x","sleep_duration_seconds":0,"sleep_repeats":49999}}`
	p.call(nil, "POST", "/jobs/check", job)
	var compile time.Duration
	for b.Loop() {
		start := time.Now()
		p.call(nil, "POST", "/jobs/check", job)
		compile += time.Since(start)
		p.call(nil, "POST", "/jobs", job)
	}
	b.ReportMetric(milliseconds(compile)/float64(b.N), "compile-ms")
	b.ReportMetric(milliseconds(b.Elapsed()-compile)/float64(b.N), "submit-ms")
	b.ReportMetric(p.memory("VmHWM"), "peak-MB")
}

// BenchmarkChangeLargeJob changes the priority of a job of 100,000 tasks and cancels it, while Workers claim from another.
func BenchmarkChangeLargeJob(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		id := prepare(b, dir, newJob("large", "blender", 100_000, 50), newJob("other", "misc", 20_000, 60))[0]
		p := startManager(b, dir)
		claims, stop := p.busy(10, "misc")
		<-time.After(time.Second)
		claims.forget()
		b.StartTimer()
		start := time.Now()
		p.call(nil, "POST", "/jobs/"+id+"/setpriority", `{"priority":51}`)
		b.ReportMetric(milliseconds(time.Since(start)), "priority-ms")
		start = time.Now()
		p.call(nil, "POST", "/jobs/"+id+"/setstatus", `{"status":"cancel-requested","reason":"benchmark"}`)
		b.ReportMetric(milliseconds(time.Since(start)), "cancel-answered-ms")
		for deadline := start.Add(time.Minute); ; {
			_, text := p.call(nil, "GET", "/jobs/"+id, "")
			var job api.Job
			must(b, json.Unmarshal(text, &job))
			if job.Status == "canceled" && job.TaskCounts.Canceled == 100_000 {
				break
			}
			if time.Now().After(deadline) {
				b.Fatalf("still %s", text)
			}
			<-time.After(10 * time.Millisecond)
		}
		b.ReportMetric(milliseconds(time.Since(start)), "cancel-done-ms")
		b.StopTimer()
		times := claims.all()
		stop()
		b.ReportMetric(float64(len(times)), "claims")
		report(b, "claim", times)
		b.StartTimer()
	}
}

// measured is times that several goroutines add to.
type measured struct {
	lock  sync.Mutex
	times []time.Duration
}

func (m *measured) add(d time.Duration) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.times = append(m.times, d)
}

func (m *measured) forget() {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.times = nil
}

func (m *measured) all() []time.Duration {
	m.lock.Lock()
	defer m.lock.Unlock()
	return append([]time.Duration(nil), m.times...)
}

// busy lets Workers claim and complete tasks until stop.
func (p *process) busy(workers int, taskType string) (claims *measured, stop func()) {
	claims = &measured{}
	var stopped atomic.Bool
	var group sync.WaitGroup
	for i := range workers {
		w := p.join(fmt.Sprint("busy ", i), taskType)
		group.Go(func() {
			for !stopped.Load() {
				claims.add(p.cycle(w))
			}
		})
	}
	return claims, func() {
		stopped.Store(true)
		group.Wait()
	}
}

// BenchmarkFullDatabase starts a Manager on a database of a million tasks, 100,000 of them queued, and claims tasks.
func BenchmarkFullDatabase(b *testing.B) {
	dir := b.TempDir()
	prepare(b, dir, newJob("large", "blender", 100_000, 50))
	addFinished(b, dir, 9, 100_000)
	b.Run("start", func(b *testing.B) {
		var took time.Duration
		for b.Loop() {
			q := startManager(b, dir)
			took += q.started
			q.stop()
		}
		b.ReportMetric(milliseconds(took)/float64(b.N), "first-answer-ms")
	})
	p := startManager(b, dir)
	b.Run("claim", func(b *testing.B) { p.claims(b, p.join("claimer", "blender")) })
	b.Run("first page of jobs", func(b *testing.B) {
		for b.Loop() {
			p.read("/jobs?limit=100", "identity")
		}
	})
}

func (p *process) claims(b *testing.B, w *worker) {
	var times []time.Duration
	before := p.processor()
	for b.Loop() {
		times = append(times, p.cycle(w))
	}
	p.reportProcessor(b, before)
	report(b, "claim", times)
}

// BenchmarkClaimBehind claims tasks while 50,000 stand in front that the Worker may not run, and 50,000 that it cannot.
func BenchmarkClaimBehind(b *testing.B) {
	dir := b.TempDir()
	ids := prepare(b, dir, newJob("blocked", "misc", 50_000, 90), newJob("another type", "blender", 50_000, 80), newJob("mine", "misc", 50_000, 50))
	p := startManager(b, dir)
	w := p.join("claimer", "misc")
	block(b, dir, ids[0], w.id, "misc")
	p.claims(b, w)
}

// BenchmarkIdle lets 1,000 Workers wait for work for ten seconds.
func BenchmarkIdle(b *testing.B) {
	p := startManager(b, b.TempDir())
	ctx, cancel := context.WithCancel(b.Context())
	var group sync.WaitGroup
	defer func() {
		cancel()
		group.Wait()
	}()
	for i := range 1000 {
		w := p.join(fmt.Sprint("idle ", i), "misc")
		group.Go(func() {
			for ctx.Err() == nil {
				p.hold(ctx, w)
			}
		})
	}
	<-time.After(2 * time.Second)
	for b.Loop() {
		before := p.processor()
		<-time.After(10 * time.Second)
		b.ReportMetric(float64(p.processor()-before)/float64(10*time.Second)*100, "%-of-a-core")
	}
	b.ReportMetric(p.memory("VmRSS"), "MB")
}

// hold asks for a task once.
func (p *process) hold(ctx context.Context, w *worker) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/worker/task", nil)
	if err != nil {
		return
	}
	req.SetBasicAuth(w.id, w.secret)
	if resp, err := p.client.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// BenchmarkBusyReaders says how many tasks ten Workers claim and complete a second while so many clients read lists all the time.
func BenchmarkBusyReaders(b *testing.B) {
	for _, readers := range []int{0, 1, 3, 10} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			dir := b.TempDir()
			id := prepare(b, dir, newJob("large", "blender", 100_000, 50), newJob("other", "misc", 50_000, 60))[0]
			p := startManager(b, dir)
			ctx, cancel := context.WithCancel(b.Context())
			var group sync.WaitGroup
			var lists atomic.Int64
			for range readers {
				group.Go(func() {
					for ctx.Err() == nil {
						p.read("/jobs/"+id+"/tasks?limit=1000", "identity")
						lists.Add(1)
					}
				})
			}
			claims, stop := p.busy(10, "misc")
			<-time.After(time.Second)
			for b.Loop() {
				claims.forget()
				lists.Store(0)
				<-time.After(3 * time.Second)
				times := claims.all()
				b.ReportMetric(float64(len(times))/3, "cycles/s")
				b.ReportMetric(float64(lists.Load())/3, "lists/s")
				report(b, "claim", times)
			}
			stop()
			cancel()
			group.Wait()
		})
	}
}
