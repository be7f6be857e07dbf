// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"slices"
	"testing"

	"flamenco.farm/pkg/api"
	"github.com/getkin/kin-openapi/openapi3"
)

// provokable is every status that a client of Flamenco 3 can provoke, by operation. 5xx that need a broken disk or a
// locked database are in the scenario tests.
var provokable = map[string][]int{
	"getVersion":               {200},
	"getConfiguration":         {200},
	"checkSharedStoragePath":   {200, 400},
	"findBlenderExePath":       {200},
	"checkBlenderExePath":      {200, 400},
	"saveSetupAssistantConfig": {204, 400},
	"getConfigurationFile":     {200},
	"updateConfigurationFile":  {204, 400},
	"getVariables":             {200},
	"getSharedStorage":         {200},
	"getFarmStatus":            {200},

	"registerWorker":     {200, 400},
	"signOn":             {200, 400, 403},
	"signOff":            {204, 403},
	"workerState":        {200, 204, 403},
	"workerStateChanged": {204, 400, 403},
	"scheduleTask":       {200, 204, 403, 409, 423},
	"taskUpdate":         {204, 400, 403, 404, 409},
	"mayWorkerRun":       {200, 400, 403},
	"taskOutputProduced": {202, 403, 404, 411, 413, 415, 429},

	"fetchWorkers":              {200},
	"fetchWorker":               {200, 400, 404},
	"deleteWorker":              {204, 400, 404},
	"requestWorkerStatusChange": {204, 400, 404, 412},
	"setWorkerTags":             {204, 400, 404},
	"fetchWorkerSleepSchedule":  {200, 204, 400},
	"setWorkerSleepSchedule":    {204, 400, 404},
	"fetchWorkerTags":           {200},
	"createWorkerTag":           {200, 400, 409},
	"fetchWorkerTag":            {200, 400, 404},
	"updateWorkerTag":           {204, 400, 404},
	"deleteWorkerTag":           {204, 400, 404},

	"getJobTypes":                 {200},
	"getJobType":                  {200, 404},
	"fetchJobs":                   {200},
	"submitJob":                   {200, 400, 412},
	"submitJobCheck":              {204, 400, 412},
	"deleteJobMass":               {204, 400, 416},
	"fetchJob":                    {200, 400, 404},
	"deleteJob":                   {204, 400, 404},
	"deleteJobWhatWouldItDo":      {200, 400, 404},
	"fetchJobLastRenderedInfo":    {200, 204, 400},
	"fetchGlobalLastRenderedInfo": {200, 204},
	"setJobStatus":                {204, 400, 404, 422},
	"setJobPriority":              {204, 400, 404},
	"setJobTag":                   {204, 400, 404, 406},
	"fetchJobTasks":               {200, 400},
	"fetchJobBlocklist":           {200, 400},
	"removeJobBlocklist":          {204, 400},
	"fetchTask":                   {200, 400, 404},
	"fetchTaskLogTail":            {200, 204, 400, 404},
	"fetchTaskLogInfo":            {200, 204, 400, 404},
	"setTaskStatus":               {204, 400, 404, 422},

	"shamanCheckoutRequirements": {200, 400, 503},
	"shamanCheckout":             {200, 400, 409, 424, 503},
	"shamanFileStoreCheck":       {200, 400, 503},
	"shamanFileStore":            {200, 208, 400, 417, 425, 503},
}

// The tests that make the exchanges run one after the other in here, because at the end all must have been seen.
func TestEveryStatusThatAClientCanProvokeIsProvoked(t *testing.T) {
	t.Parallel()
	b := &book{}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *book)
	}{
		{"configuration", configurationExchanges},
		{"workers", workerExchanges},
		{"what Workers do", taskExchanges},
		{"images", imageExchanges},
		{"worker management", managementExchanges},
		{"jobs", jobExchanges},
		{"tasks", taskReadingExchanges},
		{"deletion", deletionExchanges},
		{"Shaman", shamanExchanges},
		{"without Shaman", noShamanExchanges},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, b) }) {
			t.Fatalf("the exchanges about %s failed; what is missing would be no news", part.name)
		}
	}
	for operation, statuses := range provokable {
		for _, status := range statuses {
			if !b.seen[operation][status] {
				t.Errorf("%s never answered %d", operation, status)
			}
		}
	}
	for operation, statuses := range b.seen {
		for status := range statuses {
			if status >= 500 && !slices.Contains(provokable[operation], status) {
				t.Errorf("%s answered %d", operation, status)
			}
		}
	}
}

// ours are operations that Flamenco 3 does not have.
var ours = []string{
	"fetchOperations", "startOperation", "fetchOperation", "fetchOperationLog", "cancelOperation",
	"fetchTaskLogText", "fetchMaintenance", "setMaintenance", "exportFarm", "importFarm",
}

func TestNoOperationOfTheDocumentIsForgotten(t *testing.T) {
	t.Parallel()
	text, err := api.DocumentJSON()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, item := range spec.Paths.Map() {
		for _, op := range item.Operations() {
			there[op.OperationID] = true
			if _, known := provokable[op.OperationID]; !known && !slices.Contains(ours, op.OperationID) {
				t.Errorf("%s has no exchange", op.OperationID)
			}
		}
	}
	for operation := range provokable {
		if !there[operation] {
			t.Errorf("%s is not in the document", operation)
		}
	}
}
