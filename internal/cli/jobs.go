// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

func newJobs(g *globalOptions) *cobra.Command {
	return group("jobs", "Look at jobs", newJobsList(g), newJobsShow(g))
}

// listJobs fetches at most limit jobs, 0 for all, the one changed last first, and says whether there are more.
//
// A Manager of Flamenco 3 knows neither pages nor selections: its one page holds everything, in no order. So what came is
// selected, sorted and cut here as well.
func listJobs(ctx context.Context, c *client.Client, list client.List, limit int) (jobs []api.Job, more bool, err error) {
	list.OrderBy = []string{"-updated"}
	if limit > 0 {
		list.PageSize = min(limit, 200)
	}
	next := ""
	for {
		var page []api.Job
		if page, next, err = c.JobPage(ctx, list, next); err != nil {
			return nil, false, err
		}
		for _, job := range page {
			if selected(list, string(job.Status), job.Name) {
				jobs = append(jobs, job)
			}
		}
		if next == "" || limit > 0 && len(jobs) >= limit {
			break
		}
	}
	slices.SortStableFunc(jobs, func(a, b api.Job) int { return b.Updated.Compare(a.Updated) })
	if limit > 0 && len(jobs) > limit {
		return jobs[:limit], true, nil
	}
	return jobs, next != "", nil
}

// selected reports whether an entry is one that the list asks for.
func selected(list client.List, status, name string) bool {
	if len(list.Status) > 0 && !slices.Contains(list.Status, status) {
		return false
	}
	return strings.Contains(strings.ToLower(name), strings.ToLower(list.Search))
}

// newestJobs is listJobs for those who only want some.
func newestJobs(ctx context.Context, c *client.Client, limit int) ([]api.Job, error) {
	jobs, _, err := listJobs(ctx, c, client.List{}, limit)
	return jobs, err
}
