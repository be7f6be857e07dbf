// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"fmt"
	"iter"

	"flamenco.farm/internal/farm"
)

// tasksBehind is a part of the tasks of a job, along the index that has them in their order.
var tasksBehind = fmt.Sprintf(`SELECT %s WHERE t.job_id = (SELECT id FROM jobs WHERE uuid = $1) AND t.index_in_job > $2
ORDER BY t.index_in_job LIMIT %d`, taskLists.rows, partRows)

// isWhole reports whether a list is of all tasks of a job in their order. Neither changes after the job was submitted, so
// that it need not be settled what is in the list before it is read: each part begins behind the one before.
func (l TaskList) isWhole() bool {
	ordered := len(l.OrderBy) == 0 || len(l.OrderBy) == 1 && l.OrderBy[0] == "index_in_job"
	return ordered && l.Limit == 0 && l.After == "" && l.Search == "" && len(l.StatusIn) == 0
}

func (s *Store) tasksInOrder(ctx context.Context, jobID string) iter.Seq2[[]farm.Task, error] {
	return func(yield func([]farm.Task, error) bool) {
		for behind, more := -1, true; more; {
			tasks, err := s.readTasksBehind(ctx, jobID, behind)
			if len(tasks) == 0 && err == nil || !yield(tasks, err) || err != nil {
				return
			}
			behind, more = tasks[len(tasks)-1].IndexInJob, len(tasks) == partRows
		}
	}
}

func (s *Store) readTasksBehind(ctx context.Context, jobID string, index int) ([]farm.Task, error) {
	tasks := make([]farm.Task, 0, partRows)
	err := eachRow(ctx, s, tasksBehind, []any{jobID, index}, taskLists.row(), func(_ int64, task farm.Task) { tasks = append(tasks, task) })
	return tasks, err
}
