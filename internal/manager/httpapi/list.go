// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"

	"flamenco.farm/internal/farm"
	"flamenco.farm/pkg/api"
)

// jobList and taskList are answers that are written item by item: a list may be long, and need not be in memory twice.
type jobList struct {
	next  string
	jobs  []farm.Job
	specs map[string]farm.JobSpec
}

// VisitFetchJobsResponse writes the answer.
func (l jobList) VisitFetchJobsResponse(w http.ResponseWriter) error {
	return writeList(w, "jobs", l.next, l.jobs, func(j farm.Job) any { return apiJob(j, l.specs[j.ID]) })
}

type taskList struct {
	next  string
	tasks []farm.Task
}

// VisitFetchJobTasksResponse writes the answer.
func (l taskList) VisitFetchJobTasksResponse(w http.ResponseWriter) error {
	return writeList(w, "tasks", l.next, l.tasks, func(t farm.Task) any { return apiTaskSummary(t) })
}

var (
	_ api.FetchJobsResponseObject     = jobList{}
	_ api.FetchJobTasksResponseObject = taskList{}
)

func writeList[T any](w http.ResponseWriter, name, next string, items []T, convert func(T) any) error {
	w.Header().Set("Content-Type", "application/json")
	if next != "" {
		w.Header().Set("X-Flamenco-Next", next)
	}
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(w, 32<<10)
	out.WriteString(`{"` + name + `":[`)
	for i, item := range items {
		if i > 0 {
			out.WriteByte(',')
		}
		text, err := json.Marshal(convert(item))
		if err != nil {
			return errors.Join(err, errCutShort)
		}
		out.Write(text)
	}
	out.WriteString("]}\n")
	if out.Flush() != nil {
		return errCutShort
	}
	return nil
}

// errCutShort is that an answer had begun when something failed: all that is left is to cut the connection.
var errCutShort = errors.New("the answer was cut short")
