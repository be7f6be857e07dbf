// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"io"
	"iter"
	"net/http"

	"flamenco.farm/pkg/api"
)

// Tasks yields the tasks of a job.
func (c *Client) Tasks(ctx context.Context, jobID string, list List) iter.Seq2[api.TaskSummary, error] {
	return pages(func(after string) (answer[api.JobTasksSummary], error) {
		return decode[api.JobTasksSummary](c.api.FetchJobTasks(ctx, jobID, nil, list.editor(after)))
	}, func(page api.JobTasksSummary) []api.TaskSummary { return page.Tasks })
}

// Task is one task by its id.
func (c *Client) Task(ctx context.Context, id string) (api.Task, error) {
	a, err := decode[api.Task](c.api.FetchTask(ctx, id, nil))
	return a.body, err
}

// TaskLogTail is the end of a task's log, at most 2048 bytes; "" when there is no log yet.
func (c *Client) TaskLogTail(ctx context.Context, id string) (string, error) {
	resp, err := c.api.FetchTaskLogTail(ctx, id)
	if err != nil {
		return "", plain(err)
	}
	if resp.StatusCode == http.StatusNoContent {
		drop(resp)
		return "", nil
	}
	if resp.StatusCode != http.StatusOK {
		return "", errorFrom(resp)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
