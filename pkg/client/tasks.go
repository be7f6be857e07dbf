// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

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

// TaskLog copies the whole log of a task, as it is now, to w.
func (c *Client) TaskLog(ctx context.Context, id string, w io.Writer) error {
	_, err := c.copyLog(ctx, id, logPlace{}, w)
	return err
}

// logInterval is how often a log that is being followed is looked at.
const logInterval = 500 * time.Millisecond

// FollowTaskLog copies the log of a task to w, and what is added to it, until the task has ended.
// A task that runs anew may get a new log: it is then copied from its beginning.
func (c *Client) FollowTaskLog(ctx context.Context, id string, w io.Writer) error {
	var place logPlace
	for {
		// The status is asked for first: whatever was logged before the end is then in the copy that follows.
		task, err := c.Task(ctx, id)
		if err != nil {
			return err
		}
		if place, err = c.copyLog(ctx, id, place, w); err != nil {
			return err
		}
		if taskEnded(task.Status) {
			return nil
		}
		if err := sleep(ctx, logInterval); err != nil {
			return err
		}
	}
}

func taskEnded(status api.TaskStatus) bool {
	switch status {
	case "completed", "failed", "canceled":
		return true
	}
	return false
}

// logPlace is how much of which log was read already.
type logPlace struct {
	url    string
	offset int64
}

// copyLog copies what the log of a task has after the place, and returns the new place.
func (c *Client) copyLog(ctx context.Context, id string, from logPlace, w io.Writer) (logPlace, error) {
	info, err := decode[api.TaskLogInfo](c.api.FetchTaskLogInfo(ctx, id))
	if noContent(err) {
		return from, nil
	}
	if err != nil {
		return from, err
	}
	place := logPlace{url: info.body.URL, offset: from.offset}
	if from.url != place.url || int64(info.body.Size) < from.offset {
		place.offset = 0
	}
	if int64(info.body.Size) == place.offset {
		return place, nil
	}
	n, err := c.copyRange(ctx, place, w)
	place.offset += n
	return place, err
}

// noContent recognises the answer for a log that does not exist yet.
func noContent(err error) bool {
	return StatusOf(err) == http.StatusNoContent
}

// copyRange copies the bytes of a log from an offset on. A connection that breaks in the middle is taken up again where
// it broke, as long as something arrives.
func (c *Client) copyRange(ctx context.Context, place logPlace, w io.Writer) (int64, error) {
	var copied int64
	for {
		n, err := c.copyRangeOnce(ctx, place.url, place.offset+copied, w)
		copied += n
		broken, ok := errors.AsType[*brokenBodyError](err)
		if !ok || n == 0 || ctx.Err() != nil {
			return copied, err
		}
		if c.http.notice != nil {
			c.http.notice(broken, 0)
		}
	}
}

// brokenBodyError is a connection that ended before the whole body came.
type brokenBodyError struct{ error }

func (e *brokenBodyError) Unwrap() error { return e.error }

func (c *Client) copyRangeOnce(ctx context.Context, url string, offset int64, w io.Writer) (int64, error) {
	if strings.HasPrefix(url, "/") {
		url = c.base + url
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("address of the task log: %w", err)
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, plain(err)
	}
	switch resp.StatusCode {
	case http.StatusPartialContent:
	case http.StatusOK:
		// Ranges are not honoured: read over what is known already.
		if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil {
			resp.Body.Close()
			return 0, &brokenBodyError{err}
		}
	case http.StatusRequestedRangeNotSatisfiable:
		drop(resp)
		return 0, nil
	default:
		return 0, errorFrom(resp)
	}
	defer resp.Body.Close()
	return copyBody(w, resp.Body)
}

// copyBody tells a broken connection, which is worth another try, from a writer that fails, which is not.
func copyBody(w io.Writer, body io.Reader) (int64, error) {
	reader := &bodyReader{Reader: body}
	n, err := io.Copy(w, reader)
	if reader.err != nil {
		return n, &brokenBodyError{reader.err}
	}
	return n, err
}

// bodyReader remembers its error.
type bodyReader struct {
	io.Reader
	err error
}

func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
