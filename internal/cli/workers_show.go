// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
)

func newWorkersShow(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:               "show WORKER",
		Short:             "Show one worker",
		Long:              "Show one worker. WORKER is an id or a name.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.completeWorker,
		RunE:              func(cmd *cobra.Command, args []string) error { return showWorker(cmd.Context(), g, args[0]) },
	}
}

func showWorker(ctx context.Context, g *globalOptions, name string) error {
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	id, err := resolveWorker(ctx, c, name)
	if err != nil {
		return err
	}
	worker, err := c.Worker(ctx, id)
	if err != nil {
		return err
	}
	if g.json {
		return printJSON(g.streams.Out, "worker", worker)
	}
	s := g.out()
	return writeFields(g.streams.Out, s, []field{
		{"Worker", s.bold(worker.Name)},
		{"ID", worker.ID},
		{"Status", s.status(string(worker.Status), statusOf(worker.Status, worker.StatusChange))},
		{"Reason", reasonOf(worker)},
		{"Last seen", seen(time.Now(), worker.LastSeen)},
		{taskField(worker.Task), workerTask(s, worker.Task)},
		{"Task types", strings.Join(worker.SupportedTaskTypes, ", ")},
		{"Tags", tagNames(worker.Tags)},
		{"Version", worker.Version},
		{"Platform", worker.Platform},
		{"Address", worker.IPAddress},
	})
}

// reasonOf says what is wrong with a worker; why it sleeps or is awake nobody asks.
func reasonOf(worker api.Worker) string {
	if worker.StatusReason == nil || worker.Status != api.WorkerStatusError {
		return ""
	}
	return *worker.StatusReason
}

// taskField says whether the worker has its task still.
func taskField(task *api.WorkerTask) string {
	if task != nil && task.Status == api.TaskStatusActive {
		return "Task"
	}
	return "Last task"
}

// workerTask is the task that the worker runs, or ran last.
func workerTask(s style, task *api.WorkerTask) string {
	if task == nil {
		return ""
	}
	return fmt.Sprintf("%s, %s (%s/%d)", task.Name, s.status(string(task.Status), string(task.Status)), short(task.JobID), task.IndexInJob)
}

func tagNames(tags []api.WorkerTag) string {
	var names []string
	for _, tag := range tags {
		names = append(names, tag.Name)
	}
	return strings.Join(names, ", ")
}
