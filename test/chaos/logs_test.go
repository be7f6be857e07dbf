// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/pkg/api"
)

// logs is the text of each attempt's log, by task and generation.
type logs map[string]map[int64]string

// logLimit is more than the log of an attempt can have, in bytes.
const logLimit = 1 << 20

// readLogs asks the Managers in turn for the logs of all tasks of which a simulated Worker was told that an update counts.
func (s *site) readLogs() logs {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	found := logs{}
	var mu sync.Mutex
	hc := newHTTP()
	defer hc.CloseIdleConnections()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(6)
	for i, task := range s.record.tasksWritten() {
		group.Go(func() error {
			texts, err := logsOf(ctx, hc, "http://"+s.reach[i%len(s.reach)], task)
			mu.Lock()
			defer mu.Unlock()
			found[task] = texts
			return err
		})
	}
	if err := group.Wait(); err != nil {
		s.t.Errorf("reading the logs: %v", err)
	}
	return found
}

func logsOf(ctx context.Context, hc *http.Client, base, task string) (map[int64]string, error) {
	texts := map[int64]string{}
	text, err := get(ctx, hc, base+"/api/v3/tasks/"+task+"/log")
	if err != nil || len(text) == 0 {
		return texts, err
	}
	var info api.TaskLogInfo
	if err := json.Unmarshal(text, &info); err != nil {
		return nil, err
	}
	for _, attempt := range info.Attempts {
		text, err := get(ctx, hc, base+attempt.URL)
		if err != nil {
			return nil, err
		}
		texts[attempt.Generation] = string(text)
	}
	return texts, nil
}

// get reads an answer. A Manager that was killed a moment ago is asked again.
func get(ctx context.Context, hc *http.Client, address string) ([]byte, error) {
	for {
		text, status, err := getOnce(ctx, hc, address)
		if err == nil && status < 300 {
			return text, nil
		}
		if err == nil {
			err = fmt.Errorf("%s was answered %d %s", address, status, text)
		}
		if status != 0 && status < 500 || pause(ctx, 200*time.Millisecond) != nil {
			return nil, err
		}
	}
}

func getOnce(ctx context.Context, hc *http.Client, address string) (text []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err = io.ReadAll(io.LimitReader(resp.Body, logLimit+1))
	if len(text) > logLimit {
		err = fmt.Errorf("%s is longer than %d bytes", address, logLimit)
	}
	return text, resp.StatusCode, err
}

// written notes an update whose line has to be in the log: a Worker was told that it counts, in its turn. That a late copy was
// accepted says nothing, as one that came after the next update is known already.
func (r *record) written(u update) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines[u.log] = u
}

func (r *record) tasksWritten() (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.lines {
		ids = append(ids, u.task)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// checkLogs: what counts is in the log of its attempt, no line is there twice, and none is in the log of another attempt. A line
// whose update got no answer may be there or not.
func (r *record) checkLogs(tasks []history.Task, found logs) (wrong []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]int{}
	for _, t := range tasks {
		for _, a := range t.Attempts {
			for line := range strings.Lines(found[t.ID][a.Generation]) {
				assignment, _, _ := strings.Cut(line, " ")
				switch {
				case assignment == a.AssignmentID:
					seen[line]++
				case r.assigned[assignment]:
					wrong = append(wrong, fmt.Sprintf("task %q: the log of attempt %d has a line of another one: %q", t.Name, a.Generation, line))
				}
			}
		}
	}
	for line, n := range seen {
		if n > 1 {
			wrong = append(wrong, fmt.Sprintf("%q is in the log %d times", line, n))
		}
	}
	for line, u := range r.lines {
		if seen[line] == 0 {
			wrong = append(wrong, fmt.Sprintf("task %s: update %d of %s counts, but %q is not in its log", u.task, u.sequence, u.assignment, line))
		}
	}
	return wrong
}

func TestTheCheckOfLogsFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	one := update{task: "t", assignment: "a", sequence: 1, log: "a 1 active\n"}
	two := update{task: "t", assignment: "b", sequence: 1, log: "b 1 active\n"}
	tasks := []history.Task{{Task: farm.Task{ID: "t"}, Attempts: []farm.Attempt{{Generation: 1, AssignmentID: "a"}, {Generation: 2, AssignmentID: "b"}}}}
	for _, c := range []struct {
		name          string
		first, second string
		wrong         int
	}{
		{"all is there, and what the Manager says", "a 1 active\n2026 the Manager says\n", "b 1 active\n", 0},
		{"a line of an update without an answer", "a 1 active\na 2 \n", "b 1 active\n", 0},
		{"a line is missing", "a 1 active\n", "", 1},
		{"a line came twice", "a 1 active\na 1 active\n", "b 1 active\n", 1},
		{"a line that nobody waits for came twice", "a 1 active\na 2 \na 2 \n", "b 1 active\n", 1},
		{"a line is in another log", "a 1 active\nb 1 active\n", "", 2},
	} {
		r := newRecord()
		for _, u := range []update{one, two} {
			r.given(u.assignment)
			r.written(u)
		}
		if wrong := r.checkLogs(tasks, logs{"t": {1: c.first, 2: c.second}}); len(wrong) != c.wrong {
			t.Errorf("%s: %q, want %d complaints", c.name, wrong, c.wrong)
		}
	}
}
