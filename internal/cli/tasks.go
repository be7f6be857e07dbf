// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import "github.com/spf13/cobra"

func newTasks(g *globalOptions) *cobra.Command {
	return group("tasks", "Look at the tasks of a job", newTasksList(g), newTasksShow(g), newTasksLog(g))
}
