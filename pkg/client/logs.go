// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"flamenco.farm/pkg/api"
)

// TaskLog copies the whole log of the newest attempt at a task, as it is now, to w.
func (c *Client) TaskLog(ctx context.Context, id string, w io.Writer) error {
	_, err := c.copyLog(ctx, id, logPlace{}, w)
	return err
}

// AttemptLog copies the whole log of one attempt at a task, as it is now, to w. An attempt without a log has status 404.
func (c *Client) AttemptLog(ctx context.Context, id string, generation int64, w io.Writer) error {
	info, err := decode[api.TaskLogInfo](c.api.FetchTaskLogInfo(ctx, id))
	if err != nil && !noContent(err) {
		return err
	}
	for _, log := range info.body.Attempts {
		if log.Generation == generation {
			_, err := c.copyRange(ctx, logPlace{url: log.URL}, w)
			return err
		}
	}
	return &Error{Status: http.StatusNotFound, Message: fmt.Sprintf("task %s has no log of an attempt %d", id, generation)}
}

// logInterval is how often a log that is being followed is looked at.
const logInterval = 500 * time.Millisecond

// FollowTaskLog copies the log of the newest attempt at a task to w, and what is added to it, until the task has ended.
// When a new attempt begins, the rest of the old log is copied, and then the new one from its beginning.
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
	url     string
	attempt int64 // 0 = the Manager keeps one log for all attempts, or no attempt has begun
	offset  int64
}

// copyLog copies what the logs of a task have after the place, and returns the new place.
func (c *Client) copyLog(ctx context.Context, id string, from logPlace, w io.Writer) (logPlace, error) {
	info, err := decode[api.TaskLogInfo](c.api.FetchTaskLogInfo(ctx, id))
	if noContent(err) {
		return from, nil
	}
	if err != nil {
		return from, err
	}
	place := from
	for _, log := range logsFrom(info.body, from.attempt) {
		place = place.in(log)
		if log.Size == place.offset {
			continue
		}
		n, err := c.copyRange(ctx, place, w)
		place.offset += n
		if err != nil {
			return place, err
		}
	}
	return place, nil
}

// logsFrom lists the logs to read: that of an attempt and those after it, or only the newest.
func logsFrom(info api.TaskLogInfo, attempt int64) []api.AttemptLog {
	logs := info.Attempts
	if len(logs) == 0 {
		return []api.AttemptLog{{URL: info.URL, Size: int64(info.Size)}}
	}
	if i := slices.IndexFunc(logs, func(l api.AttemptLog) bool { return l.Generation >= attempt }); attempt > 0 && i >= 0 {
		return logs[i:]
	}
	return logs[len(logs)-1:]
}

// in is where to go on in a log.
func (p logPlace) in(log api.AttemptLog) logPlace {
	next := logPlace{url: log.URL, attempt: log.Generation, offset: p.offset}
	switch {
	case p.attempt == log.Generation && p.attempt > 0:
		next.offset = min(p.offset, log.Size) // it may have lost its middle, for its length
	case p.attempt > 0, p.url != log.URL, log.Size < p.offset:
		next.offset = 0
	}
	return next
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
