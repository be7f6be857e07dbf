// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

func newWorkersList(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List workers by name",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return listWorkers(cmd.Context(), g) },
	}
}

func listWorkers(ctx context.Context, g *globalOptions) error {
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	workers, err := client.Collect(c.Workers(ctx, client.List{}))
	if err != nil {
		return err
	}
	slices.SortFunc(workers, func(a, b api.WorkerSummary) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.ID, b.ID))
	})
	if g.json {
		for _, worker := range workers {
			if err := printJSON(g.streams.Out, "worker", worker); err != nil {
				return err
			}
		}
		return nil
	}
	if len(workers) == 0 {
		fmt.Fprintln(g.streams.Err, newStyle(g.streams.Err, g.getenv).dim("No workers. Start flamenco-worker on a machine that reaches the Manager."))
		return nil
	}
	s, now := g.out(), time.Now()
	columns := []column{
		{title: "ID"},
		{title: "NAME", flexible: true},
		{title: "STATUS", paint: func(text, shown string) string {
			status, _, _ := strings.Cut(text, ",")
			return s.status(status, shown)
		}},
		{title: "VERSION"},
		{title: "LAST SEEN"},
	}
	var rows [][]string
	for _, worker := range workers {
		rows = append(rows, []string{
			short(worker.ID), worker.Name, statusOf(worker.Status, worker.StatusChange), worker.Version, seen(now, worker.LastSeen),
		})
	}
	return writeTable(g.streams.Out, s, columns, rows)
}
