// SPDX-License-Identifier: GPL-3.0-or-later

package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"flamenco.farm/pkg/api"
)

func ptr[T any](v T) *T { return &v }

func TestListsAndObjectsThatMustBeThereAreNeverNull(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		value any
		want  []string
	}{
		"task":      {api.AssignedTask{}, []string{`"commands":[]`}},
		"command":   {api.Command{}, []string{`"parameters":{}`}},
		"workers":   {api.WorkerList{}, []string{`"workers":[]`}},
		"worker":    {api.Worker{}, []string{`"supported_task_types":[]`}},
		"tags":      {api.WorkerTagList{}, []string{`"tags":[]`}},
		"jobs":      {api.JobsQueryResult{}, []string{`"jobs":[]`}},
		"job tasks": {api.JobTasksSummary{}, []string{`"tasks":[]`}},
		"job types": {api.AvailableJobTypes{}, []string{`"job_types":[]`}},
		"job type":  {api.AvailableJobType{}, []string{`"settings":[]`}},
		"picture":   {api.JobLastRenderedImageInfo{}, []string{`"suffixes":[]`}},
		"files":     {api.ShamanRequirementsResponse{}, []string{`"files":[]`}},
		"attempt":   {api.TaskAttempt{}, []string{`"steps":[]`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(c.value)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s is missing in %s", want, text)
				}
			}
			if strings.Contains(string(text), "null") {
				t.Errorf("null in %s", text)
			}
		})
	}
}

func TestFieldsWithoutValueAreLeftOut(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{
		`{}`: api.TaskUpdate{},
		`{"key":"a","type":"int32","default":0,"required":false}`: api.AvailableJobSetting{
			Key: "a", Type: api.AvailableJobSettingTypeInt32, Default: 0, Required: ptr(false),
		},
		`{"id":"1","name":"t"}`:                   api.WorkerTag{ID: ptr("1"), Name: "t"},
		`{"message":"no"}`:                        api.SecurityError{Message: "no"},
		`{"code":409,"message":"no"}`:             api.TaskUpdateRefused{Code: 409, Message: "no"},
		`{"index":1,"name":"echo","ended":false}`: api.CommandUpdate{Index: 1, Name: "echo"},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var wantFields, gotFields map[string]any
		if err := json.Unmarshal([]byte(want), &wantFields); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &gotFields); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantFields, gotFields); diff != "" {
			t.Errorf("%T (-want +got):\n%s", value, diff)
		}
	}
}

// manager answers the two operations that these tests call; the embedded nil interface stands for the rest.
type manager struct {
	api.StrictServerInterface
	scheduled chan api.ScheduleTaskParams
	listed    chan api.FetchJobsParams
	headers   api.ScheduleTask200ResponseHeaders
}

func (m *manager) ScheduleTask(_ context.Context, r api.ScheduleTaskRequestObject) (api.ScheduleTaskResponseObject, error) {
	m.scheduled <- r.Params
	return api.ScheduleTask200JSONResponse{Body: api.AssignedTask{UUID: "t"}, Headers: m.headers}, nil
}

func (m *manager) FetchJobs(_ context.Context, r api.FetchJobsRequestObject) (api.FetchJobsResponseObject, error) {
	m.listed <- r.Params
	return api.FetchJobs200JSONResponse{Headers: api.FetchJobs200ResponseHeaders{XFlamencoNext: ptr("c2")}}, nil
}

