// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"bufio"
	"bytes"
	"context"
	"io"

	"github.com/spf13/cobra"
)

type tasksLogOptions struct {
	*globalOptions
	follow  bool
	tail    bool
	attempt int64
}

func newTasksLog(g *globalOptions) *cobra.Command {
	o := &tasksLogOptions{globalOptions: g}
	cmd := &cobra.Command{
		Use:               "log TASK",
		Short:             "Print the log of a task",
		Long:              "Print the log of a task. TASK is an id, JOB/NUMBER or JOB/NAME.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.completeTask,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on printing until the task has ended")
	cmd.Flags().BoolVar(&o.tail, "tail", false, "only the last lines, at most 2 kB")
	cmd.Flags().Int64Var(&o.attempt, "attempt", 0, "the log of this attempt, counted from 1, instead of the newest")
	cmd.MarkFlagsMutuallyExclusive("follow", "tail", "attempt")
	return cmd
}

func (o *tasksLogOptions) run(ctx context.Context, name string) error {
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	id, err := resolveTask(ctx, c, name)
	if err != nil {
		return err
	}
	out := o.streams.Out
	if o.json {
		lines := &jsonLines{w: out, task: id}
		defer lines.flush()
		out = lines
	}
	switch {
	case o.attempt != 0:
		return c.AttemptLog(ctx, id, o.attempt, out)
	case o.follow:
		return c.FollowTaskLog(ctx, id, out)
	case o.tail:
		text, err := c.TaskLogTail(ctx, id)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, text)
		return err
	}
	return c.TaskLog(ctx, id, out)
}

// jsonLines makes a message of each line written to it.
type jsonLines struct {
	w    io.Writer
	task string
	rest bytes.Buffer // an unfinished line
}

func (j *jsonLines) Write(p []byte) (int, error) {
	j.rest.Write(p)
	for {
		line, err := j.rest.ReadString('\n')
		if err != nil {
			j.rest.WriteString(line)
			return len(p), nil
		}
		if err := j.print(line[:len(line)-1]); err != nil {
			return 0, err
		}
	}
}

func (j *jsonLines) flush() {
	if j.rest.Len() > 0 {
		_ = j.print(j.rest.String()) // nobody reads any more: the command is ending with its own error
	}
}

func (j *jsonLines) print(line string) error {
	w := bufio.NewWriter(j.w)
	if err := printLine(w, map[string]any{"type": "log", "task": j.task, "line": line}); err != nil {
		return err
	}
	return w.Flush()
}
