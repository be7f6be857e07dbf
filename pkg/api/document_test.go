// SPDX-License-Identifier: GPL-3.0-or-later

package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"flamenco.farm/pkg/api"
)

// operations is every operation of Flamenco 3, and those that go beyond it, with its method, path and tag.
const operations = `
cancelOperation POST /api/v3/operations/{operation_id}/cancel operations
checkBlenderExePath POST /api/v3/configuration/check/blender meta
checkSharedStoragePath POST /api/v3/configuration/check/shared-storage meta
createWorkerTag POST /api/v3/worker-mgt/tags worker-mgt
deleteJob DELETE /api/v3/jobs/{job_id} jobs
deleteJobMass DELETE /api/v3/jobs/mass-delete jobs
deleteJobWhatWouldItDo GET /api/v3/jobs/{job_id}/what-would-delete-do jobs
deleteWorker DELETE /api/v3/worker-mgt/workers/{worker_id} worker-mgt
deleteWorkerTag DELETE /api/v3/worker-mgt/tag/{tag_id} worker-mgt
exportFarm GET /api/v3/farm/export farm
fetchGlobalLastRenderedInfo GET /api/v3/jobs/last-rendered jobs
fetchJob GET /api/v3/jobs/{job_id} jobs
fetchJobBlocklist GET /api/v3/jobs/{job_id}/blocklist jobs
fetchJobLastRenderedInfo GET /api/v3/jobs/{job_id}/last-rendered jobs
fetchJobTasks GET /api/v3/jobs/{job_id}/tasks jobs
fetchJobs GET /api/v3/jobs jobs
fetchMaintenance GET /api/v3/maintenance maintenance
fetchOperation GET /api/v3/operations/{operation_id} operations
fetchOperationLog GET /api/v3/operations/{operation_id}/log operations
fetchOperations GET /api/v3/operations operations
fetchTask GET /api/v3/tasks/{task_id} jobs
fetchTaskLogInfo GET /api/v3/tasks/{task_id}/log jobs
fetchTaskLogTail GET /api/v3/tasks/{task_id}/logtail jobs
fetchTaskLogText GET /api/v3/tasks/{task_id}/log/text jobs
fetchWorker GET /api/v3/worker-mgt/workers/{worker_id} worker-mgt
fetchWorkerSleepSchedule GET /api/v3/worker-mgt/workers/{worker_id}/sleep-schedule worker-mgt
fetchWorkerTag GET /api/v3/worker-mgt/tag/{tag_id} worker-mgt
fetchWorkerTags GET /api/v3/worker-mgt/tags worker-mgt
fetchWorkers GET /api/v3/worker-mgt/workers worker-mgt
findBlenderExePath GET /api/v3/configuration/check/blender meta
getConfiguration GET /api/v3/configuration meta
getConfigurationFile GET /api/v3/configuration/file meta
getFarmStatus GET /api/v3/status meta
getJobType GET /api/v3/jobs/type/{typeName} jobs
getJobTypes GET /api/v3/jobs/types jobs
getSharedStorage GET /api/v3/configuration/shared-storage/{audience}/{platform} meta
getVariables GET /api/v3/configuration/variables/{audience}/{platform} meta
getVersion GET /api/v3/version meta
importFarm POST /api/v3/farm/import farm
mayWorkerRun GET /api/v3/worker/task/{task_id}/may-i-run worker
registerWorker POST /api/v3/worker/register-worker worker
removeJobBlocklist DELETE /api/v3/jobs/{job_id}/blocklist jobs
requestWorkerStatusChange POST /api/v3/worker-mgt/workers/{worker_id}/setstatus worker-mgt
saveSetupAssistantConfig POST /api/v3/configuration/setup-assistant meta
scheduleTask POST /api/v3/worker/task worker
setJobPriority POST /api/v3/jobs/{job_id}/setpriority jobs
setJobStatus POST /api/v3/jobs/{job_id}/setstatus jobs
setJobTag POST /api/v3/jobs/{job_id}/settag jobs
setMaintenance PUT /api/v3/maintenance maintenance
setTaskStatus POST /api/v3/tasks/{task_id}/setstatus jobs
setWorkerSleepSchedule POST /api/v3/worker-mgt/workers/{worker_id}/sleep-schedule worker-mgt
setWorkerTags POST /api/v3/worker-mgt/workers/{worker_id}/settags worker-mgt
shamanCheckout POST /api/v3/shaman/checkout/create shaman
shamanCheckoutRequirements POST /api/v3/shaman/checkout/requirements shaman
shamanFileStore POST /api/v3/shaman/files/{checksum}/{filesize} shaman
shamanFileStoreCheck GET /api/v3/shaman/files/{checksum}/{filesize} shaman
signOff POST /api/v3/worker/sign-off worker
signOn POST /api/v3/worker/sign-on worker
startOperation POST /api/v3/operations operations
submitJob POST /api/v3/jobs jobs
submitJobCheck POST /api/v3/jobs/check jobs
taskOutputProduced POST /api/v3/worker/task/{task_id}/output-produced worker
taskUpdate POST /api/v3/worker/task/{task_id} worker
updateConfigurationFile PUT /api/v3/configuration/file meta
updateWorkerTag PUT /api/v3/worker-mgt/tag/{tag_id} worker-mgt
workerState GET /api/v3/worker/state worker
workerStateChanged POST /api/v3/worker/state-changed worker
`

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func eachOperation(doc *openapi3.T, do func(method, path string, item *openapi3.PathItem, op *openapi3.Operation)) {
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			do(method, path, item, op)
		}
	}
}

