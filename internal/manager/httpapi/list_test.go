// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/pkg/api"
)

// submitTasks stores a job of n tasks beside the API.
func (s *server) submitTasks(n int) (jobID string) {
	s.t.Helper()
	job := farm.NewJob{
		Name: "<big> & \u2028 \"job\"", Type: "test", Priority: 50,
		JobSpec: farm.JobSpec{
			Settings: map[string]any{"frames": "1-10", "fps": 24, "scale": 0.5, "html": "<&>", "list": []any{1, "a", nil}},
			Metadata: map[string]string{"user": "ada <ada@example.com>"}, SubmitterPlatform: "linux",
		},
	}
	for i := range n {
		job.Tasks = append(job.Tasks, farm.NewTask{Name: fmt.Sprintf("frame <%d>", i), Type: "misc", Priority: i % 3})
	}
	err := s.store.DoAlone(s.t.Context(), func(tx *store.Tx) (err error) {
		jobID, err = tx.InsertJob(job)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return jobID
}

// wantMarshaled insists that a body is, byte for byte, what encoding/json makes of the generated type.
func wantMarshaled[T any](t *testing.T, a answer) T {
	t.Helper()
	list := decode[T](t, a)
	want, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if a.body != string(want)+"\n" {
		t.Errorf("the answer is %.300s\nand not         %.300s", a.body, want)
	}
	return list
}

func TestStreamedListsAreTheBytesOfTheirTypes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const tasks = 2*store.MaxPage + 1
	for _, path := range []string{"jobs", "worker-mgt/workers", "jobs/" + nobody + "/tasks"} {
		if a := s.want(200, request{method: "GET", path: "/api/v3/" + path}); !strings.Contains(a.body, `":[]}`) {
			t.Errorf("an empty list is %s", a.body)
		}
	}
	id := s.submitTasks(tasks)
	s.submit("1")
	w := s.register("<w>")
	s.claim(w)

	jobs := wantMarshaled[api.JobsQueryResult](t, s.want(200, request{method: "GET", path: "/api/v3/jobs"}))
	if len(jobs.Jobs) != 2 || jobs.Jobs[0].ID != id || jobs.Jobs[0].Metadata["user"] != "ada <ada@example.com>" {
		t.Errorf("the jobs are %+v", jobs)
	}
	all := wantMarshaled[api.JobTasksSummary](t, s.want(200, request{method: "GET", path: "/api/v3/jobs/" + id + "/tasks"}))
	if len(all.Tasks) != tasks || all.Tasks[tasks-1].IndexInJob != tasks {
		t.Errorf("there are %d tasks", len(all.Tasks))
	}
	workers := wantMarshaled[api.WorkerList](t, s.want(200, request{method: "GET", path: "/api/v3/worker-mgt/workers"}))
	if len(workers.Workers) != 1 || workers.Workers[0].ID != w.id {
		t.Errorf("the workers are %+v", workers)
	}
}

func TestAPageSaysWhereTheNextOneBeginsAndAWholeListDoesNot(t *testing.T) {
	t.Parallel()
	s := setup(t)
	path := "/api/v3/jobs/" + s.submitTasks(5) + "/tasks"
	var seen []string
	after := ""
	for range 3 {
		a := s.want(200, request{method: "GET", path: path + "?limit=2&order_by=-name&after=" + after})
		for _, task := range wantMarshaled[api.JobTasksSummary](t, a).Tasks {
			seen = append(seen, task.Name)
		}
		after = a.header.Get("X-Flamenco-Next")
	}
	if got := strings.Join(seen, " "); after != "" || got != "frame <4> frame <3> frame <2> frame <1> frame <0>" {
		t.Errorf("the pages show %s, and then %q", got, after)
	}
	if a := s.want(200, request{method: "GET", path: path}); a.header.Get("X-Flamenco-Next") != "" {
		t.Errorf("a whole list goes on: %v", a.header)
	}
}

func TestAListThatCannotBeHasAStatusOfItsOwn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, query := range []string{"order_by=secret", "after=x", "limit=5&after=x", "limit=5&order_by=secret"} {
		for _, path := range []string{"/api/v3/jobs", "/api/v3/worker-mgt/workers", "/api/v3/jobs/" + nobody + "/tasks"} {
			if a := s.want(400, request{method: "GET", path: path + "?" + query}); !strings.Contains(a.body, `"code":400`) {
				t.Errorf("%s?%s: %s", path, query, a.body)
			}
		}
	}
}
