// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

func newWait(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "wait JOB",
		Short: "Show progress and wait until a job ends",
		Long: `Show the progress of a job and wait until it ends. The exit code is 0 when it
was completed, and 3 when it failed or was canceled. Interrupting this command
does nothing to the job.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.completeJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			id, err := resolveJob(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return waitForJob(cmd.Context(), g, c, id)
		},
	}
}

// waitForJob shows the progress of a job until it ends, and then how it ended.
func waitForJob(ctx context.Context, g *globalOptions, c *client.Client, id string) error {
	w := &waiter{globalOptions: g, client: c, id: id}
	w.progress = newProgress(g.streams.Err, newStyle(g.streams.Err, g.getenv))
	if g.json {
		w.progress = &jsonProgress{w: g.streams.Out, job: id}
	}
	job, err := w.run(ctx)
	w.progress.end()
	if ctx.Err() != nil {
		return interruptedError{"The job goes on. To wait for it again: flamenco wait " + short(id)}
	}
	if err != nil {
		return err
	}
	return w.result(ctx, job)
}

type waiter struct {
	*globalOptions
	client   *client.Client
	id       string
	progress progress
	estimate estimate

	tasks   []api.TaskSummary
	stale   bool          // the job has changed since tasks was read
	fetched time.Time     // when tasks was read
	took    time.Duration // how long that lasted

	note   string    // why nothing moves, if that is known
	looked time.Time // when it was looked for
}

// change is what watching the job brings.
type change struct {
	job api.Job
	err error
}

// run shows each change, and the passing of time in between, until the job has ended.
func (w *waiter) run(ctx context.Context) (api.Job, error) {
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan change)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		for job, err := range w.client.WatchJob(ctx, w.id) {
			select {
			case changes <- change{job, err}:
			case <-ctx.Done():
				return
			}
		}
	})
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	var job api.Job
	for {
		select {
		case <-ctx.Done():
			return job, ctx.Err()
		case next := <-changes:
			if next.err != nil {
				return job, next.err
			}
			job, w.stale = next.job, true
		case <-clock.C:
		}
		if job.ID == "" {
			continue
		}
		if err := w.show(ctx, job); err != nil {
			return job, err
		}
		if jobEnded(job.Status) {
			return job, nil
		}
	}
}

func jobEnded(status api.JobStatus) bool {
	return status == api.JobStatusCompleted || status == api.JobStatusFailed || status == api.JobStatusCanceled
}

func (w *waiter) show(ctx context.Context, job api.Job) error {
	if err := w.refreshTasks(ctx, job); err != nil {
		return err
	}
	n := countJob(job, w.tasks)
	n.note = w.whyQueued(ctx, job)
	left, known := w.estimate.left(time.Now(), n)
	w.progress.show(n, left, known)
	return nil
}

// refreshTasks reads the tasks anew if the job has changed since. It spends at most a tenth of the time on that, so that
// waiting for a job of many tasks is no load for the Manager; the end of the job is always counted exactly.
func (w *waiter) refreshTasks(ctx context.Context, job api.Job) error {
	started := time.Now()
	if !w.stale || !jobEnded(job.Status) && started.Sub(w.fetched) < max(10*w.took, time.Second/4) {
		return nil
	}
	tasks, err := client.Collect(w.client.Tasks(ctx, w.id, client.List{PageSize: 1000}))
	switch {
	case err == nil:
		w.tasks, w.stale = tasks, false
	case ctx.Err() != nil || client.StatusOf(err) == http.StatusNotFound:
		return err
	}
	w.fetched, w.took = time.Now(), time.Since(started)
	return nil
}

// lookInterval is the time between two looks at the workers, and before the first one: a job is mostly queued only briefly.
const lookInterval = 3 * time.Second

// whyQueued is what keeps a queued job from starting, as far as the workers show it.
func (w *waiter) whyQueued(ctx context.Context, job api.Job) string {
	now := time.Now()
	switch {
	case job.Status != api.JobStatusQueued:
		w.note, w.looked = "", time.Time{}
		return ""
	case w.looked.IsZero():
		w.looked = now
	case now.Sub(w.looked) >= lookInterval:
		w.looked = now
		if workers, err := client.Collect(w.client.Workers(ctx, client.List{})); err == nil {
			w.note = shortage(workers)
		}
	}
	return w.note
}

// shortage says that there are no workers to run anything, "" when there are.
func shortage(workers []api.WorkerSummary) string {
	for _, worker := range workers {
		if worker.Status == api.WorkerStatusAwake {
			return ""
		}
	}
	if len(workers) == 0 {
		return "the farm has no workers"
	}
	return "no worker is awake"
}

// result says how the job ended.
func (w *waiter) result(ctx context.Context, job api.Job) error {
	var err error
	if job.Status != api.JobStatusCompleted {
		err = jobFailedError{fmt.Sprintf("job %s (%s) %s", job.Name, short(job.ID), ending(job))}
	}
	if w.json {
		if printErr := printJSON(w.streams.Out, "job", job); printErr != nil {
			return printErr
		}
		return err
	}
	if err == nil {
		s := w.out()
		_, err = fmt.Fprintf(w.streams.Out, "%s %s in %s\n", s.good("Completed"), s.bold(job.Name), span(job.Updated.Sub(job.Created)))
		return err
	}
	w.explain(ctx)
	return err
}

// ending is how a job ended, with the reason where the Manager gives one.
func ending(job api.Job) string {
	how := "was canceled"
	if job.Status == api.JobStatusFailed {
		how = "failed"
	}
	// The Manager repeats the status in front of the reason, and for a person that is once too often.
	reason := strings.TrimPrefix(job.Activity, "Changed to status "+string(job.Status))
	if reason = strings.TrimPrefix(reason, ": "); reason != "" {
		how += ": " + reason
	}
	return how
}

// explainMax is how many failed tasks are told about: they mostly failed for the same reason.
const explainMax = 3

// explain shows what the tasks that failed said last, and how to read more.
func (w *waiter) explain(ctx context.Context) {
	s := newStyle(w.streams.Err, w.getenv)
	told := 0
	for _, summary := range w.tasks {
		if summary.Status != api.TaskStatusFailed && summary.Status != api.TaskStatusSoftFailed {
			continue
		}
		if told++; told > explainMax {
			fmt.Fprintf(w.streams.Err, "More: %s\n", s.bold("flamenco tasks list --status failed "+short(w.id)))
			return
		}
		activity := ""
		if task, err := w.client.Task(ctx, summary.ID); err == nil {
			activity = ": " + strings.TrimPrefix(task.Activity, "Failed: ")
		}
		fmt.Fprintf(w.streams.Err, "%s %s%s\n  Log: %s\n", s.bad("Failed"), s.bold(summary.Name), activity,
			s.bold(fmt.Sprintf("flamenco tasks log %s/%d", short(w.id), summary.IndexInJob)))
	}
}
