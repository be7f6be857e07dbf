// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Person makes the calls of people and their browsers.
type Person struct {
	base *url.URL
	http *http.Client
}

// NewPerson is somebody who uses the Manager at an address.
func NewPerson(base *url.URL) *Person { return &Person{base: base, http: &http.Client{}} }

// open sends a request; the caller closes the body of the answer.
func (p *Person) open(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.base.String()+"/api/v3"+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	return p.http.Do(r)
}

// Call sends v as JSON unless it is nil, and returns the whole answer. An answer that is no success is an error.
func (p *Person) Call(ctx context.Context, method, path string, v any) ([]byte, error) {
	var body io.Reader
	if v != nil {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	response, err := p.open(ctx, method, path, "application/json", body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: status %d: %s", method, path, response.StatusCode, bytes.TrimSpace(text))
	}
	return text, err
}

// Read gets an answer of any length, in an encoding such as gzip or identity, and says how long it is and what page follows.
func (p *Person) Read(ctx context.Context, path, encoding string) (size int64, next string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base.String()+"/api/v3"+path, nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Accept-Encoding", encoding) // and nobody decompresses it here
	response, err := p.http.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	size, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("GET %s: status %d", path, response.StatusCode)
	}
	return size, response.Header.Get("X-Flamenco-Next"), err
}

// Job is what a load needs to know of a job.
type Job struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// JobKind is what jobs a load submits.
type JobKind struct {
	// Type is a job type of the Manager: echo-sleep-test, which every Manager has, or ScriptName.
	Type     string
	TaskType string // of the tasks, if Type is ScriptName
	Tag      string // the ID of a Worker tag, "" = none
	Priority int
}

// settings make a job of n tasks.
func (k JobKind) settings(n int) map[string]any {
	if k.Type == ScriptName {
		return map[string]any{"count": n, "task_type": k.TaskType}
	}
	return map[string]any{"message": "flamenco-bench", "sleep_duration_seconds": 0, "sleep_repeats": n - 1}
}

func (k JobKind) submission(n int) map[string]any {
	s := map[string]any{
		"name": fmt.Sprintf("flamenco-bench, %d tasks", n), "type": k.Type, "priority": k.Priority, "submitter_platform": "linux",
		"settings": k.settings(n), "metadata": map[string]string{},
	}
	if k.Tag != "" {
		s["worker_tag"] = k.Tag
	}
	return s
}

// Submit submits a job of n tasks.
func (p *Person) Submit(ctx context.Context, k JobKind, n int) (j Job, err error) {
	text, err := p.Call(ctx, http.MethodPost, "/jobs", k.submission(n))
	if err != nil {
		return j, err
	}
	return j, json.Unmarshal(text, &j)
}

// Job reads a job.
func (p *Person) Job(ctx context.Context, id string) (j Job, err error) {
	text, err := p.Call(ctx, http.MethodGet, "/jobs/"+id, nil)
	if err != nil {
		return j, err
	}
	return j, json.Unmarshal(text, &j)
}

// SetJobStatus asks for a status of a job.
func (p *Person) SetJobStatus(ctx context.Context, id, status string) error {
	_, err := p.Call(ctx, http.MethodPost, "/jobs/"+id+"/setstatus", map[string]string{"status": status, "reason": "flamenco-bench"})
	return err
}

// WaitStatus looks at a job until it has a status.
func (p *Person) WaitStatus(ctx context.Context, id, status string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		j, err := p.Job(ctx, id)
		if err != nil || j.Status == status {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("job %s is %s, not %s: %w", id, j.Status, status, ctx.Err())
		}
	}
}

// Tag makes a Worker tag.
func (p *Person) Tag(ctx context.Context, name string) (id string, err error) {
	text, err := p.Call(ctx, http.MethodPost, "/worker-mgt/tags", map[string]string{"name": name})
	if err != nil {
		return "", err
	}
	var tag struct{ ID string }
	return tag.ID, json.Unmarshal(text, &tag)
}

// SetTags gives a Worker its tags.
func (p *Person) SetTags(ctx context.Context, worker string, tags []string) error {
	_, err := p.Call(ctx, http.MethodPost, "/worker-mgt/workers/"+worker+"/settags", map[string]any{"tag_ids": tags})
	return err
}

// ScriptName is the job type that Script defines.
const ScriptName = "flamenco-bench"

// Script is a job type that makes a number of trivial tasks of one type. It is for the folder scripts of a Manager, in a
// file ScriptFile.
const Script = `// SPDX-License-Identifier: GPL-3.0-or-later
const JOB_TYPE = {
  label: "Load",
  settings: [
    { key: "count", type: "int32", required: true },
    { key: "task_type", type: "string", required: true },
  ],
};
function compileJob(job) {
  for (let i = 1; i <= job.settings.count; i++) {
    const task = author.Task("task-" + i, job.settings.task_type);
    task.addCommand(author.Command("echo", { message: "flamenco-bench" }, 2));
    job.addTask(task);
  }
}
`

// ScriptFile is the name of the file of Script.
var ScriptFile = strings.ReplaceAll(ScriptName, "-", "_") + ".js"

// Answers returns once the Manager answers.
func (p *Person) Answers(ctx context.Context) error {
	_, err := p.Call(ctx, http.MethodGet, "/version", nil)
	return err
}
