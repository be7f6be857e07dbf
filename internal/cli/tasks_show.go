// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

func newTasksShow(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:               "show TASK",
		Short:             "Show one task with its commands and attempts",
		Long:              "Show one task with its commands and attempts. TASK is an id, JOB/NUMBER or JOB/NAME.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.completeTask,
		RunE:              func(cmd *cobra.Command, args []string) error { return showTask(cmd.Context(), g, args[0]) },
	}
}

func showTask(ctx context.Context, g *globalOptions, name string) error {
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	id, err := resolveTask(ctx, c, name)
	if err != nil {
		return err
	}
	task, err := c.Task(ctx, id)
	if err != nil {
		return err
	}
	if g.json {
		return printJSON(g.streams.Out, "task", task)
	}
	s, now := g.out(), time.Now()
	fields := []field{
		{"Task", s.bold(task.Name)},
		{"ID", task.ID},
		{"Job", fmt.Sprintf("%s, task %d", task.JobID, task.IndexInJob)},
		{"Type", task.TaskType},
		{"Status", s.status(string(task.Status), string(task.Status))},
		{"Activity", task.Activity},
		{"Steps", percent(task.StepsCompleted, task.StepsTotal)},
		{"Priority", strconv.Itoa(task.Priority)},
		{"Worker", workerName(task.Worker)},
		{"Failed on", workerNames(task.FailedByWorkers)},
		{"Updated", atTime(now, task.Updated)},
		{"Attempts", attemptsText(s, task.Attempts)},
		{"Commands", commandsText(s, task.Commands)},
	}
	return writeFields(g.streams.Out, s, fields)
}

func workerNames(workers []api.TaskWorker) string {
	var names []string
	for _, worker := range workers {
		names = append(names, worker.Name)
	}
	return strings.Join(names, ", ")
}

// attemptsText is one line for each time that the task was handed out.
func attemptsText(s style, attempts []api.TaskAttempt) string {
	var lines []string
	for _, attempt := range attempts {
		outcome, took := "active", "since"
		if attempt.Outcome != nil {
			outcome = string(*attempt.Outcome)
		}
		line := fmt.Sprintf("%d. %s on %s, %s %s", attempt.Generation, s.status(outcome, outcome), attempt.Worker.Name,
			took, attempt.Started.Local().Format("15:04:05"))
		if attempt.Ended != nil {
			line = fmt.Sprintf("%d. %s on %s after %s", attempt.Generation, s.status(outcome, outcome), attempt.Worker.Name,
				span(attempt.Ended.Sub(attempt.Started)))
		}
		if attempt.ExitCode != nil && *attempt.ExitCode != 0 {
			line += fmt.Sprintf(", exit code %d", *attempt.ExitCode)
		}
		if reason := text(attempt.Reason); reason != "" {
			line += ": " + reason
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func commandsText(s style, commands []api.Command) string {
	var lines []string
	for _, command := range commands {
		lines = append(lines, s.bold(command.Name))
		for _, key := range slices.Sorted(maps.Keys(command.Parameters)) {
			lines = append(lines, fmt.Sprintf("  %s: %s", key, valueText(command.Parameters[key])))
		}
	}
	return strings.Join(lines, "\n")
}

// completeTask offers JOB/ for the latest jobs, then the tasks of the job chosen.
func (g *globalOptions) completeTask(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	job, _, inJob := strings.Cut(typed, "/")
	if !inJob {
		jobs, directive := g.completeJob(cmd, args, typed)
		for i, offered := range jobs {
			id, about, _ := strings.Cut(offered, "\t")
			jobs[i] = cobra.CompletionWithDesc(id+"/", about)
		}
		return jobs, directive | cobra.ShellCompDirectiveNoSpace
	}
	ctx, cancel := completionContext(cmd)
	defer cancel()
	c, err := g.connect(ctx)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	id, err := resolveJob(ctx, c, job)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var tasks []api.TaskSummary
	for task, listErr := range c.Tasks(ctx, id, client.List{PageSize: completionLimit}) {
		if err = listErr; err != nil || len(tasks) == completionLimit {
			break
		}
		tasks = append(tasks, task)
	}
	return completions(tasks, err, func(task api.TaskSummary) (string, string) {
		return job + "/" + strconv.Itoa(task.IndexInJob), task.Name + " (" + string(task.Status) + ")"
	})
}
