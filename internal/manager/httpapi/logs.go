// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"io"
	"net/http"
	"strings"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/tasklog"
	"flamenco.farm/pkg/api"
)

// partOfLog is how long a part of a log is unless the client says so.
const partOfLog = 64 << 10

func (h *handlers) FetchTaskLogTail(ctx context.Context, r api.FetchTaskLogTailRequestObject) (api.FetchTaskLogTailResponseObject, error) {
	task, err := h.task(ctx, r.TaskID)
	if err != nil {
		return nil, err
	}
	tail, err := h.TaskLogs.Tail(task.JobID, task.ID)
	if err != nil && !farm.IsNotExist(err) {
		return nil, err
	}
	if tail == "" {
		return api.FetchTaskLogTail204Response{}, nil
	}
	return api.FetchTaskLogTail200TextResponse(tail), nil
}

func (h *handlers) FetchTaskLogText(ctx context.Context, r api.FetchTaskLogTextRequestObject) (api.FetchTaskLogTextResponseObject, error) {
	task, err := h.task(ctx, r.TaskID)
	if err != nil {
		return nil, err
	}
	id := farm.LogID{JobID: task.JobID, TaskID: task.ID, Generation: tasklog.Newest}
	if r.Params.Attempt != nil {
		id.Generation = *r.Params.Attempt
	}
	limit := partOfLog
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	text, start, size, err := h.TaskLogs.Part(id, deref(r.Params.Offset), int64(limit))
	if farm.IsNotExist(err) {
		return api.FetchTaskLogText204Response{}, nil
	}
	if err != nil {
		return nil, err
	}
	return api.FetchTaskLogText200TextResponse{
		Body: string(text), Headers: api.FetchTaskLogText200ResponseHeaders{XFlamencoLogOffset: &start, XFlamencoLogSize: &size},
	}, nil
}

func (h *handlers) FetchTaskLogInfo(ctx context.Context, r api.FetchTaskLogInfoRequestObject) (api.FetchTaskLogInfoResponseObject, error) {
	task, err := h.task(ctx, r.TaskID)
	if err != nil {
		return nil, err
	}
	newest, err := h.TaskLogs.Stat(farm.LogID{JobID: task.JobID, TaskID: task.ID, Generation: tasklog.Newest})
	if farm.IsNotExist(err) {
		return api.FetchTaskLogInfo204Response{}, nil
	}
	if err != nil {
		return nil, err
	}
	logs, err := h.attemptLogs(ctx, task)
	if err != nil {
		return nil, err
	}
	return api.FetchTaskLogInfo200JSONResponse{
		TaskID: task.ID, JobID: task.JobID, URL: jobFiles + tasklog.Path(task.JobID, task.ID), Size: int(newest.Size), Attempts: logs,
	}, nil
}

// attemptLogs lists the attempts of a task that have a log.
func (h *handlers) attemptLogs(ctx context.Context, task farm.Task) ([]api.AttemptLog, error) {
	attempts, err := h.Store.Attempts(ctx, task.ID)
	if err != nil {
		return nil, err
	}
	generations := make([]int64, len(attempts))
	for i, a := range attempts {
		generations[i] = a.Generation
	}
	found, err := h.TaskLogs.StatAll(task.JobID, task.ID, generations)
	if err != nil {
		return nil, err
	}
	var logs []api.AttemptLog
	for _, a := range attempts {
		log, there := found[a.Generation]
		if !there {
			continue
		}
		logs = append(logs, api.AttemptLog{
			Generation: a.Generation, URL: jobFiles + log.Path, Size: log.Size, Started: a.Started.UTC(),
			Ended: optionalTime(a.Ended), Outcome: optional(api.AttemptOutcome(a.Outcome)),
		})
	}
	return logs, nil
}

// serveLog serves the log of a task as text. One that is compressed is sent as it is to clients that understand it, unless
// they want a part.
func (h *handlers) serveLog(w http.ResponseWriter, r *http.Request, id farm.LogID) {
	log, err := h.TaskLogs.Open(id)
	if err != nil {
		if !farm.IsNotExist(err) {
			h.Log.Error("cannot read a task log", "path", r.URL.Path, "error", err)
		}
		notFound(w)
		return
	}
	defer log.Close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Vary", "Accept-Encoding")
	packed, ok := log.Compressed()
	if ok && r.Header.Get("Range") == "" && acceptsZstd(r.Header.Values("Accept-Encoding")) {
		w.Header().Set("Content-Encoding", "zstd")
		http.ServeContent(w, r, "", log.Modified, packed)
		return
	}
	http.ServeContent(w, r, "", log.Modified, io.NewSectionReader(log, 0, log.Size))
}

// acceptsZstd reads the headers in which a client names the encodings that it understands.
func acceptsZstd(headers []string) bool {
	for _, header := range headers {
		for one := range strings.SplitSeq(header, ",") {
			name, quality, _ := strings.Cut(one, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "zstd") {
				continue
			}
			weight := strings.TrimSpace(quality)
			return strings.Trim(strings.TrimPrefix(strings.ToLower(weight), "q="), "0.") != "" || weight == ""
		}
	}
	return false
}
