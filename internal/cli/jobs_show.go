// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
)

func newJobsShow(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:               "show JOB",
		Short:             "Show one job with its settings",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.completeJob,
		RunE:              func(cmd *cobra.Command, args []string) error { return showJob(cmd.Context(), g, args[0]) },
	}
}

func showJob(ctx context.Context, g *globalOptions, name string) error {
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	id, err := resolveJob(ctx, c, name)
	if err != nil {
		return err
	}
	job, err := c.Job(ctx, id)
	if err != nil {
		return err
	}
	if g.json {
		return printJSON(g.streams.Out, "job", job)
	}
	s, now := g.out(), time.Now()
	fields := []field{
		{"Job", s.bold(job.Name)},
		{"ID", job.ID},
		{"Type", job.Type},
		{"Status", s.status(string(job.Status), string(job.Status))},
		{"Activity", job.Activity},
		{"Progress", percent(job.StepsCompleted, job.StepsTotal)},
		{"Tasks", countsText(s, job.TaskCounts)},
		{"Priority", strconv.Itoa(job.Priority)},
		{"Worker tag", text(job.WorkerTag)},
		{"Created", atTime(now, job.Created)},
		{"Updated", atTime(now, job.Updated)},
	}
	if job.DeleteRequestedAt != nil {
		fields = append(fields, field{"Deletion", "requested " + atTime(now, *job.DeleteRequestedAt)})
	}
	fields = append(fields, field{"Web", webAddress(c, job.ID)})
	fields = append(fields, field{"Settings", valuesText(job.Settings)}, field{"Metadata", valuesText(job.Metadata)})
	return writeFields(g.streams.Out, s, fields)
}

// countsText lists how many tasks have each status, leaving out those that none has. Older Managers do not count.
func countsText(s style, counts *api.TaskCounts) string {
	if counts == nil {
		return ""
	}
	var parts []string
	for _, part := range []struct {
		status string
		count  int
	}{
		{"completed", counts.Completed},
		{"active", counts.Active},
		{"queued", counts.Queued},
		{"soft-failed", counts.SoftFailed},
		{"failed", counts.Failed},
		{"canceled", counts.Canceled},
		{"paused", counts.Paused},
	} {
		if part.count > 0 {
			parts = append(parts, s.status(part.status, fmt.Sprintf("%d %s", part.count, part.status)))
		}
	}
	return strings.Join(parts, ", ")
}

// valuesText writes a map as lines of key: value, sorted.
func valuesText[V any](values map[string]V) string {
	width := 0
	for key := range values {
		width = max(width, len(key))
	}
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, fmt.Sprintf("%-*s  %s", width, key, valueText(values[key])))
	}
	return strings.Join(lines, "\n")
}

// valueText is a value as a person would write it: text without quotes, all else as JSON.
func valueText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	written, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(written)
}
