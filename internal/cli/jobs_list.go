// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

type jobsListOptions struct {
	*globalOptions
	status []string
	search string
	limit  int
}

func newJobsList(g *globalOptions) *cobra.Command {
	o := &jobsListOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List jobs, the one changed last first",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.json && !cmd.Flags().Changed("limit") {
				o.limit = 0
			}
			return o.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.status, "status", nil, "only jobs with this status; several are separated by commas")
	flags.StringVar(&o.search, "search", "", "only jobs with this text in their name")
	flags.IntVarP(&o.limit, "limit", "n", 50, "how many at most, 0 for all; with --json all unless given")
	completeStatuses(cmd, jobStatuses)
	return cmd
}

var jobStatuses = []string{
	string(api.JobStatusActive), string(api.JobStatusQueued), string(api.JobStatusCompleted), string(api.JobStatusFailed),
	string(api.JobStatusCanceled), string(api.JobStatusPaused), string(api.JobStatusPauseRequested),
	string(api.JobStatusCancelRequested), string(api.JobStatusRequeueing), string(api.JobStatusUnderConstruction),
}

// checkStatuses refuses a status that does not exist, which would only make a list empty.
func checkStatuses(wanted, known []string) error {
	for _, status := range wanted {
		if !slices.Contains(known, status) {
			return usagef("there is no status %q; there is %s", status, strings.Join(known, ", "))
		}
	}
	return nil
}

func (o *jobsListOptions) run(ctx context.Context) error {
	if err := checkStatuses(o.status, jobStatuses); err != nil {
		return err
	}
	if o.limit < 0 {
		return usagef("--limit is %d, must not be negative", o.limit)
	}
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	jobs, more, err := listJobs(ctx, c, client.List{Status: o.status, Search: o.search}, o.limit)
	if err != nil {
		return err
	}
	if o.json {
		for _, job := range jobs {
			if err := printJSON(o.streams.Out, "job", job); err != nil {
				return err
			}
		}
		return nil
	}
	return o.table(jobs, more)
}

// jobStatus is the status of a job, and whether it is about to go.
func jobStatus(job api.Job) string {
	if job.DeleteRequestedAt != nil {
		return string(job.Status) + ", deleting"
	}
	return string(job.Status)
}

func (o *jobsListOptions) table(jobs []api.Job, more bool) error {
	notes := newStyle(o.streams.Err, o.getenv)
	if len(jobs) == 0 {
		fmt.Fprintln(o.streams.Err, notes.dim("No jobs."))
		return nil
	}
	s, now := o.out(), time.Now()
	columns := []column{
		{title: "ID"},
		{title: "NAME", flexible: true},
		{title: "STATUS", paint: s.status},
		{title: "PROGRESS", right: true},
		{title: "PRIO", right: true},
		{title: "TYPE", flexible: true},
		{title: "UPDATED"},
	}
	var rows [][]string
	for _, job := range jobs {
		rows = append(rows, []string{
			short(job.ID), job.Name, jobStatus(job), percent(job.StepsCompleted, job.StepsTotal), strconv.Itoa(job.Priority),
			job.Type, ago(now, job.Updated),
		})
	}
	if err := writeTable(o.streams.Out, s, columns, rows); err != nil {
		return err
	}
	if more {
		fmt.Fprintln(o.streams.Err, notes.dim(fmt.Sprintf("There are more than these %d; --limit 0 lists all.", len(jobs))))
	}
	return nil
}
