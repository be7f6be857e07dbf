// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package events

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/event"
	"flamenco.farm/internal/event/socketio"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// BenchmarkUpdates commits a thousand changes of tasks a second while so many clients listen to all of them, and says
// how much of one processor that takes and how long it takes until clients have an event, in milliseconds from the
// beginning of its transaction.
func BenchmarkUpdates(b *testing.B) {
	for _, clients := range []int{0, 1, 50} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { benchmarkUpdates(b, clients) })
	}
}

func benchmarkUpdates(b *testing.B, clients int) {
	bus := &event.Bus{}
	f := storetest.NewFarm(b, func(t testing.TB, _ func([]farm.Change)) (*store.Store, *sql.DB) {
		st, err := store.Open(t.Context(), store.Options{
			Database: filepath.Join(t.TempDir(), "farm.sqlite"), Durability: store.DurabilityNormal,
			Log: slog.New(slog.DiscardHandler), OnCommit: bus.Publish, Wanted: bus.Wanted,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return st, nil
	})
	job, tasks := f.Submit(storetest.NewJob("j", storetest.NewTasks(5000, "a")...))
	sio := socketio.New(socketio.Options{
		Bus: bus, Load: f.Store, Log: slog.New(slog.DiscardHandler), Limits: socketio.DefaultLimits(),
		Status: func() farm.StatusReport { return farm.StatusReport{Status: farm.StatusIdle} }, MayJoin: auth.MayJoin,
	})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sio.Run(ctx) // ends with ctx
	}()
	web := httptest.NewServer(sio)
	defer web.Close()
	defer func() {
		cancel()
		<-ended
	}()
	finish := startListeners(b, web.URL, job, clients)

	before := processorTime(b)
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		if early := time.Until(start.Add(time.Duration(i) * time.Millisecond)); early > 0 {
			<-time.After(early)
		}
		steps := i/len(tasks) + 1
		err := f.Store.Do(b.Context(), func(tx *store.Tx) error {
			t, err := tx.Task(tasks[i%len(tasks)])
			if err != nil {
				return err
			}
			j, err := tx.Job(job)
			if err != nil {
				return err
			}
			t.Activity = fmt.Sprintf("Rendering, step %d", steps)
			t.StepsCompleted = steps % 2
			return tx.SaveTask(j, t, store.ByManager(""))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	used := processorTime(b) - before
	b.ReportMetric(100*used.Seconds()/b.Elapsed().Seconds(), "cpu-%")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	if clients > 0 {
		m := finish()
		b.ReportMetric(float64(m.Tasks)/float64(b.N*clients), "heard")
		b.ReportMetric(m.Median, "median-ms")
		b.ReportMetric(m.Worst, "worst-ms")
		b.ReportMetric(m.JobMedian, "job-median-ms")
		b.ReportMetric(m.JobsWorst, "job-worst-ms")
	}
}

// startListeners starts the clients in a program of their own; finish ends it and is what it measured.
func startListeners(b *testing.B, url, job string, clients int) (finish func() measured) {
	b.Helper()
	if clients == 0 {
		return nil
	}
	cmd := exec.CommandContext(b.Context(), os.Args[0], listenersArgument, url, job, fmt.Sprint(clients))
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || lines.Text() != "ready" {
		b.Fatalf("the clients say %q: %v", lines.Text(), lines.Err())
	}
	return func() (m measured) {
		<-time.After(time.Second) // what is on its way may arrive
		if err := input.Close(); err != nil {
			b.Fatal(err)
		}
		if !lines.Scan() {
			b.Fatal("the clients say nothing")
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			b.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		return m
	}
}

// processorTime is what this process has used of all processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
