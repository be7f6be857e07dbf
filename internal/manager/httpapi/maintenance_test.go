// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"strings"
	"testing"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/sched"
	"flamenco.farm/pkg/api"
)

// maintain begins the maintenance, or ends it.
func (s *server) maintain(body string) answer {
	s.t.Helper()
	return s.do(request{
		method: "PUT", path: "/api/v3/maintenance", body: body, header: map[string]string{"Authorization": "Bearer " + s.admin.Reveal()},
	})
}

const askForTask = "/api/v3/worker/task"

const inMaintenance = "the farm is in maintenance: a new disk"

// bodies are what operations need to come past the check of their input.
var bodies = map[string]string{
	"setWorkerSleepSchedule":     `{"is_active":true,"days_of_week":"","start_time":"","end_time":""}`,
	"deleteJobMass":              `{"last_updated_max":"2026-01-01T00:00:00Z"}`,
	"shamanCheckoutRequirements": `{"files":[]}`,
	"shamanCheckout":             `{"files":[],"checkoutPath":"x"}`,
	"shamanFileStore":            `x`,
	"saveSetupAssistantConfig":   `{"storageLocation":"/x","blenderExecutable":{"is_usable":true,"source":"default","input":"x","path":"x","cause":""}}`,
	"updateConfigurationFile":    `{}`,
	"requestWorkerStatusChange":  `{"status":"awake","is_lazy":true}`,
	"setWorkerTags":              `{"tag_ids":[]}`,
	"createWorkerTag":            `{"name":"x"}`,
	"updateWorkerTag":            `{"name":"x"}`,
	"submitJob":                  `{"name":"x","type":"x","priority":50,"submitter_platform":"linux"}`,
	"setJobStatus":               `{"status":"paused","reason":"x"}`,
	"setJobPriority":             `{"priority":1}`,
	"setJobTag":                  `{"tag_id":null}`,
	"removeJobBlocklist":         `[]`,
	"setTaskStatus":              `{"status":"queued","reason":"x"}`,
}

func TestEveryOperationIsServedOrRefusedInAMaintenanceAsItsTableSays(t *testing.T) {
	t.Parallel()
	s := setup(t)
	doc, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	s.maintain(`{"on":true,"reason":"a new disk"}`)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			upkeep, ok := auth.UpkeepOf(op.OperationID)
			if !ok {
				t.Errorf("nobody has decided what becomes of %s in a maintenance", op.OperationID)
			}
			if method == "GET" && upkeep != auth.Reads && upkeep != auth.Reports {
				t.Errorf("%s reads, and is classified %q", op.OperationID, upkeep)
			}
			if op.OperationID == "setMaintenance" {
				continue
			}
			header := map[string]string{}
			if op.OperationID == "shamanFileStore" {
				header["Content-Type"] = "application/octet-stream"
			}
			a := s.do(request{method: method, path: filled.Replace(path), body: bodies[op.OperationID], header: header})
			refused := a.status == 503 && strings.Contains(a.body, inMaintenance) && a.header.Get("Retry-After") == "30" &&
				a.header.Get("X-Flamenco-Maintenance") == "on"
			if refused != (upkeep == auth.Refused) {
				t.Errorf("%s is classified %q and answered %d: %s", op.OperationID, upkeep, a.status, a.body)
			}
		}
	}
}

func TestWorkersGoOnInAMaintenanceAndGetNothingNewUntilItIsOver(t *testing.T) {
	t.Parallel()
	s := setup(t, holding)
	busy, idle := s.register("busy"), s.register("idle")
	s.submit("1")
	s.submit("1")
	task, assignment := s.claim(busy)
	s.maintain(`{"on":true,"reason":"a new disk"}`)
	if a := s.want(503, request{method: "POST", path: "/api/v3/jobs", body: bodies["submitJob"]}); !strings.Contains(a.body, inMaintenance) {
		t.Errorf("a job: %s", a.body)
	}
	held := make(chan answer, 1)
	go func() { held <- s.do(request{method: "POST", path: askForTask, as: idle}) }()
	await(t, s.began, askForTask) // of busy
	await(t, s.began, askForTask)
	path := "/api/v3/worker/task/" + task.UUID
	if may := decode[api.MayKeepRunning](t, s.want(200, request{method: "GET", path: path + "/may-i-run", as: busy, header: assignment})); !may.MayKeepRunning {
		t.Errorf("what runs must stop: %+v", may)
	}
	s.want(204, request{method: "POST", path: path, as: busy, body: `{"taskStatus":"completed","log":"x\n"}`, header: with(assignment, "X-Flamenco-Sequence", "1")})
	s.want(204, request{method: "POST", path: "/api/v3/worker/sign-off", as: busy})
	s.register("new")
	select {
	case a := <-held:
		t.Fatalf("something is handed out: %d %s", a.status, a.body)
	default:
	}
	s.maintain(`{"on":false}`)
	if a := <-held; a.status != 200 {
		t.Errorf("the request that was held got %d %s", a.status, a.body)
	}
}

func TestARequestForATaskIsAnsweredAsIfThereWereNoneInAMaintenance(t *testing.T) {
	t.Parallel()
	s := setup(t, func(o *sched.Options) { o.RequestHold = 0 })
	w := s.register("w")
	w.session = "" // a Worker of Flamenco 3
	s.submit("1")
	s.maintain(`{"on":true}`)
	s.want(204, request{method: "POST", path: askForTask, as: w})
	s.maintain(`{"on":false}`)
	s.want(200, request{method: "POST", path: askForTask, as: w})
}

func TestOnlyWhoeverRunsTheManagerMayBeginAMaintenance(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := s.do(request{method: "PUT", path: "/api/v3/maintenance", body: `{"on":true}`})
	if a.status != 403 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, c := range []struct{ body, want string }{
		{`{"on":true,"reason":"` + strings.Repeat("x", 1001) + `"}`, "reason"}, {`{}`, "on"}, {`{"on":"yes"}`, "on"},
	} {
		if a := s.maintain(c.body); a.status != 400 || !strings.Contains(a.body, c.want) {
			t.Errorf("%.50s: %d %s", c.body, a.status, a.body)
		}
	}
	a = s.do(request{method: "GET", path: "/api/v3/maintenance"})
	if !strings.Contains(a.body, `"on":false`) || !strings.Contains(a.body, `"kept":true`) || !strings.Contains(a.body, `"name":"machine"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestOperationsWaitForTheEndOfAMaintenance(t *testing.T) {
	t.Parallel()
	s := setup(t)
	start := func(kind string) answer {
		return s.do(request{
			method: "POST", path: "/api/v3/operations", body: `{"kind":"` + kind + `"}`, header: map[string]string{"Authorization": "Bearer " + s.admin.Reveal()},
		})
	}
	s.maintain(`{"on":true,"reason":"a new disk"}`)
	if a := start("mass"); a.status != 503 || !strings.Contains(a.body, inMaintenance) {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.maintain(`{"on":false}`)
	if a := start("mass"); a.status != 202 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