func serve(t *testing.T, m *manager) *api.ClientWithResponses {
	t.Helper()
	m.scheduled = make(chan api.ScheduleTaskParams, 1)
	m.listed = make(chan api.FetchJobsParams, 1)
	server := httptest.NewServer(api.HandlerFromMux(api.NewStrictHandler(m, nil), chi.NewRouter()))
	t.Cleanup(server.Close)
	client, err := api.NewClientWithResponses(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestOurWorkersHeadersReachTheManagerAndComeBack(t *testing.T) {
	t.Parallel()
	m := &manager{headers: api.ScheduleTask200ResponseHeaders{
		XFlamencoAssignment:   ptr("a3"),
		XFlamencoGeneration:   ptr(int64(7)),
		XFlamencoOnDisconnect: ptr(api.OnDisconnectStop),
	}}
	sent := api.ScheduleTaskParams{
		Session: ptr("11111111-2222-4333-8444-555555555555"), Slot: ptr(0), Running: []string{"a1", "a2"},
	}
	answer, err := serve(t, m).ScheduleTaskWithResponse(t.Context(), &sent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent, <-m.scheduled); diff != "" {
		t.Errorf("request headers (-sent +got):\n%s", diff)
	}
	h := answer.HTTPResponse.Header
	got := []string{h.Get("X-Flamenco-Assignment"), h.Get("X-Flamenco-Generation"), h.Get("X-Flamenco-On-Disconnect")}
	if diff := cmp.Diff([]string{"a3", "7", "stop"}, got); diff != "" {
		t.Errorf("response headers (-want +got):\n%s", diff)
	}
	parsed := answer.Headers200
	if parsed == nil || parsed.XFlamencoGeneration == nil || *parsed.XFlamencoGeneration != 7 {
		t.Errorf("the client parsed %+v", parsed)
	}
}

func TestAWorkerWithoutOurHeadersSendsAndGetsNone(t *testing.T) {
	t.Parallel()
	m := &manager{}
	answer, err := serve(t, m).ScheduleTaskWithResponse(t.Context(), &api.ScheduleTaskParams{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(api.ScheduleTaskParams{}, <-m.scheduled); diff != "" {
		t.Errorf("request headers (-want +got):\n%s", diff)
	}
	for name := range answer.HTTPResponse.Header {
		if strings.HasPrefix(name, "X-Flamenco-") {
			t.Errorf("%s was sent", name)
		}
	}
}

func TestListParametersAreSeparatedByCommas(t *testing.T) {
	t.Parallel()
	m := &manager{}
	sent := api.FetchJobsParams{
		Limit: ptr(2), OrderBy: []string{"-priority", "name"}, StatusIn: []api.JobStatus{"active", "queued"}, Search: ptr("a b,c"),
	}
	answer, err := serve(t, m).FetchJobsWithResponse(t.Context(), &sent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent, <-m.listed); diff != "" {
		t.Errorf("parameters (-sent +got):\n%s", diff)
	}
	if got := answer.HTTPResponse.Request.URL.Query().Get("order_by"); got != "-priority,name" {
		t.Errorf("order_by was sent as %q", got)
	}
	if answer.Headers200 == nil || answer.Headers200.XFlamencoNext == nil || *answer.Headers200.XFlamencoNext != "c2" {
		t.Errorf("the next cursor is %+v", answer.Headers200)
	}
}

// validate runs a request through the document as the Manager's validator does.
func validate(t *testing.T, r *http.Request) error {
	t.Helper()
	router, err := legacy.NewRouter(load(t))
	if err != nil {
		t.Fatal(err)
	}
	route, params, err := router.FindRoute(r)
	if err != nil {
		t.Fatal(err)
	}
	return openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
}

func TestRequestsOfOtherClientsFitTheDocument(t *testing.T) {
	t.Parallel()
	jobID := "/api/v3/jobs/11111111-2222-4333-8444-555555555555"
	cases := map[string]struct {
		method, path, body string
		header             http.Header
		fits               bool
	}{
		"a job without a priority":        {"POST", "/api/v3/jobs", `{"name":"n","type":"t","submitter_platform":"linux"}`, nil, true},
		"a job with unknown fields":       {"POST", "/api/v3/jobs", `{"name":"n","type":"t","submitter_platform":"","priority":1,"x":2}`, nil, true},
		"a job without a type":            {"POST", "/api/v3/jobs", `{"name":"n","submitter_platform":"linux"}`, nil, false},
		"a job with a bad status":         {"POST", "/api/v3/jobs", `{"name":"n","type":"t","submitter_platform":"","initial_status":"x"}`, nil, false},
		"a priority of 100":               {"POST", jobID + "/setpriority", `{"priority":100}`, nil, true},
		"a priority of 101":               {"POST", jobID + "/setpriority", `{"priority":101}`, nil, false},
		"a page of 1000":                  {"GET", "/api/v3/jobs?limit=1000&order_by=-updated,name&status_in=active,queued", "", nil, true},
		"a page of 1001":                  {"GET", "/api/v3/jobs?limit=1001", "", nil, false},
		"a list by an unknown status":     {"GET", "/api/v3/jobs?status_in=active,gone", "", nil, false},
		"an empty body":                   {"POST", jobID + "/setpriority", "", nil, false},
		"an upload by the add-on":         {"POST", "/api/v3/shaman/files/aa/3", "abc", http.Header{"X-Shaman-Can-Defer-Upload": {"True"}}, true},
		"a request for a task":            {"POST", "/api/v3/worker/task", "", nil, true},
		"a slot that is not a number":     {"POST", "/api/v3/worker/task", "", http.Header{"X-Flamenco-Slot": {"x"}}, false},
		"a deletion with a body":          {"DELETE", "/api/v3/jobs/mass-delete", `{"last_updated_max":"2026-11-22T06:20:27.407981341Z"}`, nil, true},
		"a deletion by something no time": {"DELETE", "/api/v3/jobs/mass-delete", `{"last_updated_max":"yesterday"}`, nil, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			if strings.Contains(c.path, "/shaman/files/") {
				r.Header.Set("Content-Type", "application/octet-stream")
			}
			for key, values := range c.header {
				r.Header[key] = values
			}
			if err := validate(t, r); (err == nil) != c.fits {
				t.Errorf("fits: %v, want %v: %v", err == nil, c.fits, err)
			}
		})
	}
}

func TestTheValidatorFillsInTheDefaultPriority(t *testing.T) {
	t.Parallel()
	body := strings.NewReader(`{"name":"n","type":"t","submitter_platform":"linux"}`)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v3/jobs", body)
	r.Header.Set("Content-Type", "application/json")
	if err := validate(t, r); err != nil {
		t.Fatal(err)
	}
	var job api.SubmittedJob
	if err := json.NewDecoder(r.Body).Decode(&job); err != nil {
		t.Fatal(err)
	}
	if job.Priority != 50 {
		t.Errorf("the priority is %d", job.Priority)
	}
}
