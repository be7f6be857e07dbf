// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/store"
	"flamenco.farm/pkg/api"
)

// operationKinds are kinds that these tests never run.
func operationKinds() []operation.Kind {
	none := func(json.RawMessage) ([]string, error) { return nil, nil }
	return []operation.Kind{{Name: "job-deletion", Locks: none}, {Name: "mass", Locks: none}, {
		Name: "picky", Locks: func(json.RawMessage) ([]string, error) { return nil, farm.Errorf(farm.CodeInvalid, "params.x: no") },
	}}
}

// deletion marks jobs and starts operations, as the Manager does.
type deletion struct {
	sched *sched.Service
	ops   *operation.Service
}

func (d deletion) DeleteJob(ctx context.Context, id string) error {
	if err := d.sched.MarkForDeletion(ctx, id); err != nil {
		return err
	}
	_, err := d.ops.Start(ctx, "job-deletion", json.RawMessage(`{"job":"`+id+`"}`), "user")
	return err
}

func (d deletion) DeleteJobs(ctx context.Context, updatedMax time.Time) (int, error) {
	return d.sched.MarkManyForDeletion(ctx, store.Selection{UpdatedMax: updatedMax})
}

func TestADeletedJobSaysSoAtOnceAndItsWorkerIsToldToStop(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit("1")
	w := s.register("w")
	task, assignment := s.claim(w)
	for range 2 {
		s.want(204, request{method: "DELETE", path: "/api/v3/jobs/" + job.ID})
	}
	got := decode[api.Job](t, s.want(200, request{method: "GET", path: "/api/v3/jobs/" + job.ID}))
	if got.DeleteRequestedAt == nil {
		t.Errorf("%+v", got)
	}
	may := decode[api.MayKeepRunning](t, s.want(200, request{method: "GET", path: "/api/v3/worker/task/" + task.UUID + "/may-i-run", as: w, header: assignment}))
	if may.MayKeepRunning {
		t.Errorf("%+v", may)
	}
	s.want(409, request{method: "POST", path: "/api/v3/worker/task/" + task.UUID, as: w, header: with(assignment, "X-Flamenco-Sequence", "1"), body: `{"taskStatus":"completed"}`})
	s.want(204, request{method: "POST", path: "/api/v3/worker/task", as: w})
	s.want(409, request{method: "POST", path: "/api/v3/jobs/" + job.ID + "/setstatus", body: `{"status":"requeueing","reason":"no, wait"}`})
	ops := decode[api.OperationList](t, s.want(200, request{method: "GET", path: "/api/v3/operations?kind=job-deletion&status_in=queued,running"}))
	if len(ops.Operations) != 1 || ops.Operations[0].Params["job"] != job.ID || ops.Operations[0].Who != "user" {
		t.Errorf("%+v", ops)
	}
	s.want(404, request{method: "DELETE", path: "/api/v3/jobs/" + nobody})
	s.want(400, request{method: "DELETE", path: "/api/v3/jobs/nonsense"})
}

func TestManyJobsAreDeletedByTheTimeOfTheirLastChange(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit("1")
	mass := func(status int, body string) {
		t.Helper()
		s.want(status, request{method: "DELETE", path: "/api/v3/jobs/mass-delete", body: body})
	}
	mass(400, `{}`)
	mass(400, `{"last_updated_max":"yesterday"}`)
	mass(416, `{"last_updated_max":"2001-02-03T04:05:06Z"}`)
	// Clients know the time to the second, and cut it: the job changed in that second, later than its beginning.
	mass(204, fmt.Sprintf(`{"last_updated_max":%q}`, job.Updated.Truncate(time.Second).Add(time.Millisecond).Format(time.RFC3339Nano)))
	if got := decode[api.Job](t, s.want(200, request{method: "GET", path: "/api/v3/jobs/" + job.ID})); got.DeleteRequestedAt == nil {
		t.Errorf("%+v", got)
	}
}

func TestWhatTheDeletionOfAJobTakesAlongIsTold(t *testing.T) {
	t.Parallel()
	s := setup(t)
	plain := s.submit("1")
	shaman := decode[api.Job](t, s.want(200, request{method: "POST", path: "/api/v3/jobs", body: `{"name":"a job","type":"echo-sleep-test",
		"submitter_platform":"linux","storage":{"shaman_checkout_id":"my/checkout"},"settings":{"message":"x"}}`}))
	for id, want := range map[string]bool{plain.ID: false, shaman.ID: true} {
		info := decode[api.JobDeletionInfo](t, s.want(200, request{method: "GET", path: "/api/v3/jobs/" + id + "/what-would-delete-do"}))
		if info.ShamanCheckout != want {
			t.Errorf("%+v, want %v", info, want)
		}
	}
	s.want(404, request{method: "GET", path: "/api/v3/jobs/" + nobody + "/what-would-delete-do"})
	s.want(400, request{method: "GET", path: "/api/v3/jobs/x/what-would-delete-do"})
}

// bearer is the header that proves to be who runs the Manager.
func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