func TestTheDocumentIsValid(t *testing.T) {
	t.Parallel()
	if err := load(t).Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAllOperationsOfFlamenco3AreThere(t *testing.T) {
	t.Parallel()
	var got []string
	eachOperation(load(t), func(method, path string, _ *openapi3.PathItem, op *openapi3.Operation) {
		got = append(got, fmt.Sprint(op.OperationID, " ", method, " ", path, " ", strings.Join(op.Tags, " ")))
	})
	slices.Sort(got)
	want := strings.Split(strings.TrimSpace(operations), "\n")
	if len(want) != 67 {
		t.Errorf("the table has %d operations", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

func TestEveryOperationAnswersErrors(t *testing.T) {
	t.Parallel()
	eachOperation(load(t), func(_, _ string, _ *openapi3.PathItem, op *openapi3.Operation) {
		byDefault := op.Responses.Default()
		if byDefault == nil {
			t.Errorf("%s: no default response", op.OperationID)
			return
		}
		if ref := byDefault.Value.Content.Get("application/json").Schema.Ref; ref != "#/components/schemas/Error" {
			t.Errorf("%s: the default response is %q", op.OperationID, ref)
		}
		for code, response := range op.Responses.Map() {
			if code >= "400" && code < "600" && response.Value.Content.Get("application/json") == nil {
				t.Errorf("%s: %s has no body", op.OperationID, code)
			}
		}
	})
}

func TestWorkersAndAdminsAuthenticateAndNobodyElse(t *testing.T) {
	t.Parallel()
	admins := []string{"startOperation", "setMaintenance", "exportFarm", "importFarm"}
	eachOperation(load(t), func(_, path string, _ *openapi3.PathItem, op *openapi3.Operation) {
		want := slices.Contains(admins, op.OperationID) || (strings.HasPrefix(path, "/api/v3/worker/") && op.OperationID != "registerWorker")
		if got := op.Security != nil && len(*op.Security) == 1; got != want {
			t.Errorf("%s: authentication is %v", op.OperationID, got)
		}
	})
}

func TestSignOnAndUpdatesPromiseNo5xx(t *testing.T) {
	t.Parallel()
	eachOperation(load(t), func(_, _ string, _ *openapi3.PathItem, op *openapi3.Operation) {
		if op.OperationID != "signOn" && op.OperationID != "taskUpdate" {
			return
		}
		for code := range op.Responses.Map() {
			if strings.HasPrefix(code, "5") {
				t.Errorf("%s lists %s", op.OperationID, code)
			}
		}
	})
}

func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	doc := load(t)
	check := func(what, description string) {
		if strings.TrimSpace(description) == "" {
			t.Errorf("%s: no description", what)
		}
	}
	eachOperation(doc, func(_, _ string, item *openapi3.PathItem, op *openapi3.Operation) {
		check(op.OperationID, op.Description)
		check(op.OperationID+" (summary)", op.Summary)
		for _, p := range slices.Concat(item.Parameters, op.Parameters) {
			check(op.OperationID+" "+p.Value.Name, p.Value.Description)
		}
		if op.RequestBody != nil {
			check(op.OperationID+" body", op.RequestBody.Value.Description)
		}
		for code, response := range op.Responses.Map() {
			check(op.OperationID+" "+code, *response.Value.Description)
			for name, header := range response.Value.Headers {
				check(op.OperationID+" "+code+" "+name, header.Value.Description)
			}
		}
	})
	for name, schema := range doc.Components.Schemas {
		check(name, schema.Value.Description)
		for _, part := range append(openapi3.SchemaRefs{schema}, schema.Value.AllOf...) {
			for property, s := range part.Value.Properties {
				check(name+"."+property, s.Value.Description)
			}
		}
	}
	for _, tag := range doc.Tags {
		check(tag.Name, tag.Description)
	}
}

func TestNoComponentIsUnused(t *testing.T) {
	t.Parallel()
	doc, text := load(t), string(api.Document())
	used := func(kind string, names []string) {
		for _, name := range names {
			if !strings.Contains(text, fmt.Sprintf("%q", "#/components/"+kind+"/"+name)) {
				t.Errorf("%s/%s is never used", kind, name)
			}
		}
	}
	used("headers", slices.Collect(maps.Keys(doc.Components.Headers)))
	used("parameters", slices.Collect(maps.Keys(doc.Components.Parameters)))
	used("responses", slices.Collect(maps.Keys(doc.Components.Responses)))
}

func TestTheJSONDocumentSaysTheSameInTheSameOrder(t *testing.T) {
	t.Parallel()
	text, err := api.DocumentJSON()
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := yaml.Unmarshal(api.Document(), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	// A round trip through JSON makes the number types of both sides alike.
	asJSON, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	want = nil
	if err := json.Unmarshal(asJSON, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("JSON differs from YAML (-yaml +json):\n%s", diff)
	}
	last := -1
	for _, key := range []string{`"openapi"`, `"info"`, `"paths"`, `"/api/v3/version"`, `"/api/v3/jobs/types"`, `"components"`} {
		at := bytes.Index(text, []byte(key))
		if at <= last {
			t.Errorf("%s is out of order", key)
		}
		last = at
	}
}

func TestDocumentIsACopy(t *testing.T) {
	t.Parallel()
	api.Document()[0] = 'x'
	if api.Document()[0] == 'x' {
		t.Error("a caller changed the document")
	}
}
