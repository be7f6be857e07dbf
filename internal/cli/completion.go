// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

const (
	completionPatience = 2 * time.Second // how long a shell may hang at the press of a key
	completionLimit    = 50              // more nobody reads
)

func completionContext(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return context.WithTimeout(ctx, completionPatience)
}

// completions makes what a shell shows of entries: what would be typed, and what it is. After an error nothing is offered.
func completions[T any](entries []T, err error, show func(T) (text, about string)) ([]cobra.Completion, cobra.ShellCompDirective) {
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offered []cobra.Completion
	for _, entry := range entries {
		text, about := show(entry)
		offered = append(offered, cobra.CompletionWithDesc(text, about))
	}
	return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeJob offers the latest jobs, as the ids of tables with their names.
func (g *globalOptions) completeJob(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := completionContext(cmd)
	defer cancel()
	c, err := g.connect(ctx)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	jobs, err := newestJobs(ctx, c, completionLimit)
	return completions(jobs, err, func(job api.Job) (string, string) {
		return short(job.ID), job.Name + " (" + string(job.Status) + ")"
	})
}

// completeWorker offers the workers by name.
func (g *globalOptions) completeWorker(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := completionContext(cmd)
	defer cancel()
	c, err := g.connect(ctx)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	workers, err := client.Collect(c.Workers(ctx, client.List{}))
	return completions(workers, err, func(worker api.WorkerSummary) (string, string) {
		return worker.Name, string(worker.Status)
	})
}

// completeStatuses offers what the --status option of cmd takes.
func completeStatuses(cmd *cobra.Command, statuses []string) {
	offer := cobra.FixedCompletions(statuses, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("status", offer); err != nil {
		panic(err) // the option was not declared: a mistake in this package
	}
}