func TestOperationsAreStartedByWhoeverHasTheAdminToken(t *testing.T) {
	t.Parallel()
	s := setup(t)
	start := func(status int, token, body string) answer {
		t.Helper()
		return s.want(status, request{method: "POST", path: "/api/v3/operations", body: body, header: bearer(token)})
	}
	right := s.admin.Reveal()
	for _, wrong := range []string{"", "x", auth.NewAdminToken().Reveal()} {
		if a := start(403, wrong, `{"kind":"mass"}`); !strings.Contains(a.body, "admin.token") {
			t.Errorf("it does not help: %s", a.body)
		}
	}
	start(400, right, `{"kind":"nothing"}`)
	start(400, right, `{"kind":"picky"}`)
	start(400, right, `{"kind":"mass","params":[]}`)
	start(413, right, `{"kind":"mass","params":{"x":"`+strings.Repeat("x", 64<<10)+`"}}`)
	o := decode[api.Operation](t, start(202, right, `{"kind":"mass","params":{"a":{"b":[1,"x"]}}}`))
	again := decode[api.Operation](t, start(202, right, `{"kind":"mass","params":{"a":{"b":[1,"x"]}}}`))
	if o.ID != again.ID || o.Status != api.OperationStatusQueued {
		t.Errorf("%+v, %+v", o, again)
	}
	start(202, right, `{"kind":"mass"}`)
}

func TestOperationsAreListedAndCanceled(t *testing.T) {
	t.Parallel()
	s := setup(t)
	var ids []string
	for i := range 3 {
		o, err := s.ops.Start(t.Context(), "mass", json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)), "user")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, o.ID)
	}
	a := s.want(200, request{method: "GET", path: "/api/v3/operations?limit=2"})
	first := decode[api.OperationList](t, a)
	second := decode[api.OperationList](t, s.want(200, request{method: "GET", path: "/api/v3/operations?limit=2&after=" + a.header.Get("X-Flamenco-Next")}))
	if len(first.Operations) != 2 || first.Operations[0].ID != ids[2] || len(second.Operations) != 1 {
		t.Errorf("%+v, %+v", first, second)
	}
	one := "/api/v3/operations/" + ids[0]
	tag := s.want(200, request{method: "GET", path: one}).header.Get("ETag")
	s.want(304, request{method: "GET", path: one, header: map[string]string{"If-None-Match": tag}})
	// Held until it changes.
	changed := make(chan answer, 1)
	go func() {
		a, err := s.try(context.Background(), request{method: "GET", path: one, header: map[string]string{"If-None-Match": tag, "Prefer": "wait=60"}})
		if err != nil {
			t.Error(err)
		}
		changed <- a
	}()
	s.want(204, request{method: "POST", path: one + "/cancel"})
	if o := decode[api.Operation](t, <-changed); o.Status != api.OperationStatusCanceled || o.Ended == nil {
		t.Errorf("%+v", o)
	}
	s.want(409, request{method: "POST", path: one + "/cancel"})
	for _, id := range []string{nobody, "nonsense"} {
		status := map[string]int{nobody: 404, "nonsense": 400}[id]
		s.want(status, request{method: "GET", path: "/api/v3/operations/" + id})
		s.want(status, request{method: "GET", path: "/api/v3/operations/" + id + "/log"})
		s.want(status, request{method: "POST", path: "/api/v3/operations/" + id + "/cancel"})
	}
	s.want(400, request{method: "GET", path: "/api/v3/operations?status_in=nonsense"})
}

func TestTheLogOfAnOperationIsReadInParts(t *testing.T) {
	t.Parallel()
	s := setup(t)
	o, err := s.ops.Start(t.Context(), "mass", nil, "user")
	if err != nil {
		t.Fatal(err)
	}
	path := "/api/v3/operations/" + o.ID + "/log"
	s.want(204, request{method: "GET", path: path})
	if err := os.WriteFile(filepath.Join(s.opsLogs, o.ID+".log"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]struct {
		status       int
		body, ranged string
	}{
		"":                            {200, "0123456789", ""},
		"bytes=2-4":                   {206, "234", "bytes 2-4/10"},
		"bytes=7-":                    {206, "789", "bytes 7-9/10"},
		"bytes=8-99":                  {206, "89", "bytes 8-9/10"},
		"bytes=-3":                    {206, "789", "bytes 7-9/10"},
		"bytes=-99":                   {206, "0123456789", "bytes 0-9/10"},
		"bytes=10-":                   {416, "", ""},
		"bytes=-0":                    {416, "", ""},
		"bytes=1-2,4-5":               {200, "0123456789", ""},
		"bytes=4-2":                   {200, "0123456789", ""},
		"lines=1-2":                   {200, "0123456789", ""},
		"bytes=99999999999999999999-": {200, "0123456789", ""},
	} {
		a := s.want(want.status, request{method: "GET", path: path, header: map[string]string{"Range": header}})
		if want.status < 400 && (a.body != want.body || a.header.Get("Content-Range") != want.ranged) {
			t.Errorf("%s: %q, %q", header, a.body, a.header.Get("Content-Range"))
		}
	}
}
