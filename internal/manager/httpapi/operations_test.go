// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/auth"
)

const nobody = "00000000-0000-4000-8000-00000000dead"

// filled is a path of the document with its parameters filled in.
var filled = strings.NewReplacer("{job_id}", nobody, "{task_id}", nobody, "{worker_id}", nobody, "{tag_id}", nobody, "{operation_id}", nobody,
	"{audience}", "workers", "{platform}", "linux", "{typeName}", "nope", "{checksum}", "00", "{filesize}", "1")

func TestEveryOperationHasARuleAndIsReachedOnlyByIt(t *testing.T) {
	t.Parallel()
	s := setup(t)
	doc, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			documented = append(documented, op.OperationID)
			rule, ok := auth.RuleOf(op.OperationID)
			if !ok {
				t.Errorf("%s has no rule", op.OperationID)
				continue
			}
			a := s.do(request{method: method, path: filled.Replace(path)})
			if refused := a.status == 403; refused != (rule != auth.Open) {
				t.Errorf("%s without credentials answered %d although its rule is %q: %s", op.OperationID, a.status, rule, a.body)
			}
			if strings.Contains(a.body, `"Not Found"`) || strings.Contains(a.body, "method not allowed") {
				t.Errorf("%s is not routed: %s", op.OperationID, a.body)
			}
			if a.status == 500 {
				t.Errorf("%s: %s", op.OperationID, a.body)
			}
			if secured := op.Security != nil && len(*op.Security) > 0; secured != (rule != auth.Open) {
				t.Errorf("%s: the document says secured = %v, the rule is %q", op.OperationID, secured, rule)
			}
		}
	}
	ruled := auth.Operations()
	slices.Sort(documented)
	slices.Sort(ruled)
	if diff := cmp.Diff(documented, ruled); diff != "" {
		t.Errorf("operations (-document +rules):\n%s", diff)
	}
}

func TestNoOperationAnswers501(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	doc, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{
		"setWorkerSleepSchedule": `{"is_active":true,"days_of_week":"","start_time":"","end_time":""}`, "deleteJobMass": `{}`, "startOperation": `{"kind":"x"}`,
		"shamanCheckoutRequirements": `{"files":[]}`, "shamanCheckout": `{"files":[],"checkoutPath":"x"}`, "shamanFileStore": `x`,
	}
	types := map[string]string{"shamanFileStore": "application/octet-stream"}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			header := map[string]string{}
			if kind := types[op.OperationID]; kind != "" {
				header["Content-Type"] = kind
			}
			a := s.do(request{method: method, path: filled.Replace(path), as: w, body: bodies[op.OperationID], header: header})
			if a.status == 501 {
				t.Errorf("%s: %s", op.OperationID, a.body)
			}
		}
	}
}
