// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

type tasksListOptions struct {
	*globalOptions
	status []string
}

func newTasksList(g *globalOptions) *cobra.Command {
	o := &tasksListOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:               "list JOB",
		Aliases:           []string{"ls"},
		Short:             "List the tasks of a job",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.completeJob,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringSliceVar(&o.status, "status", nil, "only tasks with this status; several are separated by commas")
	completeStatuses(cmd, taskStatuses)
	return cmd
}

var taskStatuses = []string{
	string(api.TaskStatusActive), string(api.TaskStatusQueued), string(api.TaskStatusCompleted), string(api.TaskStatusSoftFailed),
	string(api.TaskStatusFailed), string(api.TaskStatusCanceled), string(api.TaskStatusPaused),
}

func (o *tasksListOptions) run(ctx context.Context, text string) error {
	if err := checkStatuses(o.status, taskStatuses); err != nil {
		return err
	}
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	jobID, err := resolveJob(ctx, c, text)
	if err != nil {
		return err
	}
	if _, err := c.Job(ctx, jobID); err != nil {
		return err // a job that does not exist has no tasks, which would look the same
	}
	list := client.List{Status: o.status}
	s, now := o.out(), time.Now()
	columns := []column{
		{title: "#", right: true},
		{title: "ID"},
		{title: "NAME", flexible: true},
		{title: "STATUS", paint: s.status},
		{title: "STEPS", right: true},
		{title: "TYPE"},
		{title: "WORKER", flexible: true},
		{title: "UPDATED"},
	}
	var rows [][]string
	for task, err := range c.Tasks(ctx, jobID, list) {
		if err != nil {
			return err
		}
		if !selected(list, string(task.Status), task.Name) {
			continue
		}
		if o.json {
			if err := printJSON(o.streams.Out, "task", task); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{
			strconv.Itoa(task.IndexInJob), short(task.ID), task.Name, string(task.Status),
			percent(task.StepsCompleted, task.StepsTotal), task.TaskType, workerName(task.Worker), ago(now, task.Updated),
		})
	}
	if o.json {
		return nil
	}
	if rows == nil {
		fmt.Fprintln(o.streams.Err, newStyle(o.streams.Err, o.getenv).dim("No tasks."))
		return nil
	}
	return writeTable(o.streams.Out, s, columns, rows)
}

func workerName(worker *api.TaskWorker) string {
	if worker == nil {
		return ""
	}
	return worker.Name
}
